"""The data folder: what it remembers, what it wipes, whom it lets in."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from cityops.place import LENT_PORTS, LOWEST_PORT, Place, free_port, is_free
from schemas.errors import Fatal


def test_ports_and_secrets_are_the_same_at_the_next_start(tmp_path: Path) -> None:
    first = Place(tmp_path)
    port, secret = first.port("kafka"), first.secret("jt808")
    second = Place(tmp_path)
    assert (second.port("kafka"), second.secret("jt808")) == (port, secret)
    assert second.secret("other") != secret
    assert stat.S_IMODE((tmp_path / "remembered.json").stat().st_mode) == 0o600


def test_a_taken_port_is_replaced_but_one_that_was_asked_for_is_refused(tmp_path: Path) -> None:
    place = Place(tmp_path)
    port = place.port("gateway")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert not is_free(port)
        assert place.port("gateway") != port
        with pytest.raises(Fatal, match=f"port {port} of 127.0.0.1 is taken"):
            place.port("gateway", port)


def test_wiping_removes_only_what_is_ours(tmp_path: Path) -> None:
    place = Place(tmp_path)
    secret = place.secret("jt808")
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "log").touch()
    (tmp_path / "letter.txt").write_text("mine", encoding="utf-8")
    place.wipe()
    assert not (tmp_path / "kafka").exists()
    assert (tmp_path / "letter.txt").read_text(encoding="utf-8") == "mine"
    assert place.secret("jt808") != secret
    assert place.logs.is_dir()


def test_a_broken_memory_says_what_to_do(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (tmp_path / "remembered.json").write_text("{", encoding="utf-8")
    with pytest.raises(Fatal, match=r"remembered\.json: .*--fresh"):
        place.secret("jt808")


def test_the_lock_tells_whether_a_process_runs_here(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert not place.in_use()
    place.lock()
    assert Place(tmp_path).in_use()
    place.unlock()
    assert not place.in_use()


def test_free_ports_differ_and_are_none_that_an_outgoing_connection_may_take() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    lowest = int(LENT_PORTS.read_text(encoding="ascii").split()[0]) if LENT_PORTS.exists() else 32_768
    assert all(LOWEST_PORT <= port < lowest for port in ports)


def test_where_the_system_lends_all_ports_it_chooses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "range").write_text("1024 65000", encoding="ascii")
    monkeypatch.setattr("cityops.place.LENT_PORTS", tmp_path / "range")
    assert is_free(free_port())
