"""The websocket's language: what client and server say, and the layout of binary state frames.

Two kinds of traffic share one socket. *State* (where vehicles are, what stations hold) is lossy, newest
value wins, and travels as binary frames. *Events* (alerts, connector changes) are never lost, numbered by
``seq``, and travel as JSON. Every JSON message is an object whose ``op`` names it.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.events import Action, Alert, AlertEvent, ConnectorState

PROTO: Final = 1
"""Version of this language; a client with another number is refused with close code 4406."""

LAYERS: Final[tuple[str, ...]] = (
    "bus_position",
    "taxi_position",
    "coach_position",
    "hazmat_position",
    "bike_station",
    "dust_station",
    "traffic_detector",
    "bike_vehicle",
    "ride_hailing_position",
    "ev_battery",
    "traffic_link",
    "streetlight",
    "water_node",
    "gas_node",
    "heat_substation",
    "power_load",
)
"""Kind shown by each layer; the layer's number is its index."""

VALUE: Final[dict[str, tuple[str, float, str]]] = {
    "bus_position": ("speed", 10.0, "m/s"),
    "taxi_position": ("speed", 10.0, "m/s"),
    "coach_position": ("speed", 10.0, "m/s"),
    "hazmat_position": ("speed", 10.0, "m/s"),
    "bike_station": ("bikes", 1.0, ""),
    "dust_station": ("pm10", 10.0, "µg/m³"),
    "traffic_detector": ("speed", 10.0, "m/s"),
    "bike_vehicle": ("range", 0.1, "m"),
    "ride_hailing_position": ("speed", 10.0, "m/s"),
    "ev_battery": ("soc", 10.0, "%"),
    "traffic_link": ("speed", 10.0, "m/s"),
    "streetlight": ("dimming", 10.0, "%"),
    "water_node": ("pressure", 0.001, "Pa"),
    "gas_node": ("lel", 10.0, "%"),
    "heat_substation": ("supply_temperature", 10.0, "°C"),
    "power_load": ("load", 10.0, "%"),
}
"""What column ``value`` holds in each layer: field, factor it was multiplied by, unit of the field."""

NORMAL, BUSY, WARNING, ALARM, UNKNOWN = range(5)
"""Codes of column ``state``: moving or fine; in use; minor or major alert; critical alert; not known."""
NO_U16: Final = 65535
"""Stands for an absent heading or value, and for an age of 65535 s or more."""

HEADER: Final = np.dtype([("ver", "u1"), ("kind", "u1"), ("layer", "<u2"), ("n", "<u4"), ("ts_ms", "<u8")])
"""The 16 bytes a state frame begins with; ``kind`` is one of SNAPSHOT, DELTA, REMOVE."""
SNAPSHOT, DELTA, REMOVE = range(3)
COLUMNS: Final[tuple[tuple[str, str], ...]] = (
    ("slot", "<u4"),
    ("lon_e6", "<i4"),
    ("lat_e6", "<i4"),
    ("heading_cdeg", "<u2"),
    ("value", "<u2"),
    ("age_s", "<u2"),
    ("state", "u1"),
)
"""Columns that follow the header, each ``n`` values long, widest first; a REMOVE frame has ``slot`` only."""


def pack(kind: int, layer: int, ts_ms: int, columns: dict[str, NDArray[Any]]) -> bytes:
    """Give the bytes of a state frame; ``columns`` holds the arrays that COLUMNS names, equally long."""
    names = COLUMNS[:1] if kind == REMOVE else COLUMNS
    n = len(columns["slot"])
    head = np.zeros(1, HEADER)
    head[0] = (1, kind, layer, n, ts_ms)
    return head.tobytes() + b"".join(np.ascontiguousarray(columns[name], dtype).tobytes() for name, dtype in names)


