"""Reference layers for the map: which there are, and each as GeoJSON."""

from __future__ import annotations

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from gateway.api.shapes import Clean, json_answer
from gateway.parts import Parts, parts_of
from gateway.policy import Guard
from gateway.problems import Problem
from gateway.sessions import Identity
from storage import layers, zones

router = APIRouter(prefix="/api", tags=["catalogue"])
Viewer = Annotated[Identity, Depends(Guard("viewer"))]
LayerName = Annotated[str, Path(max_length=64, pattern=Clean, description="Layer, as in /api/layers.")]
Number = Annotated[int, Query(ge=1, le=2**31 - 1, description="Version; the one in use where absent.")]
GEOJSON = "application/geo+json"
INTERNAL = ("values",)
"""Columns that viewers do not see: nobody knows what is in them."""


@router.get("/layers")
async def listed(request: Request, _: Viewer) -> Response:
    """List every layer with its versions, and since when one is in use; without one the default holds."""
    found = await layers.versions(parts_of(request).pool)
    return json_answer({"layers": {name: _about(name, [v for v in found if v.layer == name]) for name in layers.LAYERS}})


def _about(name: str, versions: list[layers.Version]) -> dict[str, Any]:
    declared = layers.layer(name)
    active = next((v.version for v in versions if v.active_from is not None), None)
    return {"zh": declared.zh, "en": declared.en, "key": declared.key, "active": active, "versions": versions}


@router.get("/layers/{name}.geojson")
async def outlines(request: Request, who: Viewer, name: LayerName, version: Number | None = None) -> Response:
    """Give one version of a layer, WGS-84; the zones of the settings or an empty collection where none is in use."""
    if name not in layers.LAYERS:
        raise Problem("not_found", name)
    parts = parts_of(request)
    chosen = await _chosen(parts, name, version)
    hidden = () if who.may("engineer") else INTERNAL
    tag = f'"{chosen.hash[:32]}-{len(hidden)}"' if chosen else None
    # private and revalidated: another version may be put to use at any time
    headers = {"Cache-Control": "private, no-cache"} | ({"ETag": tag} if tag else {})
    if tag is not None and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    rows = await layers.fetch(parts.pool, name, chosen.version) if chosen else ()

    def made() -> bytes:
        default = layers.as_features(zones.load(parts.config.stream.boundaries)) if name == "zones" else []
        return layers.geojson(name, layers.unpack(name, rows) if chosen else default, leave_out=hidden)

    return Response(await anyio.to_thread.run_sync(made), headers=headers, media_type=GEOJSON)


async def _chosen(parts: Parts, name: str, version: int | None) -> layers.Version | None:
    """Give the version asked for, or the one in use; a version that does not exist raises ``Problem``."""
    found = await layers.versions(parts.pool, name)
    if version is None:
        return next((v for v in found if v.active_from is not None), None)
    for one in found:
        if one.version == version:
            return one
    raise Problem("not_found", f"{name} {version}")
