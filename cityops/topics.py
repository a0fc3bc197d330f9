"""Creating the topics of ``schemas.topics`` on a broker."""

from __future__ import annotations

from collections.abc import Mapping

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.errors import KafkaError, TopicAlreadyExistsError

from schemas.errors import Fatal
from schemas.topics import Topic, all_topics

ANSWER_S = 10.0
"""How long a broker may take to answer before we say that there is none."""


def wanted(partitions: int) -> dict[str, int]:
    """Give the number of partitions of every topic by name."""
    return dict.fromkeys(all_topics(), partitions)


def configs(topic: Topic, bounds: Mapping[str, str]) -> dict[str, str]:
    """Give a topic's settings: its declared retention, and further bounds of the broker's owner."""
    return {"retention.ms": str(topic.retention_h * 3_600_000), **bounds}


def ensure_topics(
    bootstrap: str, partitions: int, *, bounds: Mapping[str, str] | None = None, timeout_s: float = ANSWER_S
) -> list[str]:
    """Create what is absent and give the names created; a topic with another number of partitions raises ``Fatal``.

    ``bounds`` are topic settings added to each (embedded: retention by size). Brokers that are still
    starting are waited for up to ``timeout_s``.
    """
    admin = connect(bootstrap, timeout_s)
    try:
        existing = {t["name"]: len(t["partitions"]) for t in admin.describe_topics()}
        plan = wanted(partitions)
        for name, count in plan.items():
            if name in existing and existing[name] != count:
                msg = (
                    f"topic {name} has {existing[name]} partitions, settings ask for {count}: sources would move; "
                    f"set kafka.partitions = {existing[name]}, or start with empty topics"
                )
                raise Fatal(msg)
        absent = [n for n in plan if n not in existing]
        _create(admin, absent, plan, bounds or {})
    except KafkaError as error:
        msg = f"{bootstrap}: topics could not be created: {error!r}"
        raise Fatal(msg) from error
    finally:
        admin.close()
    return absent


def _create(admin: KafkaAdminClient, names: list[str], plan: Mapping[str, int], bounds: Mapping[str, str]) -> None:
    if not names:
        return
    known = all_topics()
    topics = {n: {"num_partitions": plan[n], "replication_factor": -1, "configs": configs(known[n], bounds)} for n in names}
    try:
        admin.create_topics(topics, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        admin.wait_for_topics(names)  # another process was faster


def open_consumer(bootstrap: str) -> KafkaConsumer:
    """Give a reader outside any group; no broker within ``ANSWER_S`` raises ``Fatal``."""
    try:
        return KafkaConsumer(
            bootstrap_servers=bootstrap,
            request_timeout_ms=20_000,
            bootstrap_timeout_ms=int(ANSWER_S * 1000),
            enable_auto_commit=False,
        )
    except KafkaError as error:
        msg = f"no Kafka broker answers at {bootstrap}; start `cityops demo`, or set CITYOPS_KAFKA"
        raise Fatal(msg) from error


def connect(bootstrap: str, timeout_s: float) -> KafkaAdminClient:
    """Give an administrator's connection; no broker within ``timeout_s`` raises ``Fatal``."""
    try:
        return KafkaAdminClient(
            bootstrap_servers=bootstrap,
            request_timeout_ms=20_000,
            bootstrap_timeout_ms=int(timeout_s * 1000),
            reconnect_backoff_max_ms=1000,
        )
    except KafkaError as error:
        msg = f"no Kafka broker answers at {bootstrap}; start it, or unset CITYOPS_KAFKA to use the embedded one"
        raise Fatal(msg) from error
