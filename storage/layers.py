"""Reference layers: what the city looks like apart from its readings, as versions that never change.

A layer has any number of versions and at most one in use. Geometry is WGS-84. Nothing here waits for
workers: they see by ``revision`` that a version in use changed, and load it themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
import shapely
from msgspec import Meta
from shapely.geometry.base import BaseGeometry

from schemas.errors import Fatal
from storage.connect import Connection, Pool, passing_faults
from storage.zones import Zone

Text = Annotated[str, Meta(max_length=256)]
Amount = Annotated[float, Meta(ge=0)]
AREAS, LINES, POINTS = frozenset({"Polygon", "MultiPolygon"}), frozenset({"LineString", "MultiLineString"}), frozenset({"Point"})
LOAD_S = 60.0
"""Patience with the statements that move a whole version."""


class Attributes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The columns that features of every layer may have."""

    zh: Text = ""
    en: Text = ""


class RoadAttributes(Attributes, frozen=True, kw_only=True):
    """The columns of a road; the limit is km/h, as on the sign."""

    grade: Literal["", "expressway", "arterial", "secondary", "branch", "class_1", "class_2", "class_3", "class_4", "rural"] = ""
    limit_kmh: Amount | None = None


class BusLineAttributes(Attributes, frozen=True, kw_only=True):
    """The columns of a bus line's course; a line has one for each direction."""

    line: Text = ""
    """The line, as readings name it; the id where absent."""
    direction: Annotated[int, Meta(ge=0, le=2)] | None = None
    operator: Text = ""


class BusStopAttributes(Attributes, frozen=True, kw_only=True):
    """The columns of a bus stop."""

    lines: Text = ""
    """Lines that call there, separated by commas."""


class PipeAttributes(Attributes, frozen=True, kw_only=True):
    """The columns of a pipe."""

    medium: Literal["", "water", "raw_water", "sewage", "rain", "gas", "heat", "power", "telecom"] = ""
    operator: Text = ""
    material: Text = ""
    diameter_mm: Amount | None = None


class FenceAttributes(Attributes, frozen=True, kw_only=True):
    """The columns of a geofence: what it forbids or is for."""

    restriction: Literal["no_entry", "no_exit", "no_stop", "no_parking", "parking", "speed", "corridor"]
    limit_kmh: Amount | None = None
    kinds: Text = ""
    """Kinds of readings it is for, separated by commas; all where empty."""
    hours: Annotated[str, Meta(pattern=r"^(([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d)?$")] = ""
    """Local time of day it holds, as ``22:00-06:00``; always where empty."""


class SourceAttributes(Attributes, frozen=True, kw_only=True):
    """What is registered of a source."""

    name: Text = ""
    operator: Text = ""
    line: Text = ""
    department: Text = ""
    values: dict[str, str | float | bool | None] = {}
    """Whatever else is known of it."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer's declaration: names, shapes its features may have, their columns, and how many there may be."""

    zh: str
    en: str
    shapes: frozenset[str]
    attributes: type[Attributes]
    key: str = "id"
    """Column that names a feature; unique in a version."""
    most: int = 200_000
    needs_geometry: bool = True


LAYERS: Final[dict[str, Layer]] = {
    "zones": Layer("行政区", "Zones", AREAS, Attributes, key="code", most=5_000),
    "roads": Layer("道路", "Roads", LINES, RoadAttributes),
    "bus_lines": Layer("公交线路", "Bus lines", LINES, BusLineAttributes),
    "bus_stops": Layer("公交站点", "Bus stops", POINTS, BusStopAttributes),
    "pipes": Layer("管线", "Pipes", LINES, PipeAttributes),
    "geofences": Layer("电子围栏", "Geofences", AREAS, FenceAttributes, most=20_000),
    "sources": Layer("来源登记", "Register of sources", POINTS, SourceAttributes, key="source", needs_geometry=False),
}
"""Every layer by name."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing of a layer: its id, columns and shape in WGS-84."""

    id: str
    attributes: Attributes
    geometry: BaseGeometry | None = None


class Version(msgspec.Struct, frozen=True):
    """One version of a layer, and since when it is in use; times in microseconds UTC."""

    layer: str
    version: int
    hash: str
    name: str
    note: str
    features: int
    imported_at: int
    active_from: int | None = None


