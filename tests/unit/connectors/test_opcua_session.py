"""OPC UA: packets of the client to readings with quality, merging, points, and the encoder's round trip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api import registry
from connectors._api.session import Peer, Received, Session
from connectors.opcua import change, encoder, status
from schemas.errors import Fatal, Reject

NOW: Final = 1_793_491_200_000_000
SECOND: Final = 1_000_000
PRESSURE, RUN, FAULT = "ns=2;s=Pump1.Pressure", "ns=2;s=Pump1.Run", "ns=2;i=1007"
POINTS: Final[dict[str, Any]] = {
    PRESSURE: {"source": "pump-1", "kind": "water_node", "field": "pressure", "scale": 1e6},
    RUN: {"source": "pump-1", "kind": "water_node", "field": "pump_on"},
    FAULT: {"source": "lamp-7", "kind": "streetlight", "field": "fault", "values": {"1": "lamp", "Open": "contactor"}},
}


def session(**given_settings: Any) -> Session:
    connector = registry.load("opcua")
    return connector.make_session(connector.manifest.resolve({"points": POINTS, **given_settings}, "test"), Peer("test"))


def hear(*changes: dict[str, Any], host: Session | None = None) -> Received:
    return (host or session()).receive(encoder.packet(changes), NOW + 5 * SECOND)


@given(
    node=st.text(st.characters(codec="utf-8")),
    value=st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    ts=st.none() | st.integers(1, 4_000_000_000_000_000),
    code=st.integers(0, (1 << 32) - 1),
)
def test_a_change_that_is_written_is_read(node: str, value: Any, ts: int | None, code: int) -> None:
    (found,) = change.read(encoder.packet([encoder.change(node, value, ts, status=code)]))
    assert (found.node, found.value, found.status) == (node, value, code)
    assert change.moment(found, NOW) == change.Moment(NOW if ts is None else ts, code)


def test_changes_of_one_moment_are_one_reading_and_others_are_others() -> None:
    changes = [
        encoder.change(PRESSURE, 0.4, NOW),
        encoder.change(RUN, True, NOW),
        encoder.change(FAULT, 1, NOW),
        encoder.change(PRESSURE, 0.5, NOW + SECOND),
        encoder.change("ns=2;s=Nobody", 1, NOW),
    ]
    received = hear(*changes)
    assert [(r.source, r.ts) for r in received.readings] == [("pump-1", NOW), ("lamp-7", NOW), ("pump-1", NOW + SECOND)]
    pump, lamp, later = received.readings
    assert (pump.pressure, pump.pump_on, later.pressure, later.pump_on) == (4e5, True, 5e5, None)  # type: ignore[attr-defined]
    assert (lamp.fault, pump.serial, pump.flag) == ("lamp", later.serial, None)  # type: ignore[attr-defined]
    assert received.message is not None
    assert len(received.message["changes"]) == 5


@pytest.mark.parametrize(
    ("code", "flag", "pressure"),
    [
        ("Good", None, 4e5),
        ("GoodClamped", None, 4e5),
        (0x0000_0400, None, 4e5),
        ("UncertainSensorNotAccurate", "uncertain", 4e5),
        (0x4000_1234, "uncertain", 4e5),
        ("BadNoCommunication", "bad", None),
        (0xC000_0000, "bad", None),
    ],
)
def test_quality(code: int | str, flag: str | None, pressure: float | None) -> None:
    number = status.CODES[code] if isinstance(code, str) else code
    received = hear(encoder.change(PRESSURE, 0.4, NOW, status=number))
    (reading,) = received.readings
    assert (reading.flag, reading.pressure) == (flag, pressure)  # type: ignore[attr-defined]
    assert received.message is not None
    assert received.message["status_name"] == (code if isinstance(code, str) else status.name(code))


def test_good_and_bad_of_one_moment_are_told_apart() -> None:
    bad = status.CODES["BadSensorFailure"]
    first, second = hear(encoder.change(PRESSURE, 0.0, NOW, status=bad), encoder.change(RUN, 0, NOW)).readings
    assert (first.flag, second.flag, second.pump_on) == ("bad", None, False)  # type: ignore[attr-defined]
    assert first.serial != second.serial


def test_values_without_meaning_or_of_another_type_are_left_out_or_refused() -> None:
    assert not hear(encoder.change(FAULT, 2, NOW), encoder.change(FAULT, None, NOW)).readings
    assert hear(encoder.change(FAULT, "Open", NOW)).readings[0].fault == "contactor"  # type: ignore[attr-defined]
    for value in ("0.4", [0.4], {"x": 1}, 10**400):
        received = (hear if not isinstance(value, int) else _hear_text)(encoder.change(PRESSURE, value, NOW))
        assert ([r.reason for r in received.rejects], received.readings) == (["bad_field"], []), value


def _hear_text(one: dict[str, Any]) -> Received:
    return session().receive(json.dumps(one).encode(), NOW)


def test_a_batch_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "MOST", 2)
    with pytest.raises(Reject, match="limit is 2"):
        hear(*[encoder.change(RUN, 1, NOW)] * 3)


def test_points_name_what_is_wrong_with_them(tmp_path: Path) -> None:
    good = POINTS[PRESSURE]
    for row, what in (
        ({"kind": "water_node"}, "source"),
        ({**good, "field": "altitude"}, "altitude"),
        ({**good, "kind": "bus_position"}, "bus_position"),
    ):
        with pytest.raises(Fatal, match=what):
            session(points={PRESSURE: row})
    file = tmp_path / "points.toml"
    file.write_text(f'["{PRESSURE}"]\nsource = "pump-9"\nkind = "water_node"\nfield = "level"\n')
    made = session(points={}, points_file=str(file))
    assert hear(encoder.change(PRESSURE, 3, NOW), host=made).readings[0].level == 3  # type: ignore[attr-defined]
    assert hear(encoder.change(PRESSURE, 3, NOW), host=session(points_file=str(file))).readings[0].source == "pump-1"
