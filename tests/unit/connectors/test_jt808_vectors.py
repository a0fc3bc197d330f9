"""Public JT/T 808 frames of three independent implementations, every field they expect that the message has."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from connectors._api import Peer, Received, Reject, describe, load
from connectors._api.flagged import frame
from connectors.jt808 import encoder, header, messages
from connectors.jt808.framing import Framing

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "vectors"
SOURCES = ("gojt808", "xtream", "yezhihao")
JT808 = load("jt808")
SETTINGS = JT808.manifest.resolve({}, "test")

ALIASES = tomllib.loads((Path(__file__).parent / "test_jt808_aliases.toml").read_text())
HEADER = {"messageId", "properties", "protocolVersion", "clientId", "serialNo"}
NOT_SHOWN = {
    "verified": "their own verdict, no field",
    "parameters": "read below by parameter id; theirs names vendor parameters we keep raw",
    "auth_code_len": "0 in a 2013 message, which has no such field",
    "p0x8300_text_flag_details": "bits of flag",
    "p0x8302_text_flag_details": "bits of flag",
}
THEIR_SLIPS = {
    (0x0705, "dateTime"): "drops two of the five BCD bytes",
    (0x1210, "terminal_id"): "a vendor's form without a leading terminal id; theirs shows it empty",
    (0x8300, "flag"): "0 for a byte FF that their test fills from separate bits",
    (0x8302, "flag"): "as 0x8300",
    (0x8300, "type"): "0 in a 2013 message, which has no such field",
    (0x8500, "param"): "0 in a 2013 message, which has no such field",
    (0x8500, "type"): "named flag in 2013",
}
INVALID_BODIES = {
    "7E8001000012345678901200000B7E": "general reply without a body",
    "7E800100000144199999990002467E": "general reply without a body",
    "7E0104000C0144199999990005000402000000010400000001CB7E": "two parameters promised, one sent",
    "7E01040007014419999999000500040200000001C57E": "parameter without length and value",
    "7E0104000C0144199999990005000401000000010F00000001C37E": "parameter longer than the body",
    "7E0801040500123456789002DE001A000221757E": "RSA bit set",
}
SOUND_PAIR = "7E000200000123456789017FFF0A7E7E0100002D0144199999990001000B0065"
"""Marked as of wrong length because two sound packets stand in one row: both are taken."""


@cache
def rows() -> list[dict[str, Any]]:
    if not FOLDER.is_dir():
        pytest.skip(f"no recordings at {FOLDER}")
    return [json.loads(line) for s in SOURCES for line in (FOLDER / f"jt808_{s}.jsonl").read_text().splitlines()]


def decoded(row: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    framing, session = Framing(SETTINGS), JT808.make_session(SETTINGS, Peer("vectors"))
    shown, rejects = [], []
    for found in [*framing.feed(bytes.fromhex(row["hex"])), *framing.flush()]:
        received = Received(rejects=[found]) if isinstance(found, Reject) else session.receive(found, 1)
        one = describe(received)
        rejects += [r["reason"] for r in one["rejects"]]
        if one["message"] is not None:
            shown.append(one["message"])
    return shown, rejects


def test_every_sound_frame_decodes_and_every_broken_one_is_refused() -> None:
    verdicts: Counter[str] = Counter()
    for row in rows():
        shown, rejects = decoded(row)
        if not all(row["checks"].values()) and not row["hex"].startswith(SOUND_PAIR):
            assert rejects, row["hex"]
            verdicts["refused"] += 1
            continue
        assert shown, row["hex"]
        assert bool(rejects) == (row["hex"] in INVALID_BODIES), (row["hex"], rejects)
        verdicts["body invalid" if rejects else "decoded"] += 1
    assert verdicts == {"decoded": 307, "refused": 6, "body invalid": 6}


def test_headers_are_as_expected() -> None:
    for row in rows():
        if not all(row["checks"].values()):
            continue
        (shown, *_), _ = decoded(row)
        wanted = row["header"]
        assert shown["message_id"] == int(row["msg_id"], 16)
        assert shown["version"] == row["version"]
        assert (shown["phone"], shown["serial"], shown["body_length"]) == (wanted["phone"], wanted["serial"], wanted["body_len"])
        assert ("package_total" in shown) == wanted["sub"]


def test_every_expected_field_is_equal() -> None:
    counts: Counter[str] = Counter()
    for row in rows():
        if not row.get("expect"):
            continue
        (shown, *_), _ = decoded(row)
        compare(row["expect"], shown, shown["message_id"], "", counts, row["hex"])
    assert counts["compared"] >= 2200
    assert counts["not shown"] <= 260


def compare(wanted: dict[str, Any], shown: dict[str, Any], message_id: int, at: str, counts: Counter[str], where: str) -> None:
    aliases = ALIASES["everywhere"] | ALIASES["message"].get(f"0x{message_id:04X}", {})
    for name, value in wanted.items():
        path = aliases.get(f"{at}.{name}" if at else name, aliases.get(name, name))
        if name in NOT_SHOWN or (message_id, name) in THEIR_SLIPS:
            counts["not shown"] += 1
        elif value == "" and path not in shown:
            counts["not shown"] += 1  # theirs shows an absent field as empty
        elif at and name in HEADER:
            counts["not shown"] += 1  # theirs repeats an empty header inside each location
        elif path == "items" and message_id == 0x0200:
            compare_items(value, shown["items"], counts, where)
        elif isinstance(value, dict):
            compare(value, follow(shown, path), message_id, path, counts, where)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            found = follow(shown, path)
            assert len(found) == len(value), (where, name)
            for one, two in zip(value, found, strict=True):
                compare(one, two, message_id, path, counts, where)
        else:
            assert plain(follow(shown, path)) == plain(value), (where, name, path)
            counts["compared"] += 1


def compare_items(wanted: dict[str, Any], shown: dict[str, Any], counts: Counter[str], where: str) -> None:
    for item, value in wanted.items():
        found = shown[ALIASES["items"][item]]
        if isinstance(value, dict) and "value" not in value:
            for name, one in value.items():
                path = ALIASES["item_fields"].get(name, name)
                if path not in found and item == "19":
                    path = {"area_id": "segment_id"}.get(path, path)
                assert plain(follow(found, path)) == plain(one), (where, item, name)
                counts["compared"] += 1
        else:
            assert plain(found) == plain(value["value"] if isinstance(value, dict) else value), (where, item)
            counts["compared"] += 1


def follow(shown: Any, path: str) -> Any:
    """The value at a path such as ``place.speed``, ``#server`` or ``alarm/high``."""
    if path.startswith("#"):
        return len(follow(shown, path[1:]))
    path, _, half = path.partition("/")
    for key in filter(None, path.split(".")):
        shown = shown[key]
    return shown if not half else shown >> 32 if half == "high" else shown & 0xFFFFFFFF