class Use(msgspec.Struct, frozen=True):
    """A stretch of time in which one version of a layer (0: none) was in use; open at its end while it is."""

    layer: str
    version: int
    active_from: int
    active_to: int | None


def layer(name: str) -> Layer:
    """Give a layer's declaration; an unknown name raises ``Fatal``."""
    if name not in LAYERS:
        msg = f"no layer {name!r}; there are {', '.join(LAYERS)}"
        raise Fatal(msg)
    return LAYERS[name]


def content_hash(features: Iterable[Feature]) -> str:
    """Give the SHA-256 of features, whatever order they come in."""
    digest = hashlib.sha256()
    for feature in sorted(features, key=lambda f: f.id):
        outline = None if feature.geometry is None else shapely.to_wkb(feature.geometry, byte_order=1)
        digest.update(msgspec.json.encode((feature.id, feature.attributes, outline), order="sorted") + b"\n")
    return digest.hexdigest()


async def save(pool: Pool, name: str, features: Sequence[Feature], *, title: str, note: str, at: int) -> tuple[int, bool]:
    """Keep features as a new version of a layer; content that is a version already makes none.

    Gives the version and whether it is new. It is not in use yet.
    """
    digest = content_hash(features)
    with passing_faults():
        async with pool.acquire() as connection, connection.transaction():
            await _lock(connection)
            held = "SELECT version FROM layer_versions WHERE layer = $1 AND hash = $2"
            known = await connection.fetchval(held, name, digest)
            if known is not None:
                return int(known), False
            newest = await connection.fetchval("SELECT max(version) FROM layer_versions WHERE layer = $1", name)
            version = (newest or 0) + 1
            await connection.execute(
                "INSERT INTO layer_versions (layer, version, hash, name, note, features, imported_at)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                name, version, digest, title, note, len(features), at,
            )  # fmt: skip
            await _insert(connection, name, version, features)
            return version, True


