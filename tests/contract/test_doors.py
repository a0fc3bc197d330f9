"""The command line as others use it: shapes of the output, exit statuses, and errors that say what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cityops.settings import DATA, DATABASE, KAFKA

REPO = Path(__file__).resolve().parent.parent.parent


def cityops(*arguments: str | Path, given: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in (KAFKA, DATABASE, DATA)}
    return subprocess.run(
        [sys.executable, "-m", "cityops", *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        cwd=REPO,
        env=clean | env,
        timeout=120,
        check=False,
    )


def heartbeat() -> str:
    """Give a heartbeat of JT/T 808 8.3: no body; phone 123456789012, serial 1; the check code is the XOR of all bytes."""
    body = bytes.fromhex("000200001234567890120001")
    code = 0
    for byte in body:
        code ^= byte
    return (b"\x7e" + body + bytes([code]) + b"\x7e").hex()


def test_decode_prints_one_json_line_a_packet_and_goes_on_after_bad_ones() -> None:
    done = cityops("decode", "jt808", given=f"{heartbeat()}\nnot hex\n7E0002\n{heartbeat()}\n")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 4
    assert all(line.keys() == {"message", "readings", "replies", "rejects"} for line in lines)
    assert lines[0]["message"]["name"] == "heartbeat"
    assert bytes.fromhex(lines[0]["replies"][0])[1:3] == b"\x80\x01"
    assert lines[1]["rejects"][0]["reason"] == "bad_encoding"
    assert lines[2]["rejects"] and not lines[2]["readings"]
    assert lines[3]["message"]["phone"] == lines[0]["message"]["phone"]


def test_decode_takes_settings_and_refuses_unknown_ones() -> None:
    done = cityops("decode", "jt808", "--set", "authentication=required", "--set", "secret=s", given=heartbeat())
    assert json.loads(done.stdout)["rejects"][0]["reason"] == "unauthenticated"
    wrong = cityops("decode", "jt808", "--set", "colour=blue")
    assert wrong.returncode == 2
    assert "unknown setting 'colour'" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_decode_of_text_and_of_an_unknown_connector() -> None:
    done = cityops("decode", "hj212", "--text", given="##0004ABCD0000\n")
    assert json.loads(done.stdout)["rejects"]
    wrong = cityops("decode", "telepathy")
    assert wrong.returncode == 2
    assert "no connector 'telepathy'; installed: " in wrong.stderr


def test_decode_of_a_file_that_is_not_there_says_so() -> None:
    done = cityops("decode", "gbfs", "--file", "nowhere.json")
    assert done.returncode == 2
    assert "nowhere.json" in done.stderr


def test_connectors_are_listed_with_nothing_running(tmp_path: Path) -> None:
    done = cityops("connectors", "--json", "--data-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    installed = {p.parent.name for p in (REPO / "connectors").glob("[a-z]*/connector.toml")}
    assert installed <= rows.keys()
    for row in rows.values():
        assert row.keys() == {"name", "standard", "transport", "kinds", "state", "rate", "last_reading"}
        assert row["kinds"]
        assert (row["state"], row["rate"], row["last_reading"]) == ("stopped", 0.0, None)


@pytest.mark.parametrize("command", [["ledger", "--json"], ["migrate"], ["store"], ["serve"]])
def test_without_a_system_the_remedy_is_told_in_one_sentence(command: list[str], tmp_path: Path) -> None:
    done = cityops(*command, "--data-dir", tmp_path, **({KAFKA: "127.0.0.1:1", DATABASE: ""}))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("cityops: no ") and len(done.stderr.splitlines()) == 1


def test_a_database_that_is_away_is_told_without_a_trace(tmp_path: Path) -> None:
    done = cityops("ledger", "--json", "--data-dir", tmp_path, **{DATABASE: "postgresql://nobody@127.0.0.1:1/none"})
    assert done.returncode == 2
    assert "database" in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_unknown_setting_in_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "city.toml"
    file.write_text("[gateway]\nprot = 1\n", encoding="utf-8")
    done = cityops("connectors", "--config", file)
    assert done.returncode == 2
    assert "city.toml" in done.stderr and "prot" in done.stderr


def test_doctor_tells_each_fault_and_its_remedy(tmp_path: Path) -> None:
    done = cityops("doctor", "--json", "--data-dir", tmp_path, **{KAFKA: "127.0.0.1:1"})
    assert done.returncode == 1
    checks = {c["name"]: c for c in json.loads(done.stdout)}
    assert checks["broker"]["verdict"] == "bad" and "CITYOPS_KAFKA" in checks["broker"]["detail"]
    assert checks["database"]["verdict"] == "bad" and "CITYOPS_DATABASE" in checks["database"]["detail"]
    assert checks["listeners"]["verdict"] == "good"


def test_tail_of_an_unknown_topic_lists_them() -> None:
    done = cityops("tail", "nothing")
    assert done.returncode == 2
    assert "raw-transport" in done.stderr


def test_replay_refuses_an_unknown_lane_before_it_starts_anything(tmp_path: Path) -> None:
    (tmp_path / "a.hex").write_text(heartbeat(), encoding="ascii")
    done = cityops("replay", tmp_path / "a.hex", "--connector", "jt808", "--lane", "fast", "--data-dir", tmp_path / "d")
    assert done.returncode == 2
    assert "live, late, backfill" in done.stderr
    assert not (tmp_path / "d" / "postgres").exists()


def test_help_is_chinese_first() -> None:
    done = cityops("--help")
    assert done.returncode == 0
    for command in (
        "demo",
        "connect",
        "stream",
        "store",
        "serve",
        "simulate",
        "migrate",
        "replay",
        "decode",
        "connectors",
        "tail",
        "doctor",
        "ledger",
        "generate",
    ):
        assert command in done.stdout
    assert "城市运行实时平台 / Real-time city operations" in done.stdout
