"""Holes in the numbering of frames: frames that were made and never reached the store."""

from __future__ import annotations

from collections.abc import Sequence

from storage.checkpoints import Mark
from storage.connect import Connection


async def save(connection: Connection, topic: str, holes: Sequence[tuple[Mark, int, int]]) -> None:
    """Note holes found in a topic, inside the caller's transaction: stream, first and last number missing."""
    if not holes:
        return
    lines = [(connector, run, topic, bucket, first, last) for (connector, run, bucket), first, last in holes]
    await connection.execute(
        "INSERT INTO frame_gaps (connector, run, topic, bucket, first_seq, last_seq)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::bigint[])"
        " ON CONFLICT DO NOTHING",
        *map(list, zip(*lines, strict=True)),
    )
