"""How the system itself does: connectors, the ledger, refused input."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from gateway.api.shapes import Limit, Since, Text64, Until, json_answer, returns
from gateway.parts import parts_of
from gateway.policy import Guard
from gateway.sessions import Identity
from schemas.events import ConnectorState
from storage import queries

router = APIRouter(prefix="/api", tags=["operations"])
Viewer = Annotated[Identity, Depends(Guard("viewer"))]
Engineer = Annotated[Identity, Depends(Guard("engineer"))]
RAW_BYTES = 4096


@router.get("/connectors", responses=returns(dict[str, list[ConnectorState]], "Under ``connectors``, by name."))
async def connectors(request: Request, _: Viewer) -> Response:
    """List the latest state of every connector."""
    known = parts_of(request).hub.connectors
    return json_answer({"connectors": [known[name] for name in sorted(known)]})


@router.get("/ledger")
async def ledger(request: Request, _: Viewer, since: Since | None = None) -> Response:
    """Give what came in and what became of it: received = stored + duplicates + rejected + in flight + lost.

    Rows that are still under way when this is asked count as lost until they are stored; ``cityops ledger`` knows them.
    """
    pool = parts_of(request).pool
    at = None if since is None else int(since * 1000)
    found = await queries.ledger(pool, since=at)
    return json_answer({**found, "reasons": await queries.reasons(pool, since=at)})


@router.get("/rejects")
async def rejects(
    request: Request,
    who: Viewer,
    connector: Text64 | None = None,
    reason: Text64 | None = None,
    since: Since | None = None,
    before: Until | None = None,
    limit: Limit = 100,
) -> Response:
    """List refused input, newest arrival first; the refused bytes, in base64, only for engineers."""
    rows = await queries.rejects(
        parts_of(request).pool,
        connector=connector,
        reason=reason,
        since=None if since is None else int(since * 1000),
        before=None if before is None else int(before * 1000),
        limit=limit,
    )
    return json_answer({"rejects": [_reject(row, raw=who.may("engineer")) for row in rows]})


def _reject(row: dict[str, Any], *, raw: bool) -> dict[str, Any]:
    refused = row.pop("raw", None)
    if not raw or refused is None:
        return row
    return {**row, "raw": base64.b64encode(refused[:RAW_BYTES]).decode(), "raw_size": len(refused)}
