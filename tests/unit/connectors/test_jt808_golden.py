"""The golden cases of JT/T 808, written from the standard's tables."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors._api import Peer, Received, Reject, describe, load
from connectors._api.golden import Case, cases, packet

JT808 = load("jt808")
GOLDEN = cases(JT808.path)
SEEN_AT = {"2026-11-01T00:00:00Z": 1_793_491_200_000_000}


def run(case: Case) -> list[dict[str, Any]]:
    """Each step as ``cityops decode`` runs it: all its packets through one session, results merged."""
    settings = JT808.manifest.resolve(case.settings, case.name)
    session = JT808.make_session(settings, Peer("golden"))
    results = []
    for step in case.steps:
        framing = JT808.make_framing(settings)
        merged: dict[str, Any] = {"message": None, "readings": [], "replies": [], "rejects": []}
        for found in [*framing.feed(packet(step, JT808.path)), *framing.flush()]:
            received = Received(rejects=[found]) if isinstance(found, Reject) else session.receive(found, SEEN_AT[case.seen_at])
            shown = describe(received)
            merged["message"] = shown["message"] or merged["message"]
            for key in ("readings", "replies", "rejects"):
                merged[key] += shown[key]
        results.append(merged)
    return results


def test_there_are_cases() -> None:
    assert len(GOLDEN) >= 30


def check(case: Case) -> None:
    for step, got in zip(case.steps, run(case), strict=True):
        if step.message is not None:
            assert got["message"] is not None
            assert {k: got["message"].get(k) for k in step.message} == step.message
        assert len(got["readings"]) == len(step.readings)
        for reading, wanted in zip(got["readings"], step.readings, strict=True):
            assert {k: reading.get(k) for k in wanted} == wanted
        assert got["replies"] == step.replies
        assert [r["reason"] for r in got["rejects"]] == step.rejects


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_case(name: str) -> None:
    check(GOLDEN[name])


@pytest.mark.parametrize("planted", [{"readings": []}, {"replies": []}, {"rejects": ["bad_field"]}, {"message": {"speed": 1}}])
def test_a_planted_error_is_caught(planted: dict[str, Any]) -> None:
    case = GOLDEN["location_2013"]
    wrong = msgspec.structs.replace(case, steps=[msgspec.structs.replace(case.steps[0], **planted)])
    with pytest.raises(AssertionError):
        check(wrong)
