"""Which table holds a kind, and what tells two of its rows apart."""

from __future__ import annotations

from functools import cache

from schemas.derive import fields
from schemas.kinds import all_kinds
from schemas.kinds import kind as kind_by_name

WINDOWS = "windows"
"""Table of the kind ``window``, whose own name is a reserved word of SQL."""
OWN = ("window", "reject")
"""Kinds that CityOps makes itself; they have statements of their own and no place in the ledger's sums of readings."""


def table_of(kind: str) -> str:
    """Name the table of a kind; unknown kinds raise ``KeyError``, so the name is safe inside SQL."""
    if kind not in all_kinds():
        msg = f"no table for kind {kind!r}; known: {', '.join(sorted(all_kinds()))}"
        raise KeyError(msg)
    return WINDOWS if kind == "window" else kind


def time_of(kind: str) -> str:
    """Name the column by which a kind's table is cut into days.

    Refused rows are kept by arrival: their event time may be the very thing that was wrong.
    """
    return "seen_at" if kind == "reject" else "ts"


@cache
def columns(kind: str) -> tuple[str, ...]:
    """Name the columns of a kind's table, in order."""
    return tuple(f.name for f in fields(kind, "clean"))


def quoted(names: tuple[str, ...], prefix: str = "") -> str:
    """Give declared column names as an SQL list."""
    return ", ".join(f'{prefix}"{name}"' for name in names)


@cache
def identity(kind: str) -> tuple[str, ...]:
    """Name the columns that, taken together, two different readings of a kind never share."""
    return ("source", "ts", "serial", *kind_by_name(kind).parts)


def reading_kinds() -> tuple[str, ...]:
    """Give the kinds that devices feed, in order of declaration."""
    return tuple(k for k in all_kinds() if k not in OWN)
