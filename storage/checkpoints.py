"""How far an agent has come in a partition, and what it holds in memory there.

Saved inside the transaction that writes the agent's output: the old offset is compared and replaced, so of two
processes that believe they own a partition exactly one commits, and the other learns it.
"""

# ruff: noqa: S608 - every name put into SQL here is declared in code, every value is a parameter
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from storage.connect import Connection, Pool, passing_faults

Mark = tuple[str, str, int]
"""Connector, run and bucket: what frames are numbered within."""


class Fenced(Exception):  # noqa: N818 - a verdict on who owns the partition, not an error of ours
    """Another owner of the partition has committed since; this one must drop its memory and stop."""


@dataclass(slots=True)
class Checkpoint:
    """Where an agent stands in a partition; both offsets are None before its first commit.

    Frames below ``next_offset`` are done. ``replay_from`` is the offset from which memory can be rebuilt.
    ``marks`` holds the last frame number seen of each stream of frames; ``state`` what the agent saved.
    """

    next_offset: int | None = None
    replay_from: int | None = None
    marks: dict[Mark, int] = field(default_factory=dict)
    state: dict[str, bytes] = field(default_factory=dict)


async def load(pool: Pool, agent: str, topic: str, partition: int) -> Checkpoint:
    """Read where the agent stands, as of one moment; a database that is away raises ``Retry``."""
    key = (agent, topic, partition)
    where = "WHERE agent = $1 AND topic = $2 AND partition = $3"
    with passing_faults():
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            row = await connection.fetchrow(f"SELECT next_offset, replay_from FROM checkpoints {where}", *key)
            marks = await connection.fetch(f"SELECT connector, run, bucket, seq FROM checkpoint_marks {where}", *key)
            state = await connection.fetch(f"SELECT key, value FROM checkpoint_state {where}", *key)
    return Checkpoint(
        next_offset=row["next_offset"] if row else None,
        replay_from=row["replay_from"] if row else None,
        marks={(m["connector"], m["run"], m["bucket"]): m["seq"] for m in marks},
        state={s["key"]: s["value"] for s in state},
    )


async def save(
    connection: Connection,
    agent: str,
    topic: str,
    partition: int,
    *,
    expected: int | None,
    next_offset: int,
    replay_from: int,
    marks: Mapping[Mark, int],
    state: Mapping[str, bytes | None],
) -> None:
    """Move the checkpoint from ``expected`` (None: there is none yet) to ``next_offset``, or raise ``Fenced``.

    Call it first in the transaction that holds the output: the row stays locked until that commits, and a second
    owner waits for it and then fails. Marks only grow; a state of None is deleted, absent keys stay as they are.
    """
    key = (agent, topic, partition)
    if expected is None:
        statement = (
            "INSERT INTO checkpoints (agent, topic, partition, next_offset, replay_from)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
        )
        done = await connection.execute(statement, *key, next_offset, replay_from)
    else:
        statement = (
            "UPDATE checkpoints SET next_offset = $4, replay_from = $5, updated_at = now()"
            " WHERE agent = $1 AND topic = $2 AND partition = $3 AND next_offset = $6"
        )
        done = await connection.execute(statement, *key, next_offset, replay_from, expected)
    if done.split()[-1] != "1":
        msg = f"{agent} does not own {topic}/{partition}: its checkpoint is no longer at {expected}"
        raise Fenced(msg)
    await _save_marks(connection, key, marks)
    await _save_state(connection, key, state)


async def _save_marks(connection: Connection, key: tuple[str, str, int], marks: Mapping[Mark, int]) -> None:
    if not marks:
        return
    statement = (
        "INSERT INTO checkpoint_marks AS m (agent, topic, partition, connector, run, bucket, seq)"
        " SELECT $1, $2, $3, * FROM unnest($4::text[], $5::text[], $6::int[], $7::bigint[])"
        " ON CONFLICT (agent, topic, partition, connector, run, bucket)"
        " DO UPDATE SET seq = excluded.seq, updated_at = now() WHERE excluded.seq > m.seq"
    )
    names = list(marks)
    columns = ([m[0] for m in names], [m[1] for m in names], [m[2] for m in names], [marks[m] for m in names])
    await connection.execute(statement, *key, *columns)


async def _save_state(connection: Connection, key: tuple[str, str, int], state: Mapping[str, bytes | None]) -> None:
    gone = [name for name, value in state.items() if value is None]
    kept = {name: value for name, value in state.items() if value is not None}
    if gone:
        statement = "DELETE FROM checkpoint_state WHERE agent = $1 AND topic = $2 AND partition = $3 AND key = ANY($4)"
        await connection.execute(statement, *key, gone)
    if kept:
        statement = (
            "INSERT INTO checkpoint_state (agent, topic, partition, key, value)"
            " SELECT $1, $2, $3, * FROM unnest($4::text[], $5::bytea[])"
            " ON CONFLICT (agent, topic, partition, key) DO UPDATE SET value = excluded.value, updated_at = now()"
        )
        await connection.execute(statement, *key, list(kept), list(kept.values()))
