"""What a viewer may not see in full: plates, exact positions of vehicles, restricted fields (GB/T 22239-2019 8.1.4.11)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec

from schemas import kinds
from schemas.derive import fields
from schemas.events import Alert, AlertEvent
from schemas.reading import Grade

GRID_E6: Final = 1000
"""Positions of vehicles are given to viewers on a grid of 0.001 degrees, about 100 m."""
ENDS_OF_TRIPS: Final = frozenset({"bike_event"})
PLACES: Final = ("lon", "lat", "raw_lon", "raw_lat")


@cache
def is_tracked(kind: str) -> bool:
    """Say whether positions of the kind are somebody's track: vehicles and ends of trips yes, fixed stations no."""
    declared = kinds.all_kinds().get(kind)
    return declared is not None and (declared.domain == "transport" or kind in ENDS_OF_TRIPS)


def mask_plate(plate: str) -> str:
    """Give a plate with its middle hidden: 晋E12345 becomes 晋E·***45."""
    if len(plate) <= 4:
        return "*" * len(plate)
    return f"{plate[:2]}·{'*' * (len(plate) - 4)}{plate[-2:]}"


def coarse(degrees: float) -> float:
    """Give a coordinate on the viewers' grid."""
    return round(degrees * 1e6 // GRID_E6 * GRID_E6 / 1e6, 3)


@cache
def _grades(kind: str) -> dict[str, str]:
    return {f.name: f.grade for f in fields(kind, "clean")} if kind in kinds.all_kinds() else {}


def sensitive_fields(kind: str) -> list[str]:
    """Name the fields of a kind that a viewer sees masked or not at all."""
    tracked = is_tracked(kind)
    return [
        name
        for name, grade in _grades(kind).items()
        if grade in (Grade.SENSITIVE, Grade.RESTRICTED) and (tracked or name not in PLACES)
    ]


def mask_row(kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Give a reading's fields as a viewer may see them: plates masked, positions coarse, restricted fields absent."""
    hidden = set(sensitive_fields(kind))
    return {name: _mask(name, value) if name in hidden else value for name, value in row.items()}


def _mask(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in PLACES and isinstance(value, int | float):
        return coarse(value)
    if name == "plate" and isinstance(value, str):
        return mask_plate(value)
    return None


def mask_alert(alert: Alert) -> Alert:
    """Give an alert as a viewer may see it."""
    if not is_tracked(alert.kind):
        return alert
    return msgspec.structs.replace(
        alert,
        lon=None if alert.lon is None else coarse(alert.lon),
        lat=None if alert.lat is None else coarse(alert.lat),
        evidence=mask_row(alert.kind, alert.evidence),
    )


def mask_change(change: AlertEvent) -> AlertEvent:
    """Give a change of an alert as a viewer may see it."""
    return msgspec.structs.replace(change, device=None, alert=None if change.alert is None else mask_alert(change.alert))
