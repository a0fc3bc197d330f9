"""All layers together, with one version number that grows whenever anything shown changes."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from gateway.live.layer import Layer
from schemas.messages import LAYERS

SILENT_US: Final = 30 * 60 * 1_000_000
"""A source not heard from for this long leaves the map."""


class LiveState:
    """What the map shows now."""

    def __init__(self) -> None:
        self.layers = [Layer(number) for number in range(len(LAYERS))]
        self.version = 0
        self._by_kind = {layer.kind: layer for layer in self.layers}
        self._overlays: dict[tuple[str, str], int] = {}

    def layer(self, kind: str) -> Layer | None:
        """Give the layer that shows a kind, if one does."""
        return self._by_kind.get(kind)

    def apply(self, kind: str, batch: pa.RecordBatch) -> None:
        """Take in clean readings; kinds that no layer shows are ignored."""
        layer = self._by_kind.get(kind)
        if layer is not None and batch.num_rows:
            self.version += 1
            layer.apply(batch, self.version, self._overlays)

    def impose(self, kind: str, source: str, overlay: int) -> None:
        """Set the state that open alerts give a source, also before it is first heard; 0 takes it back."""
        if overlay:
            self._overlays[kind, source] = overlay
        else:
            self._overlays.pop((kind, source), None)
        layer = self._by_kind.get(kind)
        if layer is not None:
            self.version += 1
            layer.impose(source, overlay, self.version)

    def expire(self, now: int) -> None:
        """Take silent sources off the map."""
        self.version += 1
        for layer in self.layers:
            layer.expire(now - SILENT_US, self.version)

    def newest(self) -> int | None:
        """Give the event time of the newest reading of all."""
        heard = [int(layer["heard"].max()) for layer in self.layers if layer.size]
        newest = max(heard, default=0)
        return newest if newest > 0 else None

    def age_s(self, now: int) -> float | None:
        """Give the age of the newest reading of all, in seconds; never negative."""
        newest = self.newest()
        return None if newest is None else max(0.0, (now - newest) / 1e6)

    def entities(self) -> dict[str, int]:
        """Count the sources on the map by kind."""
        return {layer.kind: int(np.count_nonzero(layer["alive"])) for layer in self.layers}
