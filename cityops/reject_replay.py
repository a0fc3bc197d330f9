"""What a connector says today of what it refused, and the way of the accepted ones to the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
import pyarrow as pa

from cityops.decode import pairs
from connectors._api import registry
from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Message, Peer, Received
from connectors._host.builder import RAW_LIMIT
from connectors._host.cut import cut
from connectors._host.decode import table_from_text
from connectors._host.intake import guarded
from connectors._host.replay import PAST_US
from schemas.config import Config
from schemas.derive import TIMES
from schemas.errors import Fatal, Reject
from schemas.frame import from_readings
from schemas.kinds import all_kinds
from schemas.kinds import kind as kind_by_name
from schemas.reading import Lane, Reading, kind_of
from storage.rejects_store import Refused
from streams.steps.sources import Columns
from streams.steps.validate import check

FRAMING: Final = frozenset({"bad_checksum", "bad_escape", "too_large"})
"""Reasons of framings: such bytes never reach a session past the framing that refused them."""
EITHER: Final = frozenset({"bad_frame", "bad_length", "bad_encoding"})
"""Reasons of framings and of sessions."""
DECODE: Final = "decode"
FRAME: Final = b"\xff\xff\xff\xff"
"""What an Arrow stream begins with: a whole frame was set aside."""
REPLAYED: Final = "replay-"


@dataclass(frozen=True, slots=True)
class Judged:
    """What a reject's bytes give today; ``refusal`` is why they are still refused, None where they are accepted."""

    refused: Refused
    received: Received
    refusal: Reject | None = None


class Judge:
    """Decodes rejects with the connectors and settings of today."""

    def __init__(self, config: Config, given: Sequence[str], lane: Lane | None, now: int) -> None:
        self._config = config
        self._given = pairs(given)
        self._lane = lane
        self._now = now
        self._settings: dict[tuple[str, str], Settings] = {}

    def connector_of(self, refused: Refused) -> Connector:
        """Give the connector that an instance's rejects belong to; ``Fatal`` where it is installed no more."""
        table = self._config.connectors.get(refused.connector, {})
        name = refused.connector.removeprefix(REPLAYED)
        return registry.load(str(refused.connector_type or table.get("type", name)))

    def settings_of(self, refused: Refused, connector: Connector) -> Settings:
        """Give the settings of its instance, else of the first of that connector, else the defaults; ``--set`` on top."""
        key = (refused.connector, connector.type)
        if key not in self._settings:
            of_type = (t for name, t in self._config.connectors.items() if str(t.get("type", name)) == connector.type)
            table = self._config.connectors.get(refused.connector) or next(of_type, {})
            own = {name: value for name, value in table.items() if name in connector.manifest.settings}
            own |= table_from_text(connector.manifest, self._given)
            self._settings[key] = connector.manifest.resolve(own, f"connectors.{refused.connector}")
        return self._settings[key]

    def judge(self, refused: Refused) -> Judged:
        """Say what a reject's bytes give today; nothing is accepted in part."""
        try:
            received = self._received(refused)
            return Judged(refused, received, next(iter([*received.rejects, *self._refusals(received)]), None))
        except Reject as refusal:
            return Judged(refused, Received(), refusal)

    def _received(self, refused: Refused) -> Received:
        raw = refused.raw
        if not raw:
            raise Reject(refused.first_reason, "cannot be replayed: its bytes were not kept")
        if refused.stage == DECODE and refused.refused_kind is None:
            if len(raw) >= RAW_LIMIT:
                raise Reject(refused.first_reason, f"cannot be replayed: only its first {RAW_LIMIT} bytes were kept")
            connector = self.connector_of(refused)
            return decoded(refused, connector, self.settings_of(refused, connector))
        if refused.refused_kind not in all_kinds():
            raise Reject(refused.first_reason, "cannot be replayed: of which kind it was is not known")
        if raw.startswith(FRAME):
            return Received(readings=rows_of_frame(raw, refused.refused_kind))
        try:
            return Received(readings=[row(msgspec.json.decode(raw, type=dict[str, Any]), refused.refused_kind)])
        except (msgspec.MsgspecError, ValueError) as error:
            raise Reject(refused.first_reason, f"cannot be replayed: only a description of it was kept ({error})") from error

    def _refusals(self, received: Received) -> list[Reject]:
        """Give what the clean stage would refuse, so that nothing is sent to be refused again."""
        by: dict[tuple[str, Lane], list[Reading]] = defaultdict(list)
        for reading in received.readings:
            lane = self._lane or received.lane
            late = lane == "live" and reading.ts < self._now - PAST_US
            by[kind_of(reading), "late" if late else lane].append(reading)
        found: list[Reject] = []
        for (kind, lane), readings in by.items():
            try:
                batch = from_readings(readings, kind)
            except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
                return [Reject("bad_field", f"{kind}: {error}")]
            _, refusals = check(Columns(pa.Table.from_batches([batch])), kind, lane)
            found += [Reject(r.reason, f"{kind}: {r.detail}") for r in refusals]
        return found


