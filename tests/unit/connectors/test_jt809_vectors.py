"""Public JT/T 809 frames, bodies, escapes and ciphers of two independent implementations, every field they expect."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from connectors._api import Peer, Reject, describe, load
from connectors._api.session import plain
from connectors.jt809 import framing, header, messages
from connectors.jt809.framing import Framing

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "vectors"
SOURCES = ("jt809_lai323", "jt809_smallchi_half")
JT809 = load("jt809")
KEYS = {"m1": "30000000", "ia1": "20000000", "ic1": "20000000"}

NAMES = {
    "header.serial_no": "header.msg_sn",
    "header.encrypt": "header.encrypt_flag",
    "header.gnss_center_id": "header.msg_gnsscenterid",
    "header.business_type": "header.msg_id",
    "gnsscount": "gnss_cnt",
    "imieid": "imei",
    "lng": "lon",
    "alarm_flag": "alarm",
    "status_flag": "status",
    "gps_time": "time",
    "attach[0x01].mileage": "mileage",
    "attach[0x02].oil": "fuel",
    "sub_bodies.car_info": "car_info",
    "sub_business_type": "data_type",
    "inflection_point_items.count": "inflection_point_count",
}
"""Their names for the standard's fields."""
NUMBERS = {
    "黄色": 2,
    "蓝色": 1,
    "白色": 4,
    "成功": 0,
    "主链路断开": 0,
    "下发成功": 0,
    "申请成功": 0,
    "成功_上级平台即刻补发": 0,
    "None": 0,
    "车载终端": 1,
    "疲劳驾驶报警": 2,
    "偏离路线报警": 11,
    "劫警": 10,
    "当前连接的下级平台": 1,
    "下级平台所属单一业户": 2,
    "已加密": 1,
    "记录仪唯一性编号": 7,
    "采集记录仪事故疑点记录": 16,
    "从链路报警信息交互消息": 0x9400,
    "报警督办请求消息": 0x9401,
    "上传车辆注册信息": 0x1201,
    "平台查岗应答消息": 0x1301,
    "补报车辆静态信息应答": 0x1601,
}
"""What their enumerations stand for in the standard's tables."""
DEGREES = {"lon", "lat"}
NO_FIELD = {
    ("JT809_0x1300_0x1301Test", "info_id"): "0, their default: the form of 2019 has none",
    ("JT809_0x1300_0x1302Test", "info_id"): "as above",
}
NO_BODY = {
    "JT809HeaderTest.cs#Test4": "a header alone, whose MSG_LENGTH is not its own",
    "JT809_0x1001PackageTest.cs#Test3": "a password alone",
}
OTHER_LAYER = "557AC40014002003251026012003251026010000123400123456A9"
"""A recorder's frame of GB/T 19056 by itself, given as a body of 0x1504 that carries it."""


