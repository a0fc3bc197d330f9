"""Which settings win: file, running system, environment, defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from cityops import settings
from cityops.place import Place
from schemas.config import Config, Database
from schemas.errors import Fatal


def test_without_anything_there_are_defaults(tmp_path: Path) -> None:
    assert settings.settle(None, tmp_path, {}) == Config(data_dir=str(tmp_path))


def test_a_file_wins_over_defaults_and_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "city.toml"
    file.write_text(
        'data_dir = "here"\n[kafka]\nbootstrap = "a:1"\npartitions = 8\n[database]\nurl = "postgresql://a/b"\n', encoding="utf-8"
    )
    found = settings.settle(file, None, {settings.KAFKA: "b:2", settings.DATA: "there"})
    assert (found.kafka.bootstrap, found.kafka.partitions) == ("b:2", 8)
    assert (found.database.url, found.data_dir) == ("postgresql://a/b", "there")


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "city.toml"
    file.write_text("[kafka]\nbootstrp = 1\n", encoding="utf-8")
    with pytest.raises(Fatal, match=r"city\.toml: .*bootstrp"):
        settings.settle(file, None, {})


def test_a_running_system_is_found_and_a_dead_one_is_not(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.lock()
    published = Config(data_dir=str(tmp_path), database=Database(url="postgresql://live"))
    path = settings.publish(published, place)
    assert path.stat().st_mode & 0o077 == 0
    assert settings.settle(None, tmp_path, {}) == published
    assert settings.settle(path, None, {}) == published
    place.unlock()
    assert settings.settle(None, tmp_path, {}).database.url == ""


def test_no_database_says_how_to_get_one() -> None:
    with pytest.raises(Fatal, match=r"cityops demo.*CITYOPS_DATABASE"):
        settings.database_url(Config())


def addresses(connectors: dict[str, dict[str, Any]]) -> set[str]:
    """Give every host that instances listen on, dial or ask."""
    found = set()
    for table in connectors.values():
        named = [table.get("listen", ""), *table.get("connect", []), *(str(v) for n, v in table.items() if "url" in n)]
        found |= {n.rpartition("//")[2].partition("/")[0].rpartition(":")[0] for n in named if n}
    return found


def test_the_demo_speaks_to_the_simulated_city_only_on_the_loopback(tmp_path: Path) -> None:
    place = Place(tmp_path)
    found = settings.demo(place, bootstrap="127.0.0.1:1", database="postgresql://x", port=None)
    assert found.connectors["jt808"]["authentication"] == "required"
    assert len(found.connectors["jt808"]["secret"]) >= 32
    assert addresses(found.connectors) == {"127.0.0.1"}
    again = settings.demo(place, bootstrap="127.0.0.1:1", database="postgresql://x", port=None)
    assert again.connectors == found.connectors
    assert msgspec.json.decode(msgspec.json.encode(found), type=Config) == found
