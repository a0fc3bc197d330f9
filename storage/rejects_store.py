"""Rejects as people work through them: found by id or filter, and marked as replayed or discarded."""

# ruff: noqa: S608 - every name put into SQL here is declared in code, every value is a parameter
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import msgspec

from storage.connect import Pool, passing_faults

State = Literal["open", "replayed", "discarded"]
STATES: Final[tuple[State, ...]] = get_args(State)


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """One reject: what was refused, why, by which version, and what has become of it; times are microseconds UTC.

    ``reason`` and ``detail`` are those of the last replay where there was one, ``first_...`` those it came with.
    """

    id: str
    seen_at: int
    ts: int
    connector: str
    connector_type: str | None = None
    connector_version: str | None = None
    source: str
    serial: int | None = None
    stage: str
    reason: str
    detail: str | None = None
    first_reason: str
    first_detail: str | None = None
    raw: bytes | None = None
    refused_kind: str | None = None
    state: State = "open"
    actor: str | None = None
    at: int | None = None
    tries: int = 0


COLUMNS: Final = ", ".join(Refused.__struct_fields__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rejects: by id, or by filters that all must hold; newest arrivals first."""

    ids: Sequence[str] = ()
    connector: str | None = None
    reason: str | None = None
    since: int | None = None
    state: State | None = None
    limit: int | None = 100

    @property
    def everything(self) -> bool:
        """Whether nothing narrows the choice."""
        return not (self.ids or self.connector or self.reason or self.since is not None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What has become of one reject; ``reason`` and ``detail`` tell why a replay refused it again."""

    refused: Refused
    state: State
    reason: str | None = None
    detail: str | None = None


async def find(pool: Pool, wanted: Wanted) -> list[Refused]:
    """Give the rejects asked for; an id that names none is passed over."""
    arrivals = [at for at in map(arrival, wanted.ids) if at is not None]
    statement = (
        f"SELECT {COLUMNS} FROM rejects WHERE ($1::timestamptz[] IS NULL OR (seen_at = ANY($1) AND id = ANY($2::text[])))"
        " AND ($3::text IS NULL OR connector = $3) AND ($4::text IS NULL OR reason = $4)"
        " AND ($5::timestamptz IS NULL OR seen_at >= $5) AND ($6::text IS NULL OR state = $6)"
        " ORDER BY seen_at DESC, id LIMIT $7"
    )
    filters = (wanted.connector, wanted.reason, wanted.since, wanted.state, wanted.limit)
    with passing_faults():
        rows = await pool.fetch(statement, arrivals if wanted.ids else None, list(wanted.ids), *filters)
    return [msgspec.convert(dict(row), Refused) for row in rows]


def arrival(id: str) -> int | None:
    """Give the arrival that an id begins with; None where it is no id."""
    try:
        return int(id.partition("-")[0], 16)
    except ValueError:
        return None


async def mark(pool: Pool, verdicts: Iterable[Verdict], *, actor: str, at: int, replayed: bool) -> None:
    """Note what has become of rejects, all or none; ``replayed`` counts one more try of each."""
    statement = (
        "INSERT INTO reject_states (id, seen_at, state, actor, at, tries, reason, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        " ON CONFLICT (id) DO UPDATE SET state = excluded.state, actor = excluded.actor, at = excluded.at,"
        " tries = reject_states.tries + excluded.tries, reason = excluded.reason, detail = excluded.detail"
    )
    rows = [(v.refused.id, v.refused.seen_at, v.state, actor, at, int(replayed), v.reason, v.detail) for v in verdicts]
    with passing_faults():
        async with pool.acquire() as connection, connection.transaction():
            await connection.executemany(statement, rows)
