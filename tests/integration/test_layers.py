"""Reference layers on a real database: imported, put to use, taken up by workers, shown to people."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psycopg
import pytest
import shapely
from structlog.testing import capture_logs
from typer.testing import CliRunner

from cityops.cli import app
from schemas import metrics
from schemas.errors import Fatal
from storage import layers, zones
from storage.connect import Pool, create_pool
from storage.layers import Attributes, Feature, SourceAttributes, as_features, unpack
from storage.migrate import migrate
from streams.layers import Layers
from tests.integration.people import City, running
from tests.unit.gateway.city import NOW

HERE = (np.array([112.85]), np.array([35.5]), np.ones(1, np.bool_))


def park(code: str = "999001", zh: str = "园区") -> Feature:
    return Feature(code, Attributes(zh=zh), shapely.box(112.8, 35.4, 112.9, 35.6))


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    migrate(database)
    found = await create_pool(database, size=2)
    yield found
    await found.close()


async def put(pool: Pool, *features: Feature, layer: str = "zones", at: int = NOW) -> int:
    version, _ = await layers.save(pool, layer, features, title="t", note="", at=at)
    await layers.activate(pool, layer, version, at=at)
    return version


async def test_versions_never_change_and_the_same_content_makes_none(pool: Pool) -> None:
    counties = as_features(zones.load())
    assert await layers.save(pool, "zones", counties, title="counties", note="", at=NOW) == (1, True)
    assert await layers.save(pool, "zones", [park()], title="park", note="n", at=NOW + 1) == (2, True)
    assert await layers.save(pool, "zones", counties[::-1], title="again", note="", at=NOW + 2) == (1, False)
    found = await layers.versions(pool, "zones")
    assert [(v.version, v.name, v.features, v.active_from) for v in found] == [(1, "counties", 6, None), (2, "park", 1, None)]
    kept = unpack("zones", await layers.fetch(pool, "zones", 1))
    assert sorted(f.id for f in kept) == sorted(f.id for f in counties)
    assert layers.content_hash(kept) == found[0].hash
    with pytest.raises(Exception, match="append-only"):
        await pool.execute("UPDATE layer_features SET id = 'x'")


async def test_what_was_in_use_and_when_is_kept(pool: Pool) -> None:
    await put(pool, *as_features(zones.load()), at=NOW)
    before = await layers.revision(pool)
    await put(pool, park(), at=NOW + 5)
    assert await layers.revision(pool) > before
    assert not await layers.activate(pool, "zones", 2, at=NOW + 6), "it is in use already"
    assert await layers.activate(pool, "zones", 0, at=NOW + 7)
    assert await layers.active(pool) == {}
    assert await layers.activate(pool, "zones", 1, at=NOW + 3), "with a clock that was set back"
    stretches = [(u.version, u.active_from, u.active_to) for u in await layers.uses(pool, "zones")]
    assert stretches == [(1, NOW, NOW + 5), (2, NOW + 5, NOW + 7), (0, NOW + 7, NOW + 7), (1, NOW + 7, None)]
    with pytest.raises(Fatal, match="layer zones has no version 9; it has 1, 2"):
        await layers.activate(pool, "zones", 9, at=NOW)


async def test_workers_take_up_what_is_put_to_use(pool: Pool) -> None:
    held = Layers(zones.load())
    county = held.present().zones.codes(*HERE).tolist()
    assert not await held.refresh(pool) and county == [140502]
    await put(pool, park())
    await put(pool, Feature("bus-1", SourceAttributes(operator="市公交")), layer="sources")
    assert held.present().zones.codes(*HERE).tolist() == county, "nothing changes between two looks"
    assert await held.refresh(pool) and not await held.refresh(pool)
    first = held.present()
    assert first.zones.codes(*HERE).tolist() == [999001]
    assert first.registry.ids.to_pylist() == ["bus-1"]
    gauge = metrics.STREAM_LAYER_VERSION.labels("zones")
    assert gauge._value.get() == 1
    await put(pool, park("999002"))
    assert await held.refresh(pool)
    assert held.present().zones.codes(*HERE).tolist() == [999002]
    assert held.present().registry is first.registry, "an unchanged layer is not loaded again"
    await layers.activate(pool, "zones", 0, at=NOW)
    assert await held.refresh(pool)
    assert (held.present().zones.codes(*HERE).tolist(), gauge._value.get()) == (county, 0)


async def test_a_layer_that_cannot_be_read_leaves_the_old_one_in_use_and_is_told_once(pool: Pool, database: str) -> None:
    held = Layers(zones.load())
    await put(pool, park())
    await held.refresh(pool)
    old = held.present()
    with psycopg.connect(database, autocommit=True, options="-c search_path=cityops") as connection:
        connection.execute(
            "INSERT INTO layer_versions SELECT layer, 7, 'x', name, note, features, imported_at FROM layer_versions;"
            "INSERT INTO layer_features VALUES ('zones', 7, '1', '{\"colour\": 1}')"
        )
    await layers.activate(pool, "zones", 7, at=NOW)
    with capture_logs() as logs:
        assert not any([await held.refresh(pool) for _ in range(3)])
    assert held.present() is old
    assert [entry["event"] for entry in logs] == ["reference layers stay as they are"]
    await put(pool, park("999003"))
    assert await held.refresh(pool)
    assert held.present().zones.codes(*HERE).tolist() == [999003]


async def test_a_database_that_is_away_is_told_once_and_asked_again(pool: Pool, database: str) -> None:
    held = Layers(zones.load())
    await put(pool, park())
    away = await create_pool(database, size=1)
    await away.close()
    for broken in (lambda: away, lambda: pool):
        with capture_logs() as logs:
            await pool.execute("ALTER TABLE layer_uses RENAME TO layer_uses_away")
            assert not any([await held.refresh(broken()) for _ in range(3)])
            await pool.execute("ALTER TABLE layer_uses_away RENAME TO layer_uses")
        assert len(logs) == 1
    assert await held.refresh(pool)
    assert held.present().versions == {"zones": 1}


def said(database: str, folder: Path, *arguments: str) -> str:
    """What the command line prints."""
    config = folder / "settings.toml"
    config.write_text(f'[database]\nurl = "{database}"\n', encoding="utf-8")
    done = CliRunner().invoke(app, ["layers", *arguments, "--config", str(config), "--data-dir", str(folder)])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_the_command_line(database: str, tmp_path: Path) -> None:
    migrate(database)
    default = said(database, tmp_path, "export", "zones")
    assert len(json.loads(default)["features"]) == 6, "the zones of the settings, ready to be edited"
    mine = tmp_path / "mine.geojson"
    mine.write_text(default, encoding="utf-8")
    assert "version 1 is in use" in said(database, tmp_path, "import", "zones", str(mine), "--note", "first")
    assert "same content as before" in said(database, tmp_path, "import", "zones", str(mine))
    mine.write_bytes(layers.geojson("zones", [park()]))
    assert "activate zones 2" in said(database, tmp_path, "import", "zones", str(mine), "--draft", "--name", "park")
    listed = json.loads(said(database, tmp_path, "list", "--json"))
    assert [(v["version"], v["name"], v["note"], v["active_from"] is not None) for v in listed] == [
        (1, "mine.geojson", "first", True),
        (2, "park", "", False),
    ]
    assert said(database, tmp_path, "activate", "zones", "2").startswith("zones: 2")
    assert json.loads(said(database, tmp_path, "export", "zones")) == json.loads(mine.read_bytes())
    shown = json.loads(said(database, tmp_path, "show", "zones", "--json"))
    assert [(u["version"], u["active_to"] is None) for u in shown["uses"]] == [(1, False), (2, True)]
    assert "park" in said(database, tmp_path, "list") and "default" not in said(database, tmp_path, "show", "zones")
    with pytest.raises(Fatal, match="layer roads has no version in use"):
        said(database, tmp_path, "export", "roads")
    with pytest.raises(Fatal, match="layer zones has no version 5"):
        said(database, tmp_path, "activate", "zones", "5")


@pytest.fixture
async def city(database: str, tmp_path: Path) -> AsyncIterator[City]:
    async with running(database, tmp_path) as found:
        yield found


async def test_the_map_gets_the_layer_in_use(city: City) -> None:
    viewer, engineer = await city.person("guest", "viewer"), await city.person("wang", "engineer")
    assert (await city.browser().get("/api/layers/zones.geojson")).status_code == 401
    assert len((await viewer.get("/api/layers/zones.geojson")).json()["features"]) == 6
    assert (await viewer.get("/api/layers/roads.geojson")).json()["features"] == []
    await put(city.pool, park())
    await put(city.pool, Feature("bus-1", SourceAttributes(operator="市公交", values={"phone": "139"})), layer="sources")
    answer = await viewer.get("/api/layers/zones.geojson")
    assert [f["properties"] for f in answer.json()["features"]] == [{"code": 999001, "zh": "园区"}]
    assert (await viewer.get("/api/catalog")).json()["zones"] == [{"code": 999001, "zh": "园区", "en": "园区"}]
    assert [f["properties"]["code"] for f in (await viewer.get("/api/boundaries.geojson")).json()["features"]] == [999001]
    again = await viewer.get("/api/layers/zones.geojson", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    await put(city.pool, park("999002"))
    fresh = await viewer.get("/api/layers/zones.geojson", headers={"If-None-Match": answer.headers["ETag"]})
    assert fresh.json()["features"][0]["properties"]["code"] == 999002
    assert (await viewer.get("/api/layers/zones.geojson?version=1")).json() == answer.json()
    assert (await viewer.get("/api/layers/zones.geojson?version=9")).status_code == 404
    assert (await viewer.get("/api/layers/lakes.geojson")).status_code == 404
    assert "139" not in (await viewer.get("/api/layers/sources.geojson")).text
    assert "139" in (await engineer.get("/api/layers/sources.geojson")).text
    listed = (await viewer.get("/api/layers")).json()["layers"]
    assert set(listed) == set(layers.LAYERS)
    assert (listed["zones"]["active"], [v["version"] for v in listed["zones"]["versions"]]) == (2, [1, 2])
    assert (listed["roads"]["active"], listed["roads"]["versions"]) == (None, [])
