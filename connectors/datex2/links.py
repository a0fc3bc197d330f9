"""Values of one stretch of road: travel times and traffic status."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from connectors.datex2.document import Shown, get, number
from connectors.datex2.lanes import is_faulty, sound
from connectors.datex2.sites import Site, first, is_any

REFERENCE: Final = "basic_data_reference_value"
"""Extension of the Dutch road data bank: the travel time to compare with."""


def link_of(values: Iterable[Shown], site: Site | None, *, is_detector: bool) -> dict[str, Any]:
    """Give travel time, status and the like by the names of ``mapping.toml``; nothing where there is none of them.

    Values of single vehicle classes, forecasts and values with an error are left out.
    """
    found: dict[str, Any] = {}
    for value in values:
        index = site.indexes.get(value["index"]) if site is not None else None
        if value.get("forecast") is True or is_faulty(value) or (index is not None and not index.any_vehicle):
            continue
        if value.get("type") == "TravelTimeData" and is_any(value.get("vehicle_type")):
            found = _travel_time(value) | found
        elif value.get("type") == "TrafficStatus":
            found = _status(value) | found
        elif (
            value.get("type") == "TrafficSpeed" and not is_detector and is_any(value.get("for_vehicles_with_characteristics_of"))
        ):
            found = _known({"speed": sound(value.get("average_vehicle_speed"), "speed")}) | found
    if found and site is not None:
        found |= _known({"length_affected": site.length, "road": site.road})
    return found


def _travel_time(value: Shown) -> dict[str, Any]:
    reference = first(value, (REFERENCE,))
    free = sound(value.get("free_flow_travel_time"), "duration")
    if free is None and get(reference, "reference_value_type") == "staticReferenceValue":
        free = sound(get(reference, "travel_time_data", "travel_time"), "duration")
    return _known(
        {
            "travel_time": sound(value.get("travel_time"), "duration") or None,
            "free_flow_travel_time": free or None,
            "free_flow_speed": sound(value.get("free_flow_speed"), "speed") or None,
        }
    )


def _status(value: Shown) -> dict[str, Any]:
    status = value.get("traffic_status")
    if get(status, "data_error") is True:
        return {}
    text = status if isinstance(status, str) else get(status, "traffic_status_value")
    if isinstance(text, dict):
        text = text.get("text")
    return {} if text is None or number(text) is not None else {"traffic_status": str(text)}


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
