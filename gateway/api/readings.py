"""Readings: a field over time, where a vehicle went, what a source said last."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from gateway.api.shapes import Clean, KindName, Since, SourceName, Until, json_answer, returns
from gateway.masking import coarse, is_tracked, mask_row, sensitive_fields
from gateway.parts import Parts, actor, parts_of
from gateway.policy import Guard
from gateway.problems import Problem
from gateway.reads import latest_reading
from gateway.sessions import Identity
from schemas.derive import fields
from schemas.quality import LABELS
from schemas.reading import Grade
from storage import accounts, queries
from storage.connect import passing_faults
from storage.series import SECOND, field_of, step_for

router = APIRouter(prefix="/api", tags=["readings"])
Viewer = Annotated[Identity, Depends(Guard("viewer"))]
HOUR_US: Final = 3_600 * 1_000_000
LONGEST_US: Final = 400 * 24 * HOUR_US
AUDIT_EVERY_US: Final = 10 * 60 * 1_000_000
"""Looking at the same track again within this is one look, not many, in the audit."""
_looked: dict[tuple[bytes, str], int] = {}


class History(msgspec.Struct, frozen=True):
    """A field over time; ``points`` are ``[ts_ms, mean, low, high, last, count]``, values null where nothing was heard."""

    kind: str
    source: str
    field: str
    unit: str
    step_s: float
    points: list[tuple[float, float | None, float | None, float | None, float | None, int]]


@router.get("/history/{kind}/{source}", responses=returns(History, "The field over time."))
async def history(
    kind: KindName,
    source: SourceName,
    request: Request,
    who: Viewer,
    field: Annotated[str, Query(max_length=64, pattern=Clean)],
    since: Since | None = None,
    until: Until | None = None,
    step: Annotated[int | None, Query(ge=1, le=366 * 86_400, description="Seconds between points.")] = None,
) -> Response:
    """Give a field of a source in steps; by default the last hour."""
    parts = parts_of(request)
    start, end = _span(parts, since, until)
    try:
        declared = field_of(kind, field)
        if who.coarse and field in sensitive_fields(kind):
            raise Problem("forbidden", "duty")
        wanted = step_for(start, end, None if step is None else step * SECOND)
        rows = await queries.history(parts.pool, kind, source, field, start, end, wanted)
    except ValueError as error:
        raise Problem("bad_request", str(error)) from error
    points = [(r["ts"] / 1000, r["mean"], r["low"], r["high"], r["last"], r["count"]) for r in rows]
    return json_answer(History(kind, source, field, declared.unit, wanted / SECOND, points))


@router.get("/track/{kind}/{source}")
async def track(
    kind: KindName, source: SourceName, request: Request, who: Viewer, since: Since | None = None, until: Until | None = None
) -> Response:
    """Give where a vehicle went, by default in the last hour; a viewer gets a coarse track, others' look is audited."""
    parts = parts_of(request)
    start, end = _span(parts, since, until)
    if is_tracked(kind) and not who.coarse:
        await _audit_look(parts, request, who, f"{kind}/{source}")
    try:
        rows = await queries.track(parts.pool, kind, source, start, end)
    except ValueError as error:
        raise Problem("bad_request", str(error)) from error
    if who.coarse and is_tracked(kind):
        rows = [{**r, "lon": coarse(r["lon"]), "lat": coarse(r["lat"])} for r in rows]
    return json_answer({"kind": kind, "source": source, "points": rows})


async def _audit_look(parts: Parts, request: Request, who: Identity, what: str) -> None:
    now = parts.clock()
    if now - _looked.get((who.session, what), -AUDIT_EVERY_US) < AUDIT_EVERY_US:
        return
    with passing_faults():
        await accounts.record(parts.pool, actor(request, who.name), "track.read", what, "ok")
    if len(_looked) > 10_000:
        _looked.clear()
    _looked[who.session, what] = now


def _span(parts: Parts, since: float | None, until: float | None) -> tuple[int, int]:
    end = parts.clock() if until is None else int(until * 1000)
    start = end - HOUR_US if since is None else int(since * 1000)
    if not 0 < end - start <= LONGEST_US:
        raise Problem("bad_request", "until must lie after since, by 400 days at most")
    return start, end


@router.get("/sources/{kind}/{source}")
async def source_now(kind: KindName, source: SourceName, request: Request, who: Viewer) -> Response:
    """Give the newest reading of a source: every field, and under ``labels`` its names and unit; masked for viewers."""
    try:
        row = await latest_reading(parts_of(request).pool, kind, source)
    except ValueError as error:
        raise Problem("not_found", str(error)) from error
    if row is None:
        raise Problem("not_found", f"{kind} {source} was never heard")
    shown = mask_row(kind, row) if who.coarse else row
    return json_answer({**shown, "kind": kind, **_about(kind, row, who)})


def _about(kind: str, row: dict[str, Any], who: Identity) -> dict[str, Any]:
    quality = int(row.get("quality") or 0)
    return {
        "labels": {f.name: {"zh": f.zh, "en": f.en, "unit": f.unit, "grade": f.grade} for f in fields(kind, "clean")},
        "masked": [n for n in sensitive_fields(kind) if row.get(n) is not None] if who.coarse else [],
        "quality_labels": [{"zh": zh, "en": en} for bit, (zh, en) in LABELS.items() if quality & bit],
        "grade": _highest(kind),
    }


def _highest(kind: str) -> str:
    order = list(Grade)
    return max((Grade(f.grade) for f in fields(kind, "clean")), key=order.index).value
