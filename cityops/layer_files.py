"""Files of reference layers, GeoJSON and CSV, to checked features in WGS-84; complaints name the row and the remedy."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import msgspec
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from connectors._api.coordinates import Crs, to_wgs84
from schemas.errors import Fatal
from storage.layers import Feature, Layer, layer

MOST_BYTES, MOST_POINTS = 128 << 20, 3_000_000
WIDEST = 10.0
"""Degrees; zones farther apart are no city's, and the grid over them would not fit into memory."""
SHOWN = 5
"""Complaints told of one file."""
SYSTEMS: Mapping[str, Crs] = {"CRS84": "wgs84", "4326": "wgs84", "4490": "cgcs2000"}
"""Codes of coordinate systems that a file may name, by the last part of their URN."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read a file: its coordinate system where it names none, columns to rename or leave out, repair of outlines."""

    crs: Crs | None = None
    rename: Mapping[str, str] | None = None
    drop: frozenset[str] = frozenset()
    """Columns to leave out; ``*`` is every unknown one."""
    repair: bool = False


class Row(msgspec.Struct):
    """One row of a file: columns as they stand, and the shape as the file's own text (GeoJSON or WKT)."""

    columns: dict[str, Any]
    shape: str | None
    geometry: BaseGeometry | None = None


class _Feature(msgspec.Struct):
    geometry: msgspec.Raw = msgspec.Raw(b"null")
    properties: dict[str, Any] | None = None
    id: str | int | None = None


class _Named(msgspec.Struct):
    name: str = ""


class _System(msgspec.Struct):
    properties: _Named = msgspec.field(default_factory=_Named)


class _Collection(msgspec.Struct):
    features: list[_Feature]
    crs: _System | None = None


def system(given: str | None) -> Crs | None:
    """Give a coordinate system by name; an unknown one raises ``Fatal``."""
    for known in get_args(Crs):
        if given == known:
            return cast(Crs, known)
    if given is not None:
        raise Fatal(f"no coordinate system {given!r}; there are {', '.join(get_args(Crs))}")
    return None


def read(path: Path, name: str, how: Reading) -> list[Feature]:
    """Give the features of a file as a layer declares them; anything wrong raises ``Fatal`` naming rows and remedies."""
    declared = layer(name)
    content = _content(path)
    if path.suffix.lower() == ".csv":
        rows, crs = _csv(path, content), how.crs
    else:
        rows, crs = _geojson(path, content, declared, how.crs)
    if not 0 < len(rows) <= declared.most:
        msg = f"{path.name}: {len(rows)} features; layer {name} takes 1 to {declared.most}"
        raise Fatal(msg)
    _convert(path, rows, crs or "wgs84")
    complaints: list[str] = []
    rows_of: dict[str, int] = {}
    found = []
    for number, row in enumerate(rows, 1):
        try:
            found.append(_feature(row, declared, name, how))
        except ValueError as error:
            complaints.append(f"row {number}: {error}")
            continue
        mark = found[-1].id
        if rows_of.setdefault(mark, number) != number:
            complaints.append(f"row {number}: {declared.key} {mark!r} is that of row {rows_of[mark]}; give each its own")
    if complaints:
        more = f"\n… and {len(complaints) - SHOWN} more rows" if len(complaints) > SHOWN else ""
        msg = f"{path.name}: nothing was imported\n" + "\n".join(complaints[:SHOWN]) + more
        raise Fatal(msg)
    _fits(path, name, found)
    return found


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            msg = f"{path.name}: {size >> 20} MB; at most {MOST_BYTES >> 20} MB: simplify the outlines or split the layer"
            raise Fatal(msg)
        return path.read_bytes()
    except OSError as error:
        msg = f"{path}: {error.strerror}; name a readable file"
        raise Fatal(msg) from error


