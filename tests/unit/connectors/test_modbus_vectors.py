"""Modbus TCP against captured ADUs, decoded by tshark; they stay outside the project."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from connectors._api import Peer, load
from connectors._api.session import describe
from connectors.modbus import encoder, pdu
from connectors.modbus.framing import Framing

MODBUS = load("modbus")
SETTINGS = MODBUS.manifest.resolve({}, "vectors")


def rows(recordings: Path) -> list[dict[str, Any]]:
    lines = (recordings / "vectors" / "modbus_pcaps_half.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("alone", [False, True], ids=["one session", "a session each"])
def test_every_expected_field_is_equal(recordings: Path, alone: bool) -> None:
    found: Counter[str] = Counter()
    session = MODBUS.make_session(SETTINGS, Peer("vectors"))
    for row in rows(recordings):
        if alone:
            session = MODBUS.make_session(SETTINGS, Peer("vectors"))
        (packet,) = Framing(SETTINGS).feed(bytes.fromhex(row["hex"]))
        assert isinstance(packet, bytes), packet
        result = describe(session.receive(packet, 1))
        assert not result["rejects"], (row["hex"], result["rejects"])
        message = result["message"]
        for field, value in row["expect"].items():
            wanted = int(value) if field == "func_code" else value
            assert message[field] == wanted, (row["hex"], field, value, message)
            found["fields"] += 1
        found["frames"] += 1
        found["other direction"] += not message["direction"].startswith(row["direction"])
    print(f"modbus: {found['frames']} frames, {found['fields']} fields equal, direction otherwise {found['other direction']}")
    # Otherwise only echoes (functions 5, 6, 8): alone a response looks as its request, and a request asked twice as an answer.
    assert found == {"frames": 102, "fields": 582, "other direction": 2 if alone else 6}


def test_every_frame_is_built_again_byte_for_byte(recordings: Path) -> None:
    for row in rows(recordings):
        packet = bytes.fromhex(row["hex"])
        direction: pdu.Direction = "request" if row["direction"] == "req" else "response"
        fields = pdu.read(packet[7:], direction)
        body = pdu.write(packet[7] & ~pdu.ERROR, direction, fields) + fields.get("trailing", b"")
        assert encoder.tcp(int.from_bytes(packet[:2]), packet[6], body) == packet


def test_the_stream_of_all_frames_is_cut_into_them(recordings: Path) -> None:
    packets = [bytes.fromhex(row["hex"]) for row in rows(recordings)]
    stream = b"".join(packets)
    for size in (1, 7, 1400):
        framing = Framing(SETTINGS)
        assert [p for at in range(0, len(stream), size) for p in framing.feed(stream[at : at + size])] == packets
