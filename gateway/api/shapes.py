"""What requests may hold and how answers are written."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

Clean = r"^[^\x00-\x1f\x7f]*$"
"""No control characters: PostgreSQL stores no NUL, and log lines stay one line."""
MAX_TIME_MS: Final = 4_102_444_800_000
"""The year 2100 in milliseconds."""

KindName = Annotated[str, Path(max_length=64, pattern=Clean, description="Kind of reading, as in /api/catalog.")]
SourceName = Annotated[str, Path(max_length=128, pattern=Clean, description="Device or vehicle id.")]
AlertId = Annotated[str, Path(max_length=64, pattern=Clean, description="Alert id.")]
UserName = Annotated[str, Path(max_length=64, pattern=Clean, description="Log-in name.")]
Since = Annotated[float, Query(ge=0, le=MAX_TIME_MS, description="Event time in milliseconds since 1970 UTC, included.")]
Until = Annotated[float, Query(ge=0, le=MAX_TIME_MS, description="Event time in milliseconds since 1970 UTC, excluded.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Rows at most.")]
Text64 = Annotated[str, Query(max_length=64, pattern=Clean)]


class Body(BaseModel):
    """A request's JSON: exact types, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid")


Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w.@-]+$")]
Password = Annotated[str, Field(min_length=10, max_length=256)]


def json_answer(value: Any, status: int = 200, cache: str | None = None) -> Response:
    """Give a value as JSON; NaN and infinities become null."""
    headers = None if cache is None else {"Cache-Control": cache}
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def returns(shape: Any, about: str) -> dict[int | str, dict[str, Any]]:
    """Describe an answer for OpenAPI by the type that is encoded."""
    (schema,), components = msgspec.json.schema_components((shape,), ref_template="#/components/schemas/{name}")
    SCHEMAS.update(components)
    return {200: {"description": about, "content": {"application/json": {"schema": schema}}}}


SCHEMAS: Final[dict[str, Any]] = {}
"""Components that the answers refer to, for the OpenAPI document."""
