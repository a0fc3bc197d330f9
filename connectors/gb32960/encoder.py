"""Frames built from their fields: what the platform answers, and all that vehicles and platforms send.

Every function gives a whole frame with its check byte; a value a field cannot hold raises ``ValueError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import error
from typing import Any

from connectors.gb32960 import messages
from connectors.gb32960.packet import COMMAND, Edition, Header, build


def reply(to: Header, ack: int, content: bytes) -> bytes:
    """Answer a packet: its own header with the answer mark and a data unit in clear."""
    return build(to.edition, to.command, ack, to.vin_raw, content)


def message(fields: Mapping[str, Any], content: bytes | None = None) -> bytes:
    """Give the frame of a message as the decoder shows it; ``content`` replaces its data unit."""
    edition: Edition = fields.get("edition", "2016")
    try:
        body = messages.encode(fields["command"], edition, fields) if content is None else content
    except error as fault:
        msg = f"a field cannot hold its value: {fault}"
        raise ValueError(msg) from fault
    return build(edition, fields["command"], fields.get("ack", COMMAND), fields["vin"].encode(), body)


def record(vin: str, ts: int, blocks: Mapping[str, Any], *, edition: Edition = "2016", replay: bool = False) -> bytes:
    """Give a real-time or replayed record of ``ts`` (µs UTC) with its blocks by name, in the units of ``blocks.toml``."""
    fields = {"command": messages.REPLAY if replay else messages.REALTIME, "edition": edition, "vin": vin}
    return message({**fields, "time": messages.time_text(messages.from_instant(ts)), **blocks})


def login(vin: str, ts: int, serial: int, iccid: str, codes: list[str] | None = None, *, edition: Edition = "2016") -> bytes:
    """Give a vehicle's login; the codes are those of its storage subsystems, or in 2025 of one battery system's packs."""
    codes = codes or []
    own = (
        {"battery_systems": 1, "packs": [len(codes)]}
        if edition == "2025"
        else {"subsystems": len(codes), "code_length": max(map(len, codes), default=0)}
    )
    time = messages.time_text(messages.from_instant(ts))
    fields = {"command": messages.LOGIN, "edition": edition, "vin": vin, "time": time}
    return message({**fields, "serial": serial, "iccid": iccid, "codes": codes, **own})


def logout(vin: str, ts: int, serial: int, *, edition: Edition = "2016") -> bytes:
    """Give a vehicle's logout with the serial of its login."""
    time = messages.time_text(messages.from_instant(ts))
    return message({"command": messages.LOGOUT, "edition": edition, "vin": vin, "time": time, "serial": serial})


def platform_login(code: str, ts: int, serial: int, user: str, password: str, *, edition: Edition = "2016") -> bytes:
    """Give a platform's login; ``code`` stands where vehicles have their VIN."""
    time = messages.time_text(messages.from_instant(ts))
    fields = {"command": messages.PLATFORM_LOGIN, "edition": edition, "vin": code, "time": time}
    return message({**fields, "serial": serial, "user": user, "password": password, "encryption_rule": 1})


def heartbeat(vin: str, *, edition: Edition = "2016") -> bytes:
    """Give a heartbeat."""
    return message({"command": messages.HEARTBEAT, "edition": edition, "vin": vin})


def ask_time(vin: str, *, edition: Edition = "2016") -> bytes:
    """Give a request for the platform's time."""
    return message({"command": messages.CLOCK, "edition": edition, "vin": vin})