async def _lock(connection: Connection) -> None:
    """Let one import or change of use happen at a time."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('cityops layers'))")
    await connection.execute(f"SET LOCAL statement_timeout = {int(LOAD_S * 1000)}")


async def _insert(connection: Connection, name: str, version: int, features: Sequence[Feature]) -> None:
    statement = (
        "INSERT INTO layer_features (layer, version, id, attributes, geometry)"
        " SELECT $1, $2, * FROM unnest($3::text[], $4::jsonb[], $5::bytea[])"
    )
    for first in range(0, len(features), 10_000):
        part = features[first : first + 10_000]
        shapes = [None if f.geometry is None else shapely.to_wkb(f.geometry) for f in part]
        attributes = [msgspec.to_builtins(f.attributes) for f in part]
        await connection.execute(statement, name, version, [f.id for f in part], attributes, shapes, timeout=LOAD_S)


async def activate(pool: Pool, name: str, version: int, *, at: int) -> bool:
    """Put a version of a layer to use from now on, 0 for none; gives whether that changed anything.

    A version that was never imported raises ``Fatal``.
    """
    with passing_faults():
        async with pool.acquire() as connection, connection.transaction():
            await _lock(connection)
            known = [v.version for v in await _versions(connection, name)]
            if version and version not in known:
                msg = f"layer {name} has no version {version}; it has {', '.join(map(str, known)) or 'none'}"
                raise Fatal(msg)
            present = await connection.fetchrow("SELECT version FROM layer_uses WHERE layer = $1 AND active_to IS NULL", name)
            if ((present and present["version"]) or 0) == version:
                return False
            # greatest: a clock set back must not end a stretch before it began
            ended = (
                "UPDATE layer_uses SET active_to = greatest($2, active_from)"
                " WHERE layer = $1 AND active_to IS NULL RETURNING active_to"
            )
            since = await connection.fetchval(ended, name, at)
            begun = "INSERT INTO layer_uses (layer, version, active_from) VALUES ($1, $2, $3)"
            await connection.execute(begun, name, version or None, since or at)
            return True


async def versions(pool: Pool, name: str | None = None) -> list[Version]:
    """List the versions of one layer or all, oldest first."""
    with passing_faults():
        async with pool.acquire() as connection:
            return await _versions(connection, name)


async def _versions(connection: Connection, name: str | None) -> list[Version]:
    statement = (
        "SELECT v.layer, v.version, v.hash, v.name, v.note, v.features, v.imported_at, u.active_from FROM layer_versions v"
        " LEFT JOIN layer_uses u ON u.layer = v.layer AND u.version = v.version AND u.active_to IS NULL"
        " WHERE $1::text IS NULL OR v.layer = $1 ORDER BY v.layer, v.version"
    )
    return [Version(*row.values()) for row in await connection.fetch(statement, name)]


async def uses(pool: Pool, name: str) -> list[Use]:
    """Tell which versions of a layer were in use and when, oldest first."""
    statement = "SELECT layer, coalesce(version, 0), active_from, active_to FROM layer_uses WHERE layer = $1 ORDER BY number"
    with passing_faults():
        return [Use(*row.values()) for row in await pool.fetch(statement, name)]


async def revision(pool: Pool) -> int:
    """Give a number that grows whenever a version in use changes; one look into an index."""
    with passing_faults():
        return int(await pool.fetchval("SELECT coalesce(max(number), 0) FROM layer_uses"))


async def active(pool: Pool) -> dict[str, int]:
    """Give the version in use of each layer that has one."""
    statement = "SELECT layer, version FROM layer_uses WHERE active_to IS NULL AND version IS NOT NULL"
    with passing_faults():
        return {row["layer"]: row["version"] for row in await pool.fetch(statement)}


Rows = Sequence[Any]
"""Records with id, attributes (JSON) and geometry (WKB)."""


async def fetch(pool: Pool, name: str, version: int) -> Rows:
    """Read the rows of a version, ordered by id, for ``unpack``: that is slow and may be done in a thread."""
    statement = (
        "SELECT id, attributes::text AS attributes, geometry FROM layer_features WHERE layer = $1 AND version = $2 ORDER BY id"
    )
    with passing_faults():
        async with pool.acquire() as connection:
            await connection.execute(f"SET statement_timeout = {int(LOAD_S * 1000)}")  # the pool undoes it
            found: Rows = await connection.fetch(statement, name, version, timeout=LOAD_S)
            return found


def unpack(name: str, rows: Rows) -> list[Feature]:
    """Make features of rows; one that this release cannot read raises ``Fatal``."""
    decoder = msgspec.json.Decoder(layer(name).attributes)
    try:
        shapes = shapely.from_wkb([row["geometry"] for row in rows])
        return [Feature(r["id"], decoder.decode(r["attributes"]), g) for r, g in zip(rows, shapes, strict=True)]
    except (msgspec.MsgspecError, shapely.GEOSException) as error:
        msg = f"layer {name}: not readable by this release: {error}; import it again"
        raise Fatal(msg) from error


def as_zones(features: Iterable[Feature]) -> tuple[Zone, ...]:
    """Give features of the layer ``zones`` as zones, sorted by code."""
    found = [Zone(int(f.id), f.attributes.zh or f.id, f.attributes.en or f.attributes.zh or f.id, f.geometry) for f in features]
    return tuple(sorted(found, key=lambda z: z.code))


async def zones_in_use(pool: Pool, default: Sequence[Zone]) -> tuple[Zone, ...]:
    """Give the zones of the layer in use, or the default ones where none is."""
    version = (await active(pool)).get("zones")
    return as_zones(unpack("zones", await fetch(pool, "zones", version))) if version else tuple(default)


def as_features(zones: Iterable[Zone]) -> list[Feature]:
    """Give zones as features of the layer ``zones``."""
    return [Feature(str(z.code), Attributes(zh=z.zh, en=z.en), z.geometry) for z in zones]


def geojson(name: str, features: Sequence[Feature], *, leave_out: Iterable[str] = ()) -> bytes:
    """Give features as a GeoJSON feature collection that can be imported again."""
    key, hidden = layer(name).key, set(leave_out)
    outlines = shapely.to_geojson([f.geometry for f in features])
    found = []
    for feature, outline in zip(features, outlines, strict=True):
        columns = {k: v for k, v in msgspec.to_builtins(feature.attributes).items() if k not in hidden}
        mark: str | int = int(feature.id) if key == "code" else feature.id
        geometry = None if outline is None else msgspec.Raw(outline.encode())
        found.append({"type": "Feature", "properties": {key: mark, **columns}, "geometry": geometry})
    return msgspec.json.encode({"type": "FeatureCollection", "features": found})
