"""The zone of a point: most are told by the cell of a grid they fall in, only those near a border by geometry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from storage.zones import Zone
from streams.steps.sources import Mask

COARSE, FINE = 0.04, 0.005
"""Edges of the cells, in degrees; the coarse ones that a border crosses are cut into fine ones."""
SPLIT = 8
BORDER = -1
"""Code of a cell that a border crosses."""
Codes32 = NDArray[np.int32]
Edges = NDArray[np.float64]


class ZoneGrid:
    """Answers for many points at once which zone they lie in, exactly as the outlines do."""

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._zones = tuple(zones)
        bounds = np.array([z.geometry.bounds for z in zones]) if zones else np.zeros((1, 4))
        self._west, self._south = float(bounds[:, 0].min()), float(bounds[:, 1].min())
        self._columns = int((bounds[:, 2].max() - self._west) / COARSE + 1) * SPLIT
        self._rows = int((bounds[:, 3].max() - self._south) / COARSE + 1) * SPLIT
        self._cells = self._drawn()

    def codes(self, lon: Edges, lat: Edges, placed: Mask) -> Codes32:
        """Give the code of the zone each placed point lies in, 0 where none."""
        codes = np.zeros(len(lon), np.int32)
        with np.errstate(invalid="ignore"):
            x, y = (lon - self._west) / FINE, (lat - self._south) / FINE
            near = placed & (x >= 0) & (x < self._columns) & (y >= 0) & (y < self._rows)
        if near.all():
            codes = self._cells[y.astype(np.int64) * self._columns + x.astype(np.int64)]
        elif near.any():
            codes[near] = self._cells[y[near].astype(np.int64) * self._columns + x[near].astype(np.int64)]
        doubtful = np.flatnonzero(codes == BORDER)
        if len(doubtful):
            codes[doubtful] = zone_codes(lon[doubtful], lat[doubtful], self._zones)
        return codes

    def _drawn(self) -> Codes32:
        """Give the code of every fine cell, row by row: a zone's, 0 for none, or BORDER."""
        y, x = np.divmod(np.arange(self._rows // SPLIT * (self._columns // SPLIT)), self._columns // SPLIT)
        coarse = self._judged(x, y, COARSE).reshape(self._rows // SPLIT, self._columns // SPLIT)
        cells = coarse.repeat(SPLIT, axis=0).repeat(SPLIT, axis=1)
        y, x = np.nonzero(cells == BORDER)
        cells[y, x] = self._judged(x, y, FINE)
        return np.ascontiguousarray(cells).ravel()

    def _judged(self, x: NDArray[np.int64], y: NDArray[np.int64], edge: float) -> Codes32:
        west, south = self._west + x * edge, self._south + y * edge
        boxes = shapely.box(west, south, west + edge, south + edge)
        codes = np.zeros(len(boxes), np.int32)
        tree = shapely.STRtree(boxes)
        for zone in self._zones:
            shapely.prepare(zone.geometry)
            touched = tree.query(zone.geometry, predicate="intersects")
            inside = shapely.contains_properly(zone.geometry, boxes[touched])
            codes[touched] = np.where((codes[touched] == 0) & inside, zone.code, BORDER)
        return codes


def zone_codes(lon: Edges, lat: Edges, zones: Sequence[Zone]) -> Codes32:
    """Give the code of the first zone each point lies inside, 0 where none."""
    codes = np.zeros(len(lon), np.int32)
    for zone in zones:
        open_ = np.flatnonzero(codes == 0)
        inside = shapely.contains_xy(zone.geometry, lon[open_], lat[open_])
        codes[open_[inside]] = zone.code
    return codes
