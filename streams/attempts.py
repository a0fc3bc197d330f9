"""How often a batch was begun and not finished: what tells a poison frame from bad luck.

Kept in a file beside the worker's lock, because the process that meets a poison frame may not live to say so.
A worker killed while it only waited for Kafka or the database has not failed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

BATCH_TRIES = 2
"""Failures of a batch after which its records are tried one by one."""
RECORD_TRIES = 2
"""Failures of a record tried alone after which it is set aside."""
Phase = Literal["computing", "waiting", "failed"]


class Attempt(msgspec.Struct):
    """The batch last begun of one partition: records from ``start`` to before ``end``, begun ``tries`` times."""

    start: int
    end: int
    tries: int
    careful_to: int = 0
    """Up to here, records are tried one by one."""
    phase: Phase = "computing"


class Attempts:
    """The batches in hand of one agent, by ``topic/partition``."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._last = _read(path.read_bytes() if path.exists() else b"")
        for attempt in self._last.values():
            if attempt.phase == "waiting":
                attempt.tries -= 1

    def begin(self, place: str, start: int, end: int) -> tuple[int, bool]:
        """Note that a batch is begun; give how many of its records to take, and whether to set the first one aside."""
        last = self._last.get(place)
        if last is None or last.start != start:
            careful_to = last.careful_to if last is not None else 0
            last = Attempt(start, end, 0, careful_to)
        alone = start < last.careful_to
        aside = alone and last.tries >= RECORD_TRIES
        if not alone and last.tries >= BATCH_TRIES:
            last = Attempt(start, end, 0, max(end, last.end))
            alone = True
        last.tries += 1
        last.phase = "computing"
        last.end = start + 1 if alone else end
        self._last[place] = last
        return last.end - start, aside

    def wait(self) -> None:
        """Note that all batches in hand are computed and only wait for others."""
        self._set("waiting")

    def fail(self) -> None:
        """Note that a batch in hand raised an unexpected error; the process is about to end."""
        self._set("failed")

    def save(self) -> None:
        """Write the file; cheap, for nothing needs to survive the machine."""
        self._path.write_bytes(msgspec.json.encode(self._last))

    def _set(self, phase: Phase) -> None:
        for attempt in self._last.values():
            attempt.phase = phase
        self.save()


def _read(content: bytes) -> dict[str, Attempt]:
    try:
        return msgspec.json.decode(content or b"{}", type=dict[str, Attempt])
    except msgspec.MsgspecError:  # torn by a power cut: nothing is known of earlier tries
        return {}
