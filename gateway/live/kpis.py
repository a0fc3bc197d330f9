"""The key figures of the header, computed from the live picture once a second."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.live.book import AlertBook
from gateway.live.layer import Layer
from gateway.live.state import LiveState
from schemas.events import ConnectorState
from schemas.kinds import kind
from schemas.messages import ALARM, NO_U16, NORMAL, UNKNOWN, VALUE, WARNING, Kpi

ONLINE: Final = {
    "bus_position": "buses_online",
    "taxi_position": "taxis_online",
    "coach_position": "coaches_online",
    "hazmat_position": "hazmat_online",
    "bike_station": "bike_stations_online",
    "dust_station": "dust_stations_online",
    "traffic_detector": "detectors_online",
}
MISSED: Final = 5
"""A source is online until it has missed this many of its kind's reports, and for three minutes at least."""
LIVE: Final = ("live", "idle")
"""States in which a connector does what it should."""


def kpis(state: LiveState, book: AlertBook, connectors: Iterable[ConnectorState], now: int) -> list[Kpi]:
    """Give all key figures; a figure nothing is known of has no value."""
    found = [_online(layer, name, now) for layer in state.layers if (name := ONLINE.get(layer.kind))]
    found += [
        _bikes(_of(state, "bike_station"), now),
        _mean(_of(state, "dust_station"), "dust_pm10_mean", now),
        _mean(_of(state, "traffic_detector"), "traffic_speed_mean", now),
        _alerts(book),
    ]
    return found + _connectors(list(connectors), now)


def _of(state: LiveState, name: str) -> Layer:
    layer = state.layer(name)
    if layer is None:
        msg = f"no layer shows {name}"
        raise KeyError(msg)
    return layer


def online(layer: Layer, now: int) -> NDArray[np.bool_]:
    """Give the mask of sources that reported lately."""
    limit = max(180.0, MISSED * kind(layer.kind).interval_s) * 1e6
    mask: NDArray[np.bool_] = layer["alive"] & (layer["seen_at"] > now - limit)
    return mask


def _age(layer: Layer, now: int) -> float | None:
    heard = layer["heard"][layer["alive"]]
    return max(0.0, (now - int(heard.max())) / 1e6) if len(heard) else None


def _online(layer: Layer, name: str, now: int) -> Kpi:
    known = int(np.count_nonzero(layer["alive"]))
    here = int(np.count_nonzero(online(layer, now)))
    if not known:
        return Kpi(id=name, value=None, unit="", age_s=None, state=UNKNOWN)
    return Kpi(id=name, value=here, unit="", age_s=_age(layer, now), total=known)


def _bikes(layer: Layer, now: int) -> Kpi:
    here = online(layer, now) & (layer["value"] != NO_U16)
    if not here.any():
        return Kpi(id="bikes_available", value=None, unit="", age_s=_age(layer, now), state=UNKNOWN)
    total = float(np.nansum(layer["total"][here]))
    return Kpi(
        id="bikes_available",
        value=int(layer["value"][here].sum(dtype=np.int64)),
        unit="",
        age_s=_age(layer, now),
        total=total or None,
    )


def _mean(layer: Layer, name: str, now: int) -> Kpi:
    _, factor, unit = VALUE[layer.kind]
    here = online(layer, now) & (layer["value"] != NO_U16)
    if not here.any():
        return Kpi(id=name, value=None, unit=unit, age_s=_age(layer, now), state=UNKNOWN)
    return Kpi(id=name, value=round(float(layer["value"][here].mean()) / factor, 1), unit=unit, age_s=_age(layer, now))


def _alerts(book: AlertBook) -> Kpi:
    city = [a for a in book.open.values() if a.category == "city"]
    waiting = [a for a in city if a.status == "open"]
    critical = any(a.severity == "critical" for a in waiting)
    state = ALARM if critical else WARNING if waiting else NORMAL
    return Kpi(id="alerts_open", value=len(waiting), unit="", age_s=0.0, total=len(city), state=state)


def _connectors(connectors: list[ConnectorState], now: int) -> list[Kpi]:
    if not connectors:
        return [
            Kpi(id="readings_rate", value=None, unit="1/s", age_s=None, state=UNKNOWN),
            Kpi(id="connectors_live", value=None, unit="", age_s=None, state=UNKNOWN),
        ]
    fresh = [c for c in connectors if now - c.at < 60_000_000]
    live = sum(c.health in LIVE for c in fresh)
    age = max(0.0, (now - max(c.at for c in connectors)) / 1e6)
    state = NORMAL if live == len(connectors) else WARNING
    return [
        Kpi(id="readings_rate", value=round(sum(c.rate for c in fresh), 1), unit="1/s", age_s=age),
        Kpi(id="connectors_live", value=live, unit="", age_s=age, total=len(connectors), state=state),
    ]
