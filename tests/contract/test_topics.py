"""Every topic is written, read, documented, and found by its kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from cityops.topics import wanted
from gateway.live.feed import Feed
from gateway.live.hub import Hub
from schemas import topics
from schemas.config import Config
from schemas.config import Kafka as KafkaSettings
from schemas.kinds import all_kinds
from streams.worker import STREAM_AGENTS, Worker
from tests.contract.checks import REPO
from tests.contract.checks import topics as checks

ALL = topics.all_topics()


def test_topics_are_named_alike_and_have_a_writer_and_a_reader() -> None:
    assert len(ALL) > 10
    assert checks.complaints(ALL.values()) == []


def test_agents_and_gateway_read_what_the_declaration_says(tmp_path: Path) -> None:
    worker = Worker.__new__(Worker)
    worker._config, worker._slot = Config(data_dir=str(tmp_path)), 0
    reads = {name: set(worker._agent(name).topics) for name in (*STREAM_AGENTS, "store")}
    reads["gateway"] = set(Feed(KafkaSettings(), Hub(epoch="e"), lambda: 0).topics)
    assert checks.reader_complaints(ALL.values(), {name: found & ALL.keys() for name, found in reads.items()}) == []
    assert {t for found in reads.values() for t in found} <= ALL.keys()


def test_the_reference_lists_every_topic() -> None:
    text = (REPO / "docs/reference/topics.md").read_text(encoding="utf-8")
    assert [name for name in ALL if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("kind", sorted(all_kinds()))
def test_a_kinds_frames_have_a_topic_at_each_stage(kind: str) -> None:
    assert ALL[topics.frame_topic(kind, "raw")].carries == "frames"
    assert ALL[topics.frame_topic(kind, "clean")].carries == "frames"


def test_all_topics_are_created_with_the_same_number_of_partitions() -> None:
    plan = wanted(4)
    assert {plan[name] for name in ALL} == {4}, "a source is in the same partition of every topic"


def test_a_source_keeps_its_partition_for_ever() -> None:
    assert topics.bucket("123456789", 2**32) == 0xCBF43926, "the check value of CRC-32"
    assert topics.bucket("沪A12345", 4) == topics.bucket("沪A12345", 2**32) % 4
