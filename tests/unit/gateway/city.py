"""What the gateway's tests build on: batches of readings, alerts, a page that applies frames, parts without a database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from gateway.commands import Commander
from gateway.live.hub import Hub
from gateway.live.view import Part
from gateway.parts import Parts
from gateway.sessions import Sessions
from schemas import messages
from schemas.config import Config, Gateway
from schemas.derive import arrow_schema
from schemas.events import Alert, AlertCommand, AlertEvent
from schemas.messages import DELTA, REMOVE, SNAPSHOT

NOW = 1_764_000_000_000_000
SECOND = 1_000_000


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


def batch(kind: str, *rows: dict[str, Any]) -> pa.RecordBatch:
    """Give clean readings; ``ts`` defaults to NOW, arrival to one second later."""
    full = [{"ts": NOW, "quality": 0, **row} for row in rows]
    full = [{"seen_at": row["ts"] + SECOND, **row} for row in full]
    schema = arrow_schema(kind, "clean")
    return pa.RecordBatch.from_pylist([{f.name: row.get(f.name) for f in schema} for row in full], schema=schema)


def bus(source: str, lon: float | None = 112.85, lat: float | None = 35.5, **more: Any) -> dict[str, Any]:
    return {"source": source, "lon": lon, "lat": lat, "speed": 10.0, "heading": 90.0, **more}


def alert(**changes: Any) -> Alert:
    base: dict[str, Any] = {
        "id": "a1",
        "version": 1,
        "status": "open",
        "rule": "bus-overspeed",
        "rule_version": 1,
        "severity": "major",
        "kind": "bus_position",
        "source": "b1",
        "started": NOW,
        "last": NOW,
        "opened_at": NOW,
        "lon": 112.853123,
        "lat": 35.501987,
    }
    return Alert(**{**base, **changes})


class Page:
    """A client's end: applies parts as the dashboard does and remembers what it shows."""

    def __init__(self) -> None:
        self.layers: dict[int, dict[int, tuple[Any, ...]]] = {}
        self.names: dict[tuple[int, int], tuple[str, str]] = {}
        self.frames = 0

    def apply(self, parts: list[Part]) -> None:
        for part in parts:
            if isinstance(part, str):
                said = json.loads(part)
                assert said["op"] == "names"
                for slot, source, label in zip(said["slots"], said["sources"], said["labels"], strict=True):
                    self.names[said["layer"], slot] = (source, label)
            else:
                self.frames += 1
                self._frame(part)

    def _frame(self, part: bytes) -> None:
        kind, number, _, columns = messages.unpack(part)
        layer = self.layers.setdefault(number, {})
        if kind == SNAPSHOT:
            layer.clear()
        if kind == REMOVE:
            for slot in columns["slot"].tolist():
                layer.pop(slot, None)
            return
        assert kind in (SNAPSHOT, DELTA)
        names = [name for name, _ in messages.COLUMNS if name not in ("slot", "age_s")]
        rows = zip(*(columns[name].tolist() for name in names), strict=True)
        layer.update(zip(columns["slot"].tolist(), rows, strict=True))

    def shows(self) -> dict[tuple[int, str, str], tuple[Any, ...]]:
        """Give what is on the map, by layer, source and label."""
        return {(n, *self.names[n, slot]): row for n, layer in self.layers.items() for slot, row in layer.items()}


class Outbox:
    """Collects commands; ``refuse`` makes it raise."""

    def __init__(self) -> None:
        self.sent: list[AlertCommand] = []
        self.refuse: Exception | None = None

    async def send(self, command: AlertCommand) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.sent.append(command)


async def nothing(_: str) -> AlertEvent | None:
    return None


async def no_trouble() -> list[str]:
    return []


def parts(clock: Clock, tmp: Path, *, static: Path | None = None, pool: Any = None, origins: list[str] | None = None) -> Parts:
    """Give parts whose sessions know nobody unless ``pool`` is a database."""
    return Parts(
        config=Config(data_dir=str(tmp), gateway=Gateway(origins=origins or [])),
        pool=cast("Any", pool),
        hub=Hub("e1"),
        sessions=Sessions(pool, b"k" * 32, clock, 12.0),
        commander=Commander(Outbox(), nothing),
        clock=clock,
        trouble=no_trouble,
        build="test",
        static=static,
    )
