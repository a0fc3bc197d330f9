"""The jars of the embedded broker are exactly those of the lock file."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from cityops import kafka
from schemas.errors import Fatal


def test_the_committed_lock_reads_back_and_names_no_host() -> None:
    text = kafka.LOCK.read_text(encoding="utf-8")
    found = kafka.locked(text)
    assert kafka.lock_text(found) == text
    assert "kafka-server-4.3.0.jar" in found
    assert "://" not in text


@pytest.mark.parametrize(
    ("jars", "named"),
    [
        ({"a.jar": "0" * 64}, "b.jar differs.*have absent"),
        ({"a.jar": "0" * 64, "b.jar": "2" * 64}, "b.jar differs.*have 2{64}, locked 1{64}"),
        ({"a.jar": "0" * 64, "b.jar": "1" * 64, "c.jar": "3" * 64}, "c.jar differs.*locked absent"),
    ],
)
def test_any_difference_stops_the_start(jars: dict[str, str], named: str) -> None:
    with pytest.raises(Fatal, match=named):
        kafka.verify(jars, {"a.jar": "0" * 64, "b.jar": "1" * 64})


def test_a_changed_jar_has_another_digest(tmp_path: Path) -> None:
    jar = tmp_path / "a.jar"
    jar.write_bytes(b"one")
    before = kafka.digests([jar])
    jar.write_bytes(b"two")
    with pytest.raises(Fatal, match=r"a\.jar differs"):
        kafka.verify(kafka.digests([jar]), before)


def test_a_damaged_line_is_named() -> None:
    with pytest.raises(Fatal, match=r"kafka\.lock:2: .*'xyz'"):
        kafka.locked("# note\nxyz\n")


def test_the_broker_listens_on_the_loopback_only_and_creates_no_topic_by_itself(tmp_path: Path) -> None:
    lines = dict(line.split("=", 1) for line in kafka.properties(tmp_path, 9092, 9093).splitlines())
    assert lines["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert lines["auto.create.topics.enable"] == "false"
    assert lines["log.message.timestamp.type"] == "LogAppendTime"


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    assert kafka.cluster_id(uuid.UUID(int=2**128 - 1)) == "f____________________w"
    assert len(kafka.cluster_id(uuid.uuid4())) == 22
    assert not any(kafka.cluster_id(uuid.UUID(int=n << 120)).startswith("-") for n in range(256))
