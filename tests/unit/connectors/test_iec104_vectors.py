"""IEC 60870-5-104 against captured APDUs, decoded by tshark; they stay outside the project."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from connectors._api import Peer, load
from connectors._api.session import describe
from connectors.iec104 import apci, asdu
from connectors.iec104.framing import Framing

IEC104 = load("iec104")
SETTINGS = IEC104.manifest.resolve({}, "vectors")


def rows(recordings: Path) -> list[dict[str, Any]]:
    lines = (recordings / "vectors" / "iec104_pcaps_half.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def control(message: dict[str, Any]) -> str:
    """The control field as tshark writes it."""
    if message["format"] == "I":
        return f"I ({message['send_number']},{message['receive_number']})"
    return f"S ({message['receive_number']})" if message["format"] == "S" else f"U ({message['function']})"


def same(wanted: Any, shown: Any) -> bool:
    """Equal but for how it is written: tshark gives numbers six digits and takes local times for UTC."""
    if isinstance(wanted, list):
        return len(wanted) == len(shown) and all(map(same, wanted, shown))
    if isinstance(wanted, str) and wanted.endswith("000000 UTC"):
        moment = datetime.strptime(wanted.removesuffix("000 UTC"), "%b %d, %Y %H:%M:%S.%f")  # noqa: DTZ007
        return moment == datetime.fromisoformat(shown)
    return math.isclose(float(wanted), shown, rel_tol=1e-4) if isinstance(wanted, str) else bool(wanted == shown)


def test_every_expected_field_is_equal(recordings: Path) -> None:
    found: Counter[str] = Counter()
    session = IEC104.make_session(SETTINGS, Peer("vectors"))
    session.start(1)
    for row in rows(recordings):
        (packet,) = Framing(SETTINGS).feed(bytes.fromhex(row["hex"]))
        assert isinstance(packet, bytes), packet
        result = describe(session.receive(packet, 1))
        assert not result["rejects"], (row["hex"], result["rejects"])
        message = result["message"]
        for field, value in row["expect"].items():
            if field == "apci":
                shown = re.search(r"[ISU] \(.*\)", value)
                assert shown and shown[0] == control(message), row["hex"]
            else:
                assert same(value, message[field]), (row["hex"], field, value, message.get(field))
            found["fields"] += 1
        found["frames"] += 1
    print(f"iec104: {found['frames']} frames, {found['fields']} fields equal")
    assert found == {"frames": 191, "fields": 1315}


def test_information_is_built_again_byte_for_byte(recordings: Path) -> None:
    """All but six: their sender counts years from 1900, in seven bits that the standard ends at 99."""
    found: Counter[str] = Counter()
    for row in rows(recordings):
        packet = bytes.fromhex(row["hex"])
        if apci.format_of(packet) != "I":
            continue
        fields, _ = asdu.read(packet[apci.HEAD :])
        again = asdu.write(
            fields["type_id"],
            fields["objects"],
            cot=fields["cot"],
            ca=fields["ca"],
            oa=fields["oa"],
            sq=bool(fields["sq"]),
            negative=bool(fields["negative"]),
            test=bool(fields["test"]),
        )
        found["same" if apci.i_frame(*apci.numbers(packet), again) == packet else "other"] += 1
    assert found == {"same": 104, "other": 6}


def test_the_stream_of_all_frames_is_cut_into_them(recordings: Path) -> None:
    packets = [bytes.fromhex(row["hex"]) for row in rows(recordings)]
    stream = b"".join(packets)
    for size in (1, 7, 1400):
        framing = Framing(SETTINGS)
        assert [p for at in range(0, len(stream), size) for p in framing.feed(stream[at : at + size])] == packets
