"""Whether the gateway lives, whether it is ready, and its metrics."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from gateway.api.shapes import json_answer
from gateway.parts import parts_of
from gateway.policy import Local, Open

router = APIRouter(tags=["health"])
Anyone = Annotated[None, Depends(Open())]


@router.get("/healthz")
async def healthz(_: Anyone) -> Response:
    """Say that the process answers."""
    return json_answer({"alive": True})


@router.get("/readyz")
async def readyz(request: Request, _: Anyone) -> Response:
    """Say whether Kafka and the database answer and the live picture is complete; 503 with the reasons when not."""
    reasons = await parts_of(request).trouble()
    return json_answer({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200, "no-store")


@router.get("/metrics")
async def metrics(_: Annotated[None, Depends(Local())]) -> Response:
    """Give the metrics of this process in Prometheus' text format."""
    return Response(generate_latest(), headers={"Cache-Control": "no-store"}, media_type=CONTENT_TYPE_LATEST)