def unpack(data: bytes) -> tuple[int, int, int, dict[str, NDArray[Any]]]:
    """Give kind, layer, ts_ms and columns of a state frame; wrong lengths raise ``ValueError``."""
    if len(data) < HEADER.itemsize:
        msg = f"state frame of {len(data)} bytes is shorter than its header"
        raise ValueError(msg)
    head = np.frombuffer(data, HEADER, 1)[0]
    names = COLUMNS[:1] if head["kind"] == REMOVE else COLUMNS
    n, at, columns = int(head["n"]), HEADER.itemsize, {}
    if len(data) != at + n * sum(np.dtype(t).itemsize for _, t in names):
        msg = f"state frame says {n} rows but has {len(data)} bytes"
        raise ValueError(msg)
    for name, dtype in names:
        columns[name] = np.frombuffer(data, dtype, n, at)
        at += n * np.dtype(dtype).itemsize
    return int(head["kind"]), int(head["layer"]), int(head["ts_ms"]), columns


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="op", rename="camel"):
    """One JSON message."""


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """Where a client's knowledge of events ended."""

    epoch: str
    events: int


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """Client, first message: which language it speaks and what it already knows."""

    proto: int
    lang: Literal["zh-CN", "en"] = "zh-CN"
    resume: Resume | None = None


class Subscribe(Message, frozen=True, kw_only=True, tag="subscribe"):
    """Client: layers, view and pace it wants; ``interval_ms`` 0 pauses state (hidden tab)."""

    layers: list[int]
    bbox: tuple[float, float, float, float] | None = None
    """West, south, east, north; absent means the whole city."""
    zoom: float | None = None
    interval_ms: int = 1000


class Ack(Message, frozen=True, kw_only=True, tag="ack"):
    """Client: it has applied ``frames`` more binary frames; at most two sends may be unacknowledged."""

    frames: int = 1


class Snapshot(Message, frozen=True, kw_only=True, tag="snapshot"):
    """Client: send everything anew (it found a hole in ``seq``, or another epoch)."""


class Command(Message, frozen=True, kw_only=True, tag="command"):
    """Client: act on an alert; repeating the same ``cmd_id`` is harmless."""

    cmd_id: str
    alert_id: str
    action: Action
    expected_version: int
    note: str | None = None
    cause: str | None = None


class Welcome(Message, frozen=True, kw_only=True, tag="welcome"):
    """Server, answer to hello; ``epoch`` changes when the server restarts."""

    proto: int
    epoch: str
    build: str
    now_ms: int
    interval_ms: int
    seq: int
    user: str
    role: str
    resumed: bool


class Names(Message, frozen=True, kw_only=True, tag="names"):
    """Server: which source each new slot of a layer stands for, and what to show for it."""

    layer: int
    slots: list[int]
    sources: list[str]
    labels: list[str]


class Tick(Message, frozen=True, kw_only=True, tag="tick"):
    """Server, every second even when nothing changed: time, data age and key figures."""

    now_ms: int
    data_age_s: float | None
    """Age of the newest reading of all; absent before the first."""
    kpis: list[Kpi]


class Kpi(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One key figure; ``id`` is translated by the page."""

    id: str
    value: float | None
    unit: str
    age_s: float | None
    total: float | None = None
    """What ``value`` is a part of, where it is a share (vehicles online of all known)."""
    state: int = NORMAL


class Alerts(Message, frozen=True, kw_only=True, tag="alerts"):
    """Server: all alerts not yet resolved, after hello or on request."""

    seq: int
    alerts: list[Alert]


class Event(Message, frozen=True, kw_only=True, tag="event"):
    """Server: one event, in order of ``seq`` without gaps."""

    seq: int
    alert: Alert | None = None
    change: AlertEvent | None = None
    connector: ConnectorState | None = None


class Result(Message, frozen=True, kw_only=True, tag="result"):
    """Server, answer to a command: ``ok``, ``conflict`` (with the current alert), ``refused`` or ``timeout``."""

    cmd_id: str
    outcome: Literal["ok", "conflict", "refused", "timeout"]
    alert: Alert | None = None
    detail: str = ""


class Resync(Message, frozen=True, kw_only=True, tag="resync"):
    """Server: events were dropped for this client, or are too old to resume; it must ask for a snapshot."""

    reason: str


class Problem(Message, frozen=True, kw_only=True, tag="problem"):
    """Server: a message of the client was not understood or not allowed."""

    code: str
    detail: str


FromClient = Hello | Subscribe | Ack | Snapshot | Command
FromServer = Welcome | Names | Tick | Alerts | Event | Result | Resync | Problem
