"""Public JT/T 905 frames of an independent implementation, every field they expect."""

from __future__ import annotations

import json
import random
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from connectors._api import Peer, Reject, describe, load
from connectors.jt905.framing import Framing

FILE = Path(__file__).resolve().parents[4] / "shared" / "data" / "vectors" / "jt905_smallchi_half.jsonl"
JT905 = load("jt905")
SETTINGS = JT905.manifest.resolve({}, "test")
NAMES = {
    "header.msg_num": "serial",
    "header.isu": "isu",
    "uptime": "up_time",
    "alarm_flag": "alarm",
    "status_flag": "status",
    "gps_time": "time",
    "lat": "latitude",
    "lng": "longitude",
    "reply_msg_num": "ack_serial",
    "platform_result": "result",
}
"""Their names for ours."""
NUMBERS = {"enum:Enums.JT905PlatformResult.Success": 0}


@cache
def rows() -> list[dict[str, Any]]:
    if not FILE.is_file():
        pytest.skip(f"no recordings at {FILE}")
    return [json.loads(line) for line in FILE.read_text().splitlines()]


def find(shown: dict[str, Any], path: str) -> Any:
    value: Any = shown
    for part in (path,) if path in NAMES else path.split("."):
        value = value[NAMES.get(part, part)]
    return value


def test_every_frame_decodes_with_every_field_expected_of_it() -> None:
    session, cut, verdicts = JT905.make_session(SETTINGS, Peer("vectors")), Framing(SETTINGS), Counter[str]()
    for row in rows():
        assert all(row["checks"].values())
        (packet,) = cut.feed(bytes.fromhex(row["hex"]))
        assert isinstance(packet, bytes)
        one = describe(session.receive(packet, 1))
        shown = one["message"]
        assert not one["rejects"], row["hex"]
        assert shown["name"] != "unknown"
        assert len(one["replies"]) == (shown["message_id"] < 0x8000 and shown["message_id"] != 1)
        given = {"header.isu": row["header"]["isu"], "header.msg_num": row["header"]["serial"], **row.get("expect", {})}
        for name, expected in given.items():
            value = find(shown, name)
            if name == "header.isu":
                value, expected = value.lstrip("0"), expected.lstrip("0")  # noqa: PLW2901 - theirs leaves zeros out
            if name == "uptime":
                value += ":00"
            assert value == NUMBERS.get(expected, expected), (row["hex"], name)
            verdicts["equal"] += 1
    assert verdicts == {"equal": 67}


def test_any_cut_of_the_stream_gives_the_same_packets_with_rubbish_between() -> None:
    stream = b"\x00rubbish\xff".join(bytes.fromhex(row["hex"]) for row in rows())
    whole = Framing(SETTINGS).feed(stream)
    assert len([p for p in whole if isinstance(p, bytes)]) == len(rows())
    chance = random.Random(905)  # noqa: S311 - a repeatable choice, no secret
    for _ in range(20):
        cut, found, at = Framing(SETTINGS), [], 0
        while at < len(stream):
            size = chance.randint(1, 1400)
            found += cut.feed(stream[at : at + size])
            at += size
        assert found == whole


def test_damaged_frames_are_refused_and_the_next_is_taken() -> None:
    cut = Framing(SETTINGS)
    for row in rows():
        raw = bytearray.fromhex(row["hex"])
        raw[9] ^= 0x20
        (reject,) = cut.feed(bytes(raw))
        assert isinstance(reject, Reject)
        assert reject.reason == "bad_checksum"
        assert isinstance(cut.feed(bytes.fromhex(row["hex"]))[0], bytes)
