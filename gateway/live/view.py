"""What one client has been shown of each layer, and the frames that bring it up to date."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.live.layer import Layer
from gateway.live.state import LiveState
from gateway.masking import GRID_E6, is_tracked
from schemas import messages
from schemas.messages import DELTA, NO_U16, REMOVE, SNAPSHOT

Box = tuple[float, float, float, float]
Part = bytes | str
"""A binary frame, or the JSON text of a message."""
NAMES: Final = -2
"""Stands where a key of the cache has the version sent; its part is the names of slots."""
MARGIN: Final = 0.2
"""A viewport is served with this much of its width and height more on every side."""


def widened(box: Box) -> Box:
    """Give a west, south, east, north box snapped outward."""
    west, south, east, north = box
    dx, dy = (east - west) * MARGIN, (north - south) * MARGIN
    return (west - dx, south - dy, east + dx, north + dy)


class Cache:
    """Packed parts of the current state, shared by all clients that need the same; emptied when the state changes."""

    def __init__(self) -> None:
        self._stamp: tuple[int, int] = (-1, -1)
        self._parts: dict[tuple[int, int, int, bool], list[Part]] = {}

    def get(self, stamp: tuple[int, int]) -> dict[tuple[int, int, int, bool], list[Part]]:
        """Give the parts packed so far at this version and moment."""
        if stamp != self._stamp:
            self._stamp, self._parts = stamp, {}
        return self._parts


@dataclass(slots=True)
class Cursor:
    """How far one client is in one layer."""

    sent: int = -1
    """Version up to which values were sent; -1 asks for a snapshot."""
    named: int = -1
    shown: NDArray[np.bool_] | None = None
    """Slots inside the client's box when last sent; None for a client that sees the whole city."""


@dataclass(slots=True)
class View:
    """A client's wishes and what it has."""

    coarse: bool
    """Whether positions of vehicles are given on the viewers' grid."""
    box: Box | None = None
    cursors: dict[int, Cursor] = field(default_factory=dict)

    def look(self, layers: list[int], box: Box | None) -> None:
        """Change layers and box; a moved box sends what entered and left, other changes a snapshot."""
        fresh = (box is None) != (self.box is None)
        self.box = None if box is None else widened(box)
        self.cursors = {n: Cursor() if fresh or n not in self.cursors else self.cursors[n] for n in layers}

    def forget(self) -> None:
        """Send everything anew."""
        self.cursors = {n: Cursor() for n in self.cursors}

    def update(self, state: LiveState, now: int, cache: Cache) -> list[Part]:
        """Give what brings the client up to date, and note it as sent; ``now`` is in microseconds."""
        parts: list[Part] = []
        shared = cache.get((state.version, now // 1000))
        for number, cursor in self.cursors.items():
            layer = state.layers[number]
            names = (number, NAMES, cursor.named, self.coarse)
            if names not in shared:
                shared[names] = self._names(layer, cursor)
            parts += shared[names]
            if self.box is None:
                key = (number, cursor.sent, cursor.named, self.coarse)
                if key not in shared:
                    shared[key] = self._whole(layer, cursor, now)
                parts += shared[key]
            else:
                parts += self._within(layer, cursor, now, self.box)
            cursor.sent = cursor.named = state.version
        return parts

    def _whole(self, layer: Layer, cursor: Cursor, now: int) -> list[Part]:
        shown = layer.shown()
        if cursor.sent < 0:
            return [self._pack(SNAPSHOT, layer, shown, now)]
        changed = layer["changed"] > cursor.sent
        return self._difference(layer, changed & shown, changed & ~shown, now)

    def _within(self, layer: Layer, cursor: Cursor, now: int, box: Box) -> list[Part]:
        west, south, east, north = (round(v * 1e6) for v in box)
        lon, lat = layer["lon_e6"], layer["lat_e6"]
        inside = layer.shown() & (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
        before = np.zeros(layer.size, dtype=bool)
        if cursor.shown is not None:
            before[: len(cursor.shown)] = cursor.shown
        cursor.shown = inside
        if cursor.sent < 0:
            return [self._pack(SNAPSHOT, layer, inside, now)]
        changed = layer["changed"] > cursor.sent
        return self._difference(layer, inside & (changed | ~before), before & ~inside, now)

    def _difference(self, layer: Layer, new: NDArray[np.bool_], gone: NDArray[np.bool_], now: int) -> list[Part]:
        parts: list[Part] = []
        if gone.any():
            parts.append(self._pack(REMOVE, layer, gone, now))
        if new.any():
            parts.append(self._pack(DELTA, layer, new, now))
        return parts

    def _names(self, layer: Layer, cursor: Cursor) -> list[Part]:
        slots = np.flatnonzero(layer["named"] > cursor.named).tolist()
        if not slots:
            return []
        labels = layer.masked if self.coarse else layer.labels
        named = messages.Names(
            layer=layer.number,
            slots=slots,
            sources=[layer.sources[s] for s in slots],
            labels=[labels[s] for s in slots],
        )
        return [msgspec.json.encode(named).decode()]

    def _pack(self, kind: int, layer: Layer, mask: NDArray[np.bool_], now: int) -> bytes:
        slots = np.flatnonzero(mask)
        lon, lat = layer["lon_e6"][slots], layer["lat_e6"][slots]
        if self.coarse and is_tracked(layer.kind):
            lon, lat = lon // GRID_E6 * GRID_E6, lat // GRID_E6 * GRID_E6
        columns = {
            "slot": slots,
            "lon_e6": lon,
            "lat_e6": lat,
            "heading_cdeg": layer["heading_cdeg"][slots],
            "value": layer["value"][slots],
            "age_s": np.clip((now - layer["ts"][slots]) // 1_000_000, 0, NO_U16),
            "state": layer.state()[slots],
        }
        return messages.pack(kind, layer.number, now // 1000, columns)
