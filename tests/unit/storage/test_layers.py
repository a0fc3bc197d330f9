"""Files of reference layers: what becomes of good ones, and what is said of bad ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import shapely

from cityops import layer_files
from cityops.layer_files import Reading, read, system
from connectors._api.coordinates import wgs84_to_gcj02
from schemas.errors import Fatal
from storage import zones
from storage.layers import LAYERS, Feature, SourceAttributes, as_features, as_zones, content_hash, geojson, unpack

SQUARE = {"type": "Polygon", "coordinates": [[[112, 35], [113, 35], [113, 36], [112, 36], [112, 35]]]}
BOW = {"type": "Polygon", "coordinates": [[[112, 35], [113, 36], [113, 35], [112, 36], [112, 35]]]}
LINE = {"type": "LineString", "coordinates": [[112.1, 35.1], [112.2, 35.2]]}
PLAIN = Reading()


def file(folder: Path, *features: dict[str, Any], **more: Any) -> Path:
    path = folder / "layer.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **more}), encoding="utf-8")
    return path


def feature(geometry: Any, **columns: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": columns, "geometry": geometry}


def table(folder: Path, text: str) -> Path:
    path = folder / "layer.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_zones_come_back_as_they_went_out(tmp_path: Path) -> None:
    counties = as_features(zones.load())
    path = tmp_path / "zones.geojson"
    path.write_bytes(geojson("zones", counties))
    again = read(path, "zones", PLAIN)
    assert [(f.id, f.attributes) for f in again] == [(f.id, f.attributes) for f in counties]
    assert content_hash(again) == content_hash(reversed(counties)) == content_hash(counties)
    assert [z.code for z in as_zones(again)] == [z.code for z in zones.load()]


def test_any_change_of_content_changes_the_hash() -> None:
    one = Feature("a", SourceAttributes(operator="甲", values={"x": 1, "y": 2}), shapely.Point(112, 35))
    same = Feature("a", SourceAttributes(operator="甲", values={"y": 2, "x": 1}), shapely.Point(112, 35))
    others = [
        Feature("b", one.attributes, one.geometry),
        Feature("a", SourceAttributes(operator="乙"), one.geometry),
        Feature("a", one.attributes, shapely.Point(112, 35.0000001)),
        Feature("a", one.attributes),
    ]
    assert content_hash([one]) == content_hash([same])
    assert len({content_hash([f]) for f in (one, *others)}) == 5


def test_a_register_of_sources_as_csv(tmp_path: Path) -> None:
    text = 'source,name,operator,line,lon,lat,values\nbus-1,晋E1,市公交,3路,112.85,35.5,"{""seats"": 40}"\nhj-9,,,,,,\n'
    bus, station = read(table(tmp_path, "\ufeff" + text), "sources", PLAIN)
    assert bus.attributes == SourceAttributes(name="晋E1", operator="市公交", line="3路", values={"seats": 40})
    assert bus.geometry == shapely.Point(112.85, 35.5)
    assert (station.id, station.attributes, station.geometry) == ("hj-9", SourceAttributes(), None)


def test_features_kept_as_rows_are_the_same_features() -> None:
    attributes = SourceAttributes(operator="甲", values={"x": None})
    rows = [
        {"id": "a", "attributes": '{"operator":"甲","values":{"x":null}}', "geometry": shapely.to_wkb(shapely.Point(1, 2))},
        {"id": "b", "attributes": "{}", "geometry": None},
    ]
    assert unpack("sources", rows) == [Feature("a", attributes, shapely.Point(1, 2)), Feature("b", SourceAttributes())]
    with pytest.raises(Fatal, match="layer sources: not readable by this release"):
        unpack("sources", [{"id": "a", "attributes": '{"colour":"red"}', "geometry": None}])


def test_lines_as_well_known_text_with_columns_renamed_and_left_out(tmp_path: Path) -> None:
    path = table(tmp_path, 'osm_id,name,class,wkt\n7,S331,x,"LINESTRING Z (112 35 700, 113 35 710)"\n')
    (road,) = read(path, "roads", Reading(rename={"osm_id": "id", "name": "zh"}, drop=frozenset({"class"})))
    assert (road.id, road.attributes.zh, road.geometry.wkt) == ("7", "S331", "LINESTRING (112 35, 113 35)")
    (road,) = read(path, "roads", Reading(rename={"osm_id": "id"}, drop=frozenset({"*"})))
    assert road.attributes.zh == ""


@pytest.mark.parametrize("crs", ["gcj02", "bd09"])
def test_offset_coordinates_are_brought_to_wgs84(tmp_path: Path, crs: str) -> None:
    from connectors._api.coordinates import gcj02_to_bd09

    lon, lat = wgs84_to_gcj02(112.85, 35.5)
    if crs == "bd09":
        lon, lat = gcj02_to_bd09(lon, lat)
    (stop,) = read(table(tmp_path, f"id,lon,lat\ns1,{lon!r},{lat!r}\n"), "bus_stops", Reading(crs=system(crs)))
    assert math.dist((stop.geometry.x, stop.geometry.y), (112.85, 35.5)) * 111_320 < (0.01 if crs == "gcj02" else 2)


def test_a_named_coordinate_system_is_believed_and_not_overruled(tmp_path: Path) -> None:
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4490"}}
    path = file(tmp_path, feature(LINE, id="a"), crs=named)
    assert read(path, "pipes", PLAIN) == read(path, "pipes", Reading(crs="cgcs2000"))
    with pytest.raises(Fatal, match=r"its crs is 'urn.*4490'; transform it to WGS-84, or delete"):
        read(path, "pipes", Reading(crs="gcj02"))
    metres = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4547"}}
    with pytest.raises(Fatal, match="4547"):
        read(file(tmp_path, feature(LINE, id="a"), crs=metres), "pipes", PLAIN)
    with pytest.raises(Fatal, match="no coordinate system 'wgs'; there are wgs84"):
        system("wgs")


@pytest.mark.parametrize(
    ("layer", "features", "said"),
    [
        ("roads", [feature(LINE, id="a"), feature(LINE, id="a")], "row 2: id 'a' is that of row 1"),
        ("roads", [feature(LINE, id="a"), feature(SQUARE, id="b")], "row 2: geometry is Polygon; roads are LineString or Multi"),
        ("roads", [feature(None, id="a")], "row 1: no geometry; roads are LineString"),
        ("roads", [feature({"type": "LineString", "coordinates": [[1]]}, id="a")], "row 1: geometry cannot be read"),
        ("roads", [feature({"type": "LineString", "coordinates": []}, id="a")], "row 1: geometry is empty"),
        ("roads", [feature(LINE, colour="red", id="a")], r"row 1: unknown columns colour; layer roads has id, zh, .*--rename"),
        ("roads", [feature(LINE, id="a", limit_kmh=-1)], r"row 1: id 'a': Expected `float` >= 0.*limit_kmh.*correct"),
        ("roads", [feature(LINE, zh="无编号")], "row 1: id is None; give a text"),
        ("geofences", [feature(SQUARE, id="a", restriction="forbidden")], "row 1: id 'a': Invalid enum value 'forbidden'"),
        ("geofences", [feature(SQUARE, id="a")], "row 1: id 'a': Object missing required field `restriction`"),
        ("zones", [feature(SQUARE, code="140502001")], "row 1: code is '140502001'; give the code of GB/T 2260"),
        ("zones", [feature(BOW, code=140502)], r"row 1: outline is invalid: Self-intersection\[112.5 35.5\].*--repair"),
        ("bus_stops", [feature({"type": "Point", "coordinates": [35.5, 112.8]}, id="a")], "row 1: .*are swapped"),
        ("bus_stops", [feature({"type": "Point", "coordinates": [4e5, 3.9e6]}, id="a")], "row 1: .*transform it to WGS-84"),
        ("zones", [feature({"type": "Polygon", "coordinates": [[[80, 30], [120, 30], [120, 31], [80, 30]]]}, code=1)], "span 40"),
        ("zones", [], "0 features; layer zones takes 1 to 5000"),
    ],
)
def test_what_is_wrong_is_told_with_its_row_and_remedy(tmp_path: Path, layer: str, features: list[Any], said: str) -> None:
    with pytest.raises(Fatal, match=said):
        read(file(tmp_path, *features), layer, PLAIN)


def test_a_few_complaints_stand_for_many(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"(?s)nothing was imported\nrow 1.*row 5: .*… and 4 more rows$"):
        read(file(tmp_path, *(feature(None, id=str(n)) for n in range(9))), "roads", PLAIN)


def test_invalid_outlines_are_repaired_where_asked(tmp_path: Path) -> None:
    (zone,) = read(file(tmp_path, feature(BOW, code=140502)), "zones", Reading(repair=True))
    assert zone.geometry.is_valid and zone.geometry.area == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,lon,lat\na,112,35,9\n", "line 2: more cells than the heading has columns"),
        ("id,lon,lat\na,east,35\n", "line 2: could not convert string to float: 'east'"),
        ('id,lon,lat\n"a,112,35\n', "unexpected end of data"),
        ("id,zh\na,x\n", r"row 1: no geometry; bus_stops are Point \(in CSV: column wkt, or lon and lat\)"),
    ],
)
def test_bad_tables_are_told_by_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Fatal, match=said):
        read(table(tmp_path, text), "bus_stops", PLAIN)


def test_files_that_are_none_or_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("id,lon,lat\n公,1,2\n".encode("gb18030"))
    with pytest.raises(Fatal, match="is not UTF-8; save the file as UTF-8"):
        read(path, "bus_stops", PLAIN)
    with pytest.raises(Fatal, match="name a readable file"):
        read(tmp_path / "absent.csv", "bus_stops", PLAIN)
    with pytest.raises(Fatal, match="no layer 'lakes'; there are zones, roads"):
        read(path, "lakes", PLAIN)
    (tmp_path / "x.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(Fatal, match="no GeoJSON feature collection"):
        read(tmp_path / "x.json", "roads", PLAIN)
    monkeypatch.setattr(layer_files, "MOST_POINTS", 1)
    with pytest.raises(Fatal, match="2 points; at most 1"):
        read(file(tmp_path, feature(LINE, id="a")), "roads", PLAIN)
    monkeypatch.setattr(layer_files, "MOST_BYTES", 10)
    with pytest.raises(Fatal, match="at most 0 MB"):
        read(file(tmp_path, feature(LINE, id="a")), "roads", PLAIN)


def test_what_viewers_may_not_see_is_left_out() -> None:
    one = Feature("a", SourceAttributes(operator="甲", values={"phone": "139"}))
    assert "139" in geojson("sources", [one]).decode()
    assert json.loads(geojson("sources", [one], leave_out=["values"]))["features"][0]["properties"] == {
        "source": "a",
        "operator": "甲",
    }


def test_every_layer_is_named_in_both_languages() -> None:
    assert all(declared.zh and declared.en and declared.shapes for declared in LAYERS.values())