def decoded(refused: Refused, connector: Connector, settings: Settings) -> Received:
    """Decode the refused bytes in a session of their own, at the time they arrived."""
    found: list[Received] = []
    session = connector.make_session(settings, Peer(refused.connector, refused.source))
    guarded(connector.type, partial(session.start, refused.seen_at), b"")
    for packet in packets_of(refused, connector, settings):
        if isinstance(packet, Reject):
            found.append(Received(rejects=[packet]))
        else:
            found.append(guarded(connector.type, partial(session.receive, packet, refused.seen_at, refused.source), packet))
    message: Message | None = next((r.message for r in found if r.message is not None), None)
    return Received(
        message=message,
        readings=[reading for r in found for reading in r.readings],
        rejects=[reject for r in found for reject in r.rejects],
        lane=next((r.lane for r in found if r.lane != "live"), "live"),
    )


def packets_of(refused: Refused, connector: Connector, settings: Settings) -> list[bytes | Reject]:
    """Give the packets in refused bytes: a stretch of the stream is cut again, a packet that a session refused is whole.

    A framing whose rejects lack the flags around them has ``enclosed(stretch)``, which puts these back.
    """
    raw = refused.raw or b""
    if connector.make_framing is None or refused.first_reason not in FRAMING | EITHER:
        return [raw]
    enclosed = registry.offered(connector, "framing", "enclosed")
    found = cut(connector.make_framing, settings, enclosed(raw) if enclosed is not None else raw)
    faults = [packet for packet in found if isinstance(packet, Reject)]
    same = any((fault.reason, fault.detail) == (refused.first_reason, refused.first_detail or "") for fault in faults)
    return found if not faults or same or refused.first_reason in FRAMING else [raw]


def row(values: Mapping[str, Any], kind: str) -> Reading:
    """Give a refused row as a reading; one that lacks what its kind needs raises ``Reject``."""
    cls = kind_by_name(kind)
    given = {name: _time(value) if name in TIMES else value for name, value in values.items() if name in cls.__struct_fields__}
    try:
        return cls(**given)
    except TypeError as error:
        raise Reject("missing_field", f"{kind}: {error}") from error


def rows_of_frame(raw: bytes, kind: str) -> list[Reading]:
    """Give the rows of a frame that was set aside; bytes that are none raise ``Reject``."""
    try:
        with pa.ipc.open_stream(raw) as reader:
            return [row(values, kind) for values in reader.read_all().to_pylist()]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Reject("bad_schema", f"frame of {kind}: {error}") from error


def _time(value: Any) -> Any:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return value
    since = value - datetime.fromtimestamp(0, value.tzinfo)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def parcels(accepted: Sequence[Judged], connector_of: Callable[[Refused], Connector]) -> dict[str, list[Judged]]:
    """Give what is to be sent, by connector; a packet with several rejects once."""
    seen: set[tuple[str, int, bytes]] = set()
    found: dict[str, list[Judged]] = defaultdict(list)
    for judged in accepted:
        refused = judged.refused
        key = (refused.connector, refused.seen_at, refused.raw or b"")
        if key in seen or not judged.received.readings:
            continue
        seen.add(key)
        try:
            name = connector_of(refused).type
        except Fatal:
            name = refused.connector
        found[name].append(judged)
    return dict(found)