@cache
def rows(kind: str) -> list[dict[str, Any]]:
    if not FOLDER.is_dir():
        pytest.skip(f"no recordings at {FOLDER}")
    found = [json.loads(line) for s in SOURCES for line in (FOLDER / f"{s}.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] == kind]


def title(row: dict[str, Any]) -> str:
    return str(row["source"].rsplit("/", 1)[-1])


def edition(row: dict[str, Any]) -> header.Edition:
    return "2019" if "2019" in title(row) or "JT1078" in row["source"] else "2011"


def body(row: dict[str, Any]) -> dict[str, Any]:
    number, raw = int(row["msg_id"], 16), bytes.fromhex(row["hex"])
    known = number in messages.bodies().families or (number, "2011") in messages.bodies().messages
    read = messages.read(number, edition(row), raw) if known else messages.read_data(number, edition(row), raw)
    shown: dict[str, Any] = plain(read)
    return shown


def find(shown: dict[str, Any], path: str) -> Any:
    value: Any = shown
    for part in re.findall(r"[^.\[\]]+", path):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def check(row: dict[str, Any], shown: dict[str, Any], verdicts: Counter[str]) -> None:
    last = shown["gnss_data"][-1] if isinstance(shown.get("gnss_data"), list) else {}
    for name, given in row.get("expect", {}).items():
        if (title(row).split(".")[0], name) in NO_FIELD or name in ("M1", "IA1", "IC1"):
            verdicts["not a field"] += 1
            continue
        path = name if name == "sub_business_type" and "count" in shown else NAMES.get(name, name)
        path = path.replace("manage_msg_sninform", "manage_msg_sn_inform")
        value, expected = find({**shown, **last}, path), translated(path, given)
        assert value == expected, (title(row), name, value, expected)
        verdicts["equal"] += 1


def translated(path: str, expected: Any) -> Any:
    """Give an expected value as the message shows it: numbers for enumerations, degrees, full times."""
    if path in DEGREES:
        return expected / 1e6
    if not isinstance(expected, str):
        return expected
    if expected.startswith("enum:"):
        return NUMBERS[expected.rsplit(".", 1)[-1]]
    return f"{expected} 00:00:00" if re.fullmatch(r"\d{4}-\d\d-\d\d", expected) else expected


def test_every_body_shows_every_field_expected_of_it() -> None:
    verdicts: Counter[str] = Counter()
    for row in rows("body"):
        if title(row) in NO_BODY or row["hex"] == OTHER_LAYER:
            verdicts["no body"] += 1
            continue
        shown = body(row)
        assert shown["name"] != "unknown", title(row)
        assert "rest" not in shown, title(row)
        check(row, shown, verdicts)
    assert verdicts == {"equal": 276, "not a field": 2, "no body": 3}


@pytest.mark.parametrize("keys", [{}, KEYS], ids=["without keys", "with keys"])
def test_every_sound_frame_gives_its_message_and_the_link_lives(keys: dict[str, str]) -> None:
    settings = JT809.manifest.resolve(keys, "test")
    session, cut = JT809.make_session(settings, Peer("vectors")), Framing(settings)
    verdicts: Counter[str] = Counter()
    for row in rows("frame"):
        found = [*cut.feed(bytes.fromhex(row["hex"])), *cut.flush()]
        if not all(row.get("checks", {}).values()):
            assert not [one for one in found if isinstance(one, bytes)], title(row)
            verdicts["refused"] += 1
            continue
        (packet,) = found
        assert isinstance(packet, bytes), title(row)
        one = describe(session.receive(packet, 1))
        shown, rejects = one["message"], [r["reason"] for r in one["rejects"]]
        given = row.get("header", {})
        for name in ("msg_length", "msg_sn", "version", "encrypt_flag", "encrypt_key"):
            assert given.get(name, shown["header"][name]) == shown["header"][name]
        if shown["header"]["encrypt_flag"] and shown["header"]["msg_gnsscenterid"] != 20180920:
            verdicts["encrypted by others"] += 1
            continue
        if not keys and shown["header"]["encrypt_flag"]:
            assert rejects == ["encrypted"]
            continue
        assert not rejects, title(row)
        check(row, shown, verdicts)
    assert (verdicts["encrypted by others"], verdicts["refused"]) == (5, 1)
    assert verdicts["equal"] == (37 if keys else 29)


def test_their_cipher_and_escapes_are_ours() -> None:
    (cipher,), (escaped,) = rows("encrypt"), rows("escape")
    given = cipher["expect"]
    ours = header.Cipher(given["M1"], given["IA1"], given["IC1"])
    assert ours.apply(bytes.fromhex(cipher["hex"]), given["key"]).hex().upper() == given["encrypted"]
    assert framing.escape(bytes.fromhex(escaped["hex"])).hex().upper() == escaped["expect"]["escaped"]
    assert framing.unescape(bytes.fromhex(escaped["expect"]["escaped"])) == (bytes.fromhex(escaped["hex"]), False)


def test_sound_frames_damaged_are_refused_and_the_stream_goes_on() -> None:
    cut = Framing({})
    for row in rows("frame"):
        raw = bytearray.fromhex(row["hex"])
        if len(raw) > 1000:
            continue
        whole = [p for p in cut.feed(bytes(raw)) if isinstance(p, bytes)]
        raw[12] ^= 0x40
        damaged = [*cut.feed(bytes(raw)), *cut.flush()]
        assert {one.reason for one in damaged if isinstance(one, Reject)} & {"bad_checksum", "bad_escape", "bad_frame"}
        assert not [one for one in damaged if isinstance(one, bytes)]
        assert [p for p in cut.feed(bytes.fromhex(row["hex"])) if isinstance(p, bytes)] == whole