def plain(value: Any) -> Any:
    """Times, bytes and offset pairs written alike."""
    if isinstance(value, dict):
        return tuple(value.values())
    if isinstance(value, list):
        if value and all(isinstance(v, int) for v in value) and max(value) < 256:
            return bytes(value).hex()
        flat = [x for v in value for x in (v.values() if isinstance(v, dict) else [v])]
        return bytes(flat).hex() if flat and max(flat) < 256 else flat
    if isinstance(value, str):
        digits = value.translate(str.maketrans("", "", "-:T "))
        if digits.isdigit() and len(digits) in (8, 12, 14):
            return digits[2:] if len(digits) == 14 else digits
        return value.lower() if set(value) <= set("0123456789abcdefABCDEF") else value
    return value


def test_sound_frames_are_built_again_byte_for_byte() -> None:
    """All but five: padding that the message does not show, and a check byte 7D left unescaped."""
    built: Counter[str] = Counter()
    for row in rows():
        if not all(row["checks"].values()) or row["hex"] in INVALID_BODIES or row["header"]["sub"]:
            continue
        (packet,) = Framing(SETTINGS).feed(bytes.fromhex(row["hex"]))
        assert isinstance(packet, bytes)
        head = header.parse(packet)
        body = packet[head.start :]
        edition = messages.edition(head, body)
        values = messages.decode(messages.standard(), head.message_id, edition, body)
        again = messages.encode(messages.standard(), head.message_id, edition, values)
        protocol = head.protocol_version if head.version == "2019" else None
        framed = frame(header.build(head.message_id, head.phone_bcd, head.serial, again, protocol_version=protocol))
        built["same" if framed.hex().upper() == row["hex"] else "other"] += 1
    assert built == {"same": 300, "other": 5}


def test_the_encoder_gives_their_registration() -> None:
    ours = encoder.register(
        "123456789012",
        1,
        version="2013",
        province=31,
        city=115,
        maker="yzh",
        model="www.jtt808.cn",
        terminal_id="7654321",
        plate="测A888888",
    )
    theirs = [r["hex"] for r in rows() if r["msg_id"] == "0x0100" and r["hex"] == ours.hex().upper()]
    assert theirs
