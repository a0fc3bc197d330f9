"""The stack itself: fresh topics are empty, fresh databases are apart, and the broker keeps data over kill -9."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psycopg
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from cityops.embedded import Embedded
from cityops.place import Place
from cityops.topics import ensure_topics
from schemas.errors import Fatal
from schemas.topics import FINDINGS
from tests.integration.stack import Stack


def put(bootstrap: str, count: int) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    try:
        for future in [producer.send(FINDINGS, b"%d" % n, partition=0) for n in range(count)]:
            future.get(20)
    finally:
        producer.close()


def end(bootstrap: str) -> int:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    try:
        spot = TopicPartition(FINDINGS, 0)
        return int(consumer.end_offsets([spot])[spot])
    finally:
        consumer.close()


def test_topics_are_empty_again(stack: Stack) -> None:
    first = stack.fresh_topics()
    put(first, 3)
    assert end(first) == 3
    assert end(stack.fresh_topics()) == 0


def test_topics_are_created_once_and_their_partitions_are_settled(kafka: str) -> None:
    assert ensure_topics(kafka, 4) == []
    with pytest.raises(Fatal, match=r"has 4 partitions, settings ask for 5.*kafka\.partitions = 4"):
        ensure_topics(kafka, 5)


def test_databases_are_apart(stack: Stack) -> None:
    with stack.fresh_database() as one, stack.fresh_database() as two:
        with psycopg.connect(one) as connection:
            connection.execute("CREATE TABLE seen (n int)")
        with psycopg.connect(two) as connection:
            assert connection.execute("SELECT to_regclass('seen')").fetchone() == (None,)


def test_broker_keeps_its_data_over_kill_9(tmp_path: Path) -> None:
    with Embedded(tmp_path, postgres=False) as embedded:
        embedded.topics(2)
        put(embedded.bootstrap, 500)
        assert embedded.kafka is not None and embedded.kafka.process.pid is not None
        os.kill(embedded.kafka.process.pid, signal.SIGKILL)
        assert embedded.kafka.process.stop(5) == -signal.SIGKILL
        embedded.kafka.start()
        embedded.kafka.wait_ready()
        assert end(embedded.bootstrap) == 500
        bootstrap = embedded.bootstrap
    with Embedded(tmp_path, postgres=False) as again:
        assert again.bootstrap == bootstrap
        assert end(again.bootstrap) == 500


def test_a_folder_serves_one_process(tmp_path: Path) -> None:
    first, second = Place(tmp_path), Place(tmp_path)
    first.lock()
    with pytest.raises(Fatal, match=f"already in use by process {os.getpid()}"):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()
