"""HJ 212 against frames that others published; they stay outside the project."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from connectors._api import registry
from connectors._api.session import Peer, describe
from connectors.hj212 import encoder
from connectors.hj212.framing import Framing
from schemas.errors import Reject

FILES = {"hj212_standard": (78, 0), "hj212_hj212virtual": (54, 0), "hj212_repos": (13, 5)}
"""Frames that must decode, and frames that must be refused."""


def decoded(row: dict[str, Any]) -> list[dict[str, Any] | Reject]:
    connector = registry.load("hj212")
    settings = connector.manifest.resolve({}, "test")
    framing, session = Framing(settings), connector.make_session(settings, Peer("hj212"))
    wire = encoder.frame(row["text"]) if row["kind"] == "segment" else row["text"].encode()
    packets = [*framing.feed(wire), *framing.flush()]
    return [p if isinstance(p, Reject) else describe(session.receive(p, 1)) for p in packets]


@pytest.mark.parametrize("name", FILES)
def test_published_frames(recordings: Path, name: str) -> None:
    found: Counter[str] = Counter()
    for line in (recordings / "vectors" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        checks = row.get("checks", {"length_ok": True, "crc_of_ours": True})
        results = decoded(row)
        if not (checks["length_ok"] and any(ok for check, ok in checks.items() if check.startswith("crc"))):
            assert results and all(isinstance(r, Reject) and r.detail and r.raw for r in results), row["text"]
            found["refused"] += 1
            continue
        (result,) = results
        assert isinstance(result, dict), (row["text"], result)
        for field, value in {**row["derived"], **row.get("expect", {})}.items():
            assert result["message"][field] == value, (row["text"], field)
        assert not result["rejects"], (row["text"], result["rejects"])
        found["decoded"] += 1
    print(f"{name}: {found['decoded']} decoded with every field equal, {found['refused']} refused")
    assert (found["decoded"], found["refused"]) == FILES[name]
