"""Public GB/T 32960.3 frames; they stay outside the project."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from connectors._api import Peer, Received, Reject, describe, load
from connectors._api.session import iso
from connectors.gb32960 import encoder, messages
from connectors.gb32960.framing import Framing
from connectors.gb32960.packet import FORM, parse

GB = load("gb32960")
SETTINGS = GB.manifest.resolve({}, "test")
SEEN_AT = 1_793_491_200_000_000


def decoded(frame: str) -> dict[str, Any]:
    framing, session = Framing(SETTINGS), GB.make_session(SETTINGS, Peer("vectors"))
    (found,) = [*framing.feed(bytes.fromhex(frame)), *framing.flush()]
    return describe(Received(rejects=[found]) if isinstance(found, Reject) else session.receive(found, SEEN_AT))


def test_published_frames(recordings: Path) -> None:
    counts: Counter[str] = Counter()
    for line in (recordings / "vectors" / "gb32960_terryhart_half.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        result = decoded(row["hex"])
        if not all(row["checks"].values()):
            assert result["rejects"], row["hex"]
            counts["refused"] += 1
            continue
        assert not result["rejects"], row["hex"]
        message, wanted = result["message"], row["header"]
        found = (message["command"], message["ack"], message["vin"], message["encryption"], message["length"])
        assert found == tuple(wanted[key] for key in ("cmd", "ack", "vin", "encrypt", "data_len"))
        counts["header fields"] += len(found)
        compare(row.get("expect", {}), result, counts)
        counts["built again"] += rebuilt(row["hex"])
        counts["decoded"] += 1
    print(dict(counts))
    assert counts["decoded"] == 16
    assert counts["reply bytes"] == 3
    assert counts["built again"] == 16


def compare(expect: dict[str, Any], result: dict[str, Any], counts: Counter[str]) -> None:
    if "shouldRespond" in expect:
        assert bool(result["replies"]) == expect["shouldRespond"]
        counts["answered"] += 1
    if expect.get("resBuf"):
        assert [reply.lower() for reply in result["replies"]] == [expect["resBuf"].lower()]
        counts["reply bytes"] += 1
    body = expect.get("req", {}).get("body", {})
    if "at" in body:
        stamp = messages.instant(messages.time_bytes(result["message"]["time"]))
        assert iso(stamp) == body["at"].replace(".000", "")
        counts["times"] += 1


def rebuilt(frame: str) -> bool:
    (packet,) = Framing(SETTINGS).feed(bytes.fromhex(frame))
    assert isinstance(packet, bytes)
    header = parse(packet)
    fields = {**messages.head(header), **messages.decode(header, packet[FORM.size :])}
    return encoder.message(fields).hex().upper() == frame.upper()
