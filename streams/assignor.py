"""Which worker reads which partition: number p of every topic goes to the same worker.

Commands and findings of one alert share a partition number, so their state must sit in one process;
round robin over all topics together would tear them apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)


class CopartitionAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka is untyped
    """Gives partition p of every topic to member p mod n, members in order of their ids."""

    name = "cityops-copartition"
    version = 0

    @classmethod
    def assign(cls, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        """Give every member its partitions."""
        wanted = {m: set(meta.subscription) for m, meta in members.items()}
        partitions = {t: cluster.partitions_for_topic(t) or set() for t in set().union(*wanted.values())}
        shares = share(wanted, partitions)
        return {
            member: ConsumerProtocolMemberAssignment(
                cls.version, sorted((t, sorted(ps)) for t, ps in shares[member].items()), b""
            )
            for member in members
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> Any:
        """Give what a member tells the group about itself."""
        return ConsumerProtocolMemberMetadata(cls.version, sorted(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: Any) -> None:
        """Nothing is kept between assignments."""


def share(wanted: Mapping[str, set[str]], partitions: Mapping[str, Iterable[int]]) -> dict[str, dict[str, list[int]]]:
    """Give each member its partitions by topic; only members that want a topic get any of it."""
    shares: dict[str, dict[str, list[int]]] = {m: defaultdict(list) for m in wanted}
    for topic, numbers in partitions.items():
        takers = sorted(m for m, topics in wanted.items() if topic in topics)
        for number in sorted(numbers):
            shares[takers[number % len(takers)]][topic].append(number)
    return shares
