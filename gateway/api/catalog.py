"""What there is: kinds, rules, zones, reasons, connectors, layers, with their names for people; and the map's outlines."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

import anyio
import msgspec
import structlog
from fastapi import APIRouter, Depends, Request
from starlette.responses import FileResponse, Response

from connectors._api import manifest, registry
from gateway.api.shapes import json_answer
from gateway.masking import sensitive_fields
from gateway.parts import parts_of
from gateway.policy import Guard
from gateway.sessions import Identity
from schemas import quality
from schemas.derive import fields
from schemas.errors import REASONS, Fatal
from schemas.kinds import all_kinds
from schemas.messages import LAYERS, VALUE
from storage import layers, queries, zones

router = APIRouter(prefix="/api", tags=["catalogue"])
log = structlog.get_logger(__name__)
Viewer = Annotated[Identity, Depends(Guard("viewer"))]
GEOJSON = "application/geo+json"


@router.get("/catalog")
async def catalog(request: Request, _: Viewer) -> Response:
    """Give the names, units and bounds of everything the page shows."""
    parts = parts_of(request)
    rules = await queries.rules(parts.pool)
    places = await layers.zones_in_use(parts.pool, zones.load(parts.config.stream.boundaries))
    return json_answer(
        {
            "kinds": kinds(),
            "rules": rules,
            "zones": [{"code": z.code, "zh": z.zh, "en": z.en} for z in places],
            "reasons": {name: {"zh": zh, "en": en} for name, (zh, en) in REASONS.items()},
            "quality": {str(bit): {"zh": zh, "en": en} for bit, (zh, en) in quality.LABELS.items()},
            "connectors": connectors(),
            "layers": [
                {"layer": n, "kind": k, "field": VALUE[k][0], "factor": VALUE[k][1], "unit": VALUE[k][2]}
                for n, k in enumerate(LAYERS)
            ],
            "retention": {name: k.retention_s for name, k in all_kinds().items()},
        }
    )


@cache
def kinds() -> dict[str, Any]:
    """Give every kind with its fields."""
    return {
        name: {
            "zh": kind.labels[0],
            "en": kind.labels[1],
            "domain": kind.domain,
            "metrics": list(kind.metrics),
            "interval_s": kind.interval_s,
            "masked_for_viewers": sensitive_fields(name),
            "fields": [
                {"name": f.name, "zh": f.zh, "en": f.en, "unit": f.unit, "grade": f.grade, "ge": f.ge, "le": f.le}
                for f in fields(name, "clean")
            ],
        }
        for name, kind in all_kinds().items()
    }


@cache
def connectors() -> dict[str, Any]:
    """Give every installed connector's manifest; a broken one is named with what is wrong."""
    found: dict[str, Any] = {}
    for name, folder in registry.installed().items():
        try:
            declared = msgspec.to_builtins(manifest.read(folder / "connector.toml"))
        except Fatal as error:
            log.warning("connector has no readable manifest", connector=name, error=str(error))
            found[name] = {"error": str(error)}
        else:
            found[name] = {k: v for k, v in declared.items() if k != "settings"}
    return found


@router.get("/boundaries.geojson")
async def boundaries(request: Request, _: Viewer) -> Response:
    """Give the outlines of the zones in use, WGS-84."""
    parts = parts_of(request)
    found = await layers.zones_in_use(parts.pool, zones.load(parts.config.stream.boundaries))
    collection = zones.geojson(found)
    return Response(msgspec.json.encode(collection), headers={"Cache-Control": "private, max-age=60"}, media_type=GEOJSON)


@router.get("/roads.geojson")
async def roads(request: Request, _: Viewer) -> Response:
    """Give the roads of the installation's data folder, an empty collection where it has none."""
    file = parts_of(request).data_dir / "roads.geojson"
    if await anyio.Path(file).is_file():
        return FileResponse(file, media_type=GEOJSON, headers={"Cache-Control": "private, max-age=3600"})
    return json_answer({"type": "FeatureCollection", "features": []})
