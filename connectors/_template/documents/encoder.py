"""The same documents built from fields: simulated devices and round-trip tests use it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from connectors._api import times


def report(device: str, ts: int, serial: int, values: Mapping[str, object]) -> bytes:
    """Give a device's report; ``ts`` is microseconds UTC."""
    return msgspec.json.encode({"device": device, "time": times.write(ts, "iso"), "serial": serial, "values": values})
