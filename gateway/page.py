"""The dashboard's files: compressed once, cached for ever where their name carries a hash, in ranges for the map."""

from __future__ import annotations

import gzip
import mimetypes
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import FileResponse, Response

from gateway.parts import Parts, parts_of
from gateway.policy import Open
from gateway.problems import Problem

router = APIRouter(include_in_schema=False)

TYPES: Final = {
    ".mjs": "text/javascript",
    ".js": "text/javascript",
    ".woff2": "font/woff2",
    ".pmtiles": "application/vnd.pmtiles",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
}
COMPRESSED: Final = (".html", ".js", ".mjs", ".css", ".svg", ".json", ".webmanifest", ".txt")
HASHED: Final = re.compile(r"[-.][A-Za-z0-9_-]{8,}\.\w+$")
OWN: Final = ("basemap.pmtiles",)
"""Files that the installation's data folder may hold in place of ours."""


@router.api_route("/{path:path}", methods=["GET", "HEAD"])
async def page(path: str, request: Request, _: Annotated[None, Depends(Open())]) -> Response:
    """Give a file of the dashboard; a page address that is no file gives index.html, anything else 404."""
    parts = parts_of(request)
    file = _find(parts, path)
    if file is None and path.partition("/")[0] not in ("api", "ws") and _navigates(request):
        file = _find(parts, "index.html")
        if file is None:
            raise Problem("not_built")
    if file is None:
        raise Problem("not_found", f"/{path}")
    return _serve(file, request)


def _navigates(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "") and "." not in request.url.path.rsplit("/", 1)[-1]


def _find(parts: Parts, path: str) -> Path | None:
    path = path or "index.html"
    if "\0" in path or "\\" in path or ".." in path.split("/"):
        return None
    roots = [parts.data_dir] if path in OWN else []
    roots += [parts.static] if parts.static is not None else []
    for root in roots:
        try:
            file = (root / path).resolve()
            if file.is_relative_to(root.resolve()) and file.is_file():
                return file
        except (OSError, ValueError):  # a name too long for the file system
            return None
    return None


def _serve(file: Path, request: Request) -> Response:
    kind = TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    headers = {"Cache-Control": "no-cache"}
    if file.parent.name == "assets" and HASHED.search(file.name):
        headers["Cache-Control"] = "public, max-age=31536000, immutable"
    if file.suffix not in COMPRESSED or "gzip" not in request.headers.get("accept-encoding", ""):
        return FileResponse(file, headers=headers, media_type=kind)
    stat = file.stat()
    etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}-gz"'
    headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding", "ETag": etag}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(_compressed(file, stat.st_mtime_ns), headers=headers, media_type=kind)


@lru_cache(maxsize=256)
def _compressed(file: Path, _mtime_ns: int) -> bytes:
    return gzip.compress(file.read_bytes(), 6, mtime=0)
