"""HFP messages as a bus publishes them, for tests and the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from connectors._api import rules, times
from connectors.hfp.decoder import POSITION, words

HERE = Path(__file__).resolve().parent


def message(
    values: Mapping[str, Any],
    *,
    event: str = POSITION,
    route: str = "",
    headsign: str = "",
    next_stop: str = "EOL",
    journey: str = "journey",
    **fields: Any,
) -> tuple[str, bytes]:
    """Give topic and payload from fields of bus_position (event ``vp``) or bus_event (any other event of events.toml).

    ``source`` is ``<operator>/<vehicle>`` in digits, ``trip`` is ``<route>/<direction>/<operating day>/<start>``.
    """
    kind = "bus_position" if event == POSITION else "bus_event"
    given = {name: value for name, value in values.items() if name not in ("source", "event", "trip", "ts")}
    payload, _ = rules.read(HERE / "mapping.toml", "UTC")[kind].record(given)
    operator, number = str(values["source"]).split("/")
    ts = values["ts"]
    moment = str(times.write(ts - ts % 1000, "iso", "UTC")).replace("+00:00", "Z")
    payload |= {"oper": int(operator), "veh": int(number), "tst": moment, "tsi": ts // 1_000_000, "loc": "GPS"}
    head = f"/hfp/v2/{journey}/ongoing/{event}/bus/{int(operator):04d}/{int(number):05d}"
    if values.get("trip"):
        route, way, day, start = str(values["trip"]).split("/")
        payload |= {"route": route, "dir": way, "oday": day, "start": start}
        head += f"/{route}/{way}/{headsign}/{start}/{next_stop}/0////"
    return head, msgspec.json.encode({event.upper(): {**payload, **fields}})


def packet(topic: str, payload: bytes) -> bytes:
    """Give topic and payload as one JSON document, as ``cityops decode hfp --text`` takes it."""
    return msgspec.json.encode({"topic": topic, "payload": msgspec.Raw(payload)})


def events() -> tuple[str, ...]:
    """Give every event type that gives a bus_event."""
    return tuple(words())
