"""What the small commands make of their input, without starting anything."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from cityops.connector_list import STALE_US, combine
from cityops.decode import one_a_line, pairs, whole
from cityops.demo import entities
from cityops.doctor import exposed
from cityops.tail import lines
from schemas.config import Config, Gateway, Kafka
from schemas.errors import Fatal
from schemas.events import ConnectorState
from schemas.topics import all_topics

NOW = 1_800_000_000_000_000


def test_lines_become_packets_and_a_bad_line_is_answered_in_its_place() -> None:
    out = io.StringIO()
    stream = one_a_line(io.BytesIO(b"7e 00\n\nzz\n7E01\n"), out, text=False)
    assert next(stream) == (b"\x7e\x00", "line 1")
    assert out.getvalue() == ""
    assert next(stream) == (b"\x7e\x01", "line 4")
    assert json.loads(out.getvalue())["rejects"][0]["reason"] == "bad_encoding"
    assert "line 3" in out.getvalue()


def test_text_packets_get_their_line_end_back() -> None:
    assert list(one_a_line(io.BytesIO(b"##0\r\n##1\n"), io.StringIO(), text=True)) == [
        (b"##0\r\n", "line 1"),
        (b"##1\r\n", "line 2"),
    ]


def test_a_file_is_one_packet(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\n\x00")
    assert list(whole([tmp_path / "a.bin"])) == [(b"\n\x00", "a.bin")]


def test_options_are_pairs() -> None:
    assert pairs(["a=1", "b=x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(Fatal, match="give key=value"):
        pairs(["a"])


def state(**changed: object) -> ConnectorState:
    fields: dict[str, object] = {
        "connector": "jt808", "type": "jt808", "run": "r", "health": "live", "at": NOW, "since": NOW, "kinds": ["bus_position"],
        "rate": 12.345, "last_reading": NOW,
    }  # fmt: skip
    return ConnectorState(**{**fields, **changed})  # type: ignore[arg-type]


def test_connectors_without_a_word_are_stopped() -> None:
    rows = {row["name"]: row for row in combine([], NOW)}
    assert {"jt808", "hj212", "gbfs"} <= rows.keys()
    assert all((row["state"], row["rate"], row["last_reading"]) == ("stopped", 0.0, None) for row in rows.values())
    assert rows["jt808"]["standard"] == "JT/T 808"


def test_a_fresh_word_counts_and_an_old_one_does_not() -> None:
    row = next(r for r in combine([state()], NOW) if r["name"] == "jt808")
    assert (row["state"], row["rate"], row["last_reading"], row["kinds"]) == (
        "live",
        12.35,
        "2027-01-15T08:00:00Z",
        ["bus_position"],
    )
    for old in (state(at=NOW - STALE_US - 1), state(health="down")):
        assert next(r for r in combine([old], NOW) if r["name"] == "jt808")["state"] == "stopped"


def test_instances_stand_beside_their_connector_and_replays_do_not() -> None:
    names = [r["name"] for r in combine([state(connector="coaches"), state(connector="replay-jt808")], NOW)]
    assert "coaches" in names and "jt808" in names and "replay-jt808" not in names


def test_entities_are_summed_over_kinds() -> None:
    text = '# TYPE cityops_gateway_entities gauge\ncityops_gateway_entities{kind="bus_position"} 3.0\ncityops_gateway_entities{kind="x"} 1.0\nother 9\n'
    assert entities(text) == 4.0
    assert entities("") == 0.0


def test_only_listeners_that_others_reach_are_told() -> None:
    safe = Config(
        connectors={"jt808": {"listen": "127.0.0.1:1", "authentication": "none"}, "gbfs": {"url": "http://example.org"}}
    )
    assert list(exposed(safe)) == []
    open_ones = Config(
        gateway=Gateway(host="0.0.0.0"),
        kafka=Kafka(bootstrap="10.0.0.1:9092"),
        connectors={
            "jt808": {"listen": "0.0.0.0:1", "authentication": "none"},
            "b": {"listen": "[::]:2", "tls_cert": "c", "tls_key": "k"},
        },
    )
    assert [name for name, _ in exposed(open_ones)] == ["gateway", "jt808", "jt808", "kafka"]


def test_tail_shows_json_and_tells_what_is_no_frame() -> None:
    topics = all_topics()
    assert list(lines(topics["alerts"], b'{"id": "a"}', [])) == [{"id": "a"}]
    assert "no frame header" in next(iter(lines(topics["raw-transport"], b"x", [])))["error"]