def _csv(path: Path, content: bytes) -> list[Row]:
    """Read rows; empty cells are absent, ``wkt`` or ``lon`` and ``lat`` are the shape, ``values`` is JSON."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path.name}: byte {error.start} is not UTF-8; save the file as UTF-8 (in Excel: CSV UTF-8)"
        raise Fatal(msg) from error
    lines = csv.DictReader(io.StringIO(text), strict=True)
    try:
        return [_csv_row(cells) for cells in lines]
    except (csv.Error, ValueError) as error:
        msg = f"{path.name}: line {lines.line_num}: {error}; correct the line"
        raise Fatal(msg) from error


def _csv_row(cells: dict[str | Any, Any]) -> Row:
    if None in cells:
        raise ValueError("more cells than the heading has columns")
    columns: dict[str, Any] = {k.strip(): v.strip() for k, v in cells.items() if v is not None and v.strip()}
    shape = columns.pop("wkt", None)
    if shape is None and "lon" in columns and "lat" in columns:
        shape = f"POINT ({float(columns.pop('lon'))} {float(columns.pop('lat'))})"
    if "values" in columns:
        columns["values"] = msgspec.json.decode(columns["values"])
    return Row(columns, shape)


def _geojson(path: Path, content: bytes, declared: Layer, crs: Crs | None) -> tuple[list[Row], Crs | None]:
    """Read features, and the coordinate system the file names; a contradiction with the one declared raises ``Fatal``."""
    try:
        collection = msgspec.json.decode(content, type=_Collection)
    except msgspec.MsgspecError as error:
        msg = f"{path.name}: no GeoJSON feature collection ({error}); give .geojson, .json or .csv"
        raise Fatal(msg) from error
    rows = []
    for feature in collection.features:
        columns = {k: v for k, v in (feature.properties or {}).items() if v is not None}
        if feature.id is not None:
            columns.setdefault(declared.key, feature.id)
        outline = bytes(feature.geometry).decode()
        rows.append(Row(columns, None if outline == "null" else outline))
    return rows, _system(path, collection.crs.properties.name if collection.crs else "", crs)


def _system(path: Path, named: str, declared: Crs | None) -> Crs | None:
    if not named:
        return declared
    found = SYSTEMS.get(named.rsplit(":", maxsplit=1)[-1])
    if found is None or (declared is not None and declared != found):
        known = ", ".join(get_args(Crs))
        msg = f"{path.name}: its crs is {named!r}; transform it to WGS-84, or delete its member 'crs' and give --crs ({known})"
        raise Fatal(msg)
    return found


def _convert(path: Path, rows: list[Row], crs: Crs) -> None:
    """Read the shapes and bring them to WGS-84, flat; one that cannot be read stays absent."""
    texts = [r.shape for r in rows]
    reader = shapely.from_wkt if path.suffix.lower() == ".csv" else shapely.from_geojson
    shapes = shapely.force_2d(reader(texts, on_invalid="ignore"))
    points = int(shapely.get_num_coordinates(shapes).sum())
    if points > MOST_POINTS:
        msg = f"{path.name}: {points} points; at most {MOST_POINTS}: simplify the outlines"
        raise Fatal(msg)
    if crs in ("gcj02", "bd09"):
        shapes = shapely.transform(shapes, lambda xy: _to_wgs84(xy, crs))
    for row, geometry in zip(rows, shapes, strict=True):
        row.geometry = geometry


def _to_wgs84(xy: NDArray[np.float64], crs: Crs) -> NDArray[np.float64]:
    return np.array([to_wgs84(lon, lat, crs) for lon, lat in xy.tolist()], np.float64).reshape(-1, 2)


def _feature(row: Row, declared: Layer, name: str, how: Reading) -> Feature:
    """Check one row; what is wrong raises ``ValueError`` with the remedy."""
    renames = how.rename or {}
    columns = {renames.get(k, k): v for k, v in row.columns.items() if k not in how.drop}
    mark = columns.pop(declared.key, None)
    if not isinstance(mark, str | int) or not 0 < len(str(mark)) <= 128 or not str(mark).isprintable():
        raise ValueError(f"{declared.key} is {mark!r}; give a text of 1 to 128 characters (--rename COLUMN={declared.key})")
    if declared.key == "code" and not (str(mark).isdecimal() and 0 < int(mark) < 1_000_000):
        raise ValueError(f"code is {mark!r}; give the code of GB/T 2260, up to six digits")
    known = [f.name for f in msgspec.structs.fields(declared.attributes)]
    unknown = sorted(columns.keys() - set(known))
    if unknown and "*" not in how.drop:
        raise ValueError(
            f"unknown columns {', '.join(unknown)}; layer {name} has {', '.join((declared.key, *known))}"
            " (--rename A=B gives one another name, --drop A leaves it out, --drop '*' all unknown ones)"
        )
    wanted = {k: v for k, v in columns.items() if k in known}
    try:
        attributes = msgspec.convert(wanted, declared.attributes, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"{declared.key} {mark!r}: {error}; correct the column") from error
    return Feature(str(mark) if declared.key != "code" else str(int(mark)), attributes, _geometry(row, declared, name, how))


def _geometry(row: Row, declared: Layer, name: str, how: Reading) -> BaseGeometry | None:
    geometry = row.geometry
    if row.shape is None and not declared.needs_geometry:
        return None
    wanted = " or ".join(sorted(declared.shapes))
    if row.shape is None:
        raise ValueError(
            f"no geometry; {name} are {wanted} (in CSV: column wkt{', or lon and lat' if 'Point' in wanted else ''})"
        )
    if geometry is None:
        raise ValueError(f"geometry cannot be read: {row.shape[:60]!r}; give a {wanted} with closed rings")
    if geometry.geom_type not in declared.shapes or geometry.is_empty:
        raise ValueError(f"geometry is {'empty' if geometry.is_empty else geometry.geom_type}; {name} are {wanted}")
    west, south, east, north = geometry.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        swapped = -90 <= west <= east <= 90 and -180 <= south <= north <= 180
        remedy = "longitude and latitude are swapped" if swapped else "transform it to WGS-84 degrees"
        raise ValueError(f"geometry reaches from {west:g}, {south:g} to {east:g}, {north:g}, which are no degrees: {remedy}")
    if not geometry.is_valid:
        if not how.repair:
            raise ValueError(f"outline is invalid: {shapely.is_valid_reason(geometry)}; correct it, or give --repair")
        geometry = _repaired(geometry, wanted)
    return geometry


def _repaired(geometry: BaseGeometry, wanted: str) -> BaseGeometry:
    """Give the areas of an invalid outline, without the lines and points a repair leaves over."""
    parts = [p for p in _parts(shapely.make_valid(geometry)) if p.geom_type == "Polygon"]
    if not parts:
        raise ValueError(f"outline is invalid and nothing is left of it after repair; give a {wanted}")
    return shapely.union_all(parts)


def _parts(geometry: BaseGeometry) -> Iterator[BaseGeometry]:
    for part in getattr(geometry, "geoms", ()) or (geometry,):
        if hasattr(part, "geoms"):
            yield from _parts(part)
        else:
            yield part


def _fits(path: Path, name: str, found: Iterable[Feature]) -> None:
    """Refuse zones that together span more than a city can."""
    if name != "zones":
        return
    west, south, east, north = shapely.total_bounds([f.geometry for f in found])
    if max(east - west, north - south) > WIDEST:
        msg = (
            f"{path.name}: its zones span {east - west:.1f} by {north - south:.1f} degrees; keep those within {WIDEST:g} degrees"
        )
        raise Fatal(msg)
