"""Messages of Sparkplug B built from names and values: those a host owes, and an edge node for simulator and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from connectors.sparkplug import datatypes
from connectors.sparkplug.payload import Payload
from connectors.sparkplug.topics import NAMESPACE

REBIRTH = "Node Control/Rebirth"


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A metric to be sent: a name, an alias, or both; datatype by its standard's name; ``None`` is null. Times are ms."""

    name: str = ""
    alias: int | None = None
    datatype: str = ""
    value: Any = None
    timestamp: int | None = None
    is_historical: bool = False
    quality: int | None = None


def payload(timestamp: int | None, seq: int | None, values: Sequence[Value], *, with_datatype: bool = True) -> bytes:
    """Give the bytes of a payload; the datatype says how a value is carried also where it is not sent itself."""
    made = Payload()
    if timestamp is not None:
        made.timestamp = timestamp
    if seq is not None:
        made.seq = seq
    for one in values:
        _metric(made.metrics.add(), one, with_datatype=with_datatype)
    packed: bytes = made.SerializeToString()
    return packed


def _metric(raw: Any, given: Value, *, with_datatype: bool) -> None:
    number = datatypes.NUMBERS[given.datatype]
    if given.name:
        raw.name = given.name
    if given.alias is not None:
        raw.alias = given.alias
    if given.timestamp is not None:
        raw.timestamp = given.timestamp
    if with_datatype:
        raw.datatype = number
    if given.is_historical:
        raw.is_historical = True
    if given.quality is not None:
        raw.properties.keys.append("Quality")
        raw.properties.values.add(type=datatypes.NUMBERS["Int32"], int_value=given.quality)
    datatypes.put(raw, number, given.value)


def rebirth(timestamp: int) -> bytes:
    """Give the payload of the NCMD that asks a node to be born again (chapter 5).

    The datatype is sent along, which the standard only advises against: nodes that keep no table of their metrics need it.
    """
    return payload(timestamp, None, [Value(name=REBIRTH, datatype="Boolean", value=True, timestamp=timestamp)])


def state(*, online: bool, timestamp_ms: int) -> bytes:
    """Give the payload of a STATE message (chapter 6)."""
    return msgspec.json.encode({"online": online, "timestamp": timestamp_ms})


def packet(topic: str, body: bytes) -> bytes:
    """Give topic and payload as one JSON document, as ``cityops decode sparkplug --text`` takes it."""
    return msgspec.json.encode({"topic": topic, "payload": body.hex()})


class EdgeNode:
    """An edge node with its devices: gives topic and payload of each message, numbered as the standard says. Times are ms."""

    def __init__(self, group: str, node: str, bd_seq: int = 0) -> None:
        self._group, self._node = group, node
        self._bd_seq = bd_seq
        self._seq = 0
        self._aliases: dict[tuple[str, str], int] = {}
        self._types: dict[tuple[str, str], str] = {}

    def death(self) -> tuple[str, bytes]:
        """Give the NDEATH of the session to come: the will of its connection."""
        return self._topic("NDEATH"), payload(None, None, [self._death_number(None)])

    def connect(self) -> None:
        """Begin another connection: its bdSeq is the next."""
        self._bd_seq = (self._bd_seq + 1) % 256

    def birth(self, timestamp: int, values: Mapping[str, tuple[str, Any]] | None = None) -> tuple[str, bytes]:
        """Give the NBIRTH with the node's own metrics: datatype and value by name."""
        self._seq = 0
        self._aliases.clear()
        own = [
            self._death_number(timestamp),
            Value(name=REBIRTH, datatype="Boolean", value=False, timestamp=timestamp),
            *self._born("", timestamp, values or {}),
        ]
        return self._topic("NBIRTH"), payload(timestamp, 0, own)

    def device_birth(self, device: str, timestamp: int, values: Mapping[str, tuple[str, Any]]) -> tuple[str, bytes]:
        """Give a DBIRTH: datatype and value of each metric by name."""
        return self._topic("DBIRTH", device), payload(timestamp, self._next(), self._born(device, timestamp, values))

    def report(
        self,
        timestamp: int,
        values: Mapping[str, Any],
        device: str = "",
        *,
        taken_at: int | None = None,
        is_historical: bool = False,
        quality: int | None = None,
    ) -> tuple[str, bytes]:
        """Give an NDATA, or a device's DDATA: values by name, sent by alias, taken when it is sent or at ``taken_at``."""
        sent = [
            Value(
                alias=self._aliases[device, name],
                datatype=self._types[device, name],
                value=value,
                timestamp=taken_at if taken_at is not None else timestamp,
                is_historical=is_historical,
                quality=quality,
            )
            for name, value in values.items()
        ]
        kind = "DDATA" if device else "NDATA"
        return self._topic(kind, device), payload(timestamp, self._next(), sent, with_datatype=False)

    def device_death(self, device: str, timestamp: int) -> tuple[str, bytes]:
        """Give a DDEATH."""
        return self._topic("DDEATH", device), payload(timestamp, self._next(), [])

    def _next(self) -> int:
        self._seq = (self._seq + 1) % 256
        return self._seq

    def _topic(self, kind: str, device: str = "") -> str:
        return f"{NAMESPACE}/{self._group}/{kind}/{self._node}" + (f"/{device}" if device else "")

    def _death_number(self, timestamp: int | None) -> Value:
        return Value(name="bdSeq", datatype="Int64", value=self._bd_seq, timestamp=timestamp)

    def _born(self, device: str, timestamp: int, values: Mapping[str, tuple[str, Any]]) -> list[Value]:
        found = []
        for name, (datatype, value) in values.items():
            alias = self._aliases.setdefault((device, name), len(self._aliases))
            self._types[device, name] = datatype
            found.append(Value(name=name, alias=alias, datatype=datatype, value=value, timestamp=timestamp))
        return found
