"""The dashboard's files: what is cached, compressed, given in ranges, and never given."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.app import create_app
from tests.unit.gateway.city import Clock, parts

HTML = {"accept": "text/html,application/xhtml+xml"}
GZIP = {"accept-encoding": "gzip"}
PLAIN = {"accept-encoding": "identity"}


@pytest.fixture
def static(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>晋城</title>" * 100)
    (folder / "assets" / "index-Bx3kTq9Z.js").write_text("export const x = 1;" * 100)
    (folder / "assets" / "worker-abcdefgh.mjs").write_text("export {};")
    (folder / "basemap.pmtiles").write_bytes(bytes(range(256)) * 10)
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
async def http(static: Path, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(parts(Clock(), tmp_path / "data", static=static))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city.example") as client:
        yield client


async def test_the_page_is_never_cached_and_hashed_files_for_ever(http: httpx.AsyncClient) -> None:
    page = await http.get("/", headers=HTML)
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-cache")
    assert page.headers["content-type"].startswith("text/html")
    script = await http.get("/assets/index-Bx3kTq9Z.js")
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert script.headers["content-type"].startswith("text/javascript")
    assert (await http.get("/assets/worker-abcdefgh.mjs")).headers["content-type"].startswith("text/javascript")


async def test_text_is_compressed_for_those_who_can_read_it_and_revalidated(http: httpx.AsyncClient, static: Path) -> None:
    packed = await http.get("/index.html", headers=GZIP)
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert int(packed.headers["content-length"]) < len(packed.content)
    assert packed.content == (await http.get("/index.html", headers=PLAIN)).content
    again = await http.get("/index.html", headers={**GZIP, "if-none-match": packed.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    (static / "index.html").write_text("new")
    assert (await http.get("/index.html", headers=GZIP)).text == "new"
    assert gzip.decompress(gzip.compress(b"new")) == b"new"


async def test_the_map_is_given_in_ranges(http: httpx.AsyncClient, tmp_path: Path) -> None:
    part = await http.get("/basemap.pmtiles", headers={"range": "bytes=10-19", **GZIP})
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
    assert part.headers["content-range"] == "bytes 10-19/2560"
    assert (await http.get("/basemap.pmtiles", headers={"range": "bytes=9999-"})).status_code == 416
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "basemap.pmtiles").write_bytes(b"the customer's own")
    assert (await http.get("/basemap.pmtiles")).content == b"the customer's own"


@pytest.mark.parametrize("path", ["/duty", "/alerts/a1", "/connectors"])
async def test_page_addresses_give_the_page(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path, headers=HTML)).text.startswith("<!doctype html>")
    assert (await http.get(path, headers={"accept": "application/json"})).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/nothing.js",
        "/api/nothing",
        "/api/",
        "/api",
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%5c..%5csecret.txt",
        "/%00",
        "/" + "a" * 5000 + ".js",
        "/assets",
        "//etc/passwd",
        "/%2fetc/passwd",
    ],
)
async def test_everything_else_is_404(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, headers=HTML if path.startswith("/api") else {})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "secret" not in answer.json()["remedy"]


async def test_other_methods_are_refused_and_head_has_no_body(http: httpx.AsyncClient) -> None:
    assert (await http.post("/index.html")).json()["code"] == "no_such_method"
    head = await http.head("/index.html")
    assert (head.status_code, head.content) == (200, b"")
    assert (await http.delete("/api/me")).status_code == 405


async def test_without_a_built_page_it_says_so(tmp_path: Path) -> None:
    app = create_app(parts(Clock(), tmp_path, static=tmp_path / "none"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city.example") as client:
        answer = await client.get("/", headers=HTML)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_built")
