"""``cityops connector`` as a stranger meets it: what is printed, exit statuses, the dry run."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cityops.connector_kit import run as dry
from cityops.connector_kit import test as examination
from cityops.connector_kit.commands import app
from cityops.connector_kit.new import Order, make
from cityops.place import free_port
from connectors._api import registry
from connectors.jt808 import encoder
from schemas.errors import Fatal

HEARTBEAT = "7E000200000139123456780001337E"
NOW = 1_793_491_200_000_000


def call(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def test_new_then_test_is_green_and_a_broken_golden_case_is_named(tmp_path: Path) -> None:
    status, printed = call("new", "binline", "--transport", "tcp", "--kind", "gas_node", "--text", "--into", str(tmp_path))
    assert status == 0 and str(tmp_path / "binline" / "decoder.py") in printed
    status, printed = call("test", str(tmp_path / "binline"), "--json")
    outcomes = {o["name"]: o for o in json.loads(printed)}
    assert status == 0 and all(o["passed"] for o in outcomes.values())
    assert {"golden/report", "golden/refused", "purity", "damaged_packets"} <= outcomes.keys()

    case = tmp_path / "binline" / "golden" / "report.json"
    case.write_text(case.read_text(encoding="utf-8").replace("1001", "1002", 1), encoding="utf-8")
    status, printed = call("test", str(tmp_path / "binline"), "--json")
    flawed = {o["name"]: o["flaw"] for o in json.loads(printed) if not o["passed"]}
    assert status == 1 and "golden/report" in flawed and "golden/refused" not in flawed
    status, printed = call("test", str(tmp_path / "binline"))
    assert status == 1 and "✗" in printed


def test_a_check_that_crashes_is_an_outcome(tmp_path: Path) -> None:
    order = Order("crashline", "tcp", "gas_node", text=True, into=tmp_path)
    make(order)
    decoder = order.folder / "decoder.py"
    decoder.write_text(
        decoder.read_text(encoding="utf-8").replace("message = parse(packet)", "message = {}[packet]"), encoding="utf-8"
    )
    from cityops.connector_kit import find

    flaws = {o.name: o.flaw for o in examination.examine(find.connector(str(order.folder))) if not o.passed}
    assert "KeyError" in flaws["golden/report"] and "damaged_packets" in flaws


def test_one_packet_is_tried() -> None:
    status, printed = call("test", "jt808", "--packet", HEARTBEAT, "--json")
    assert status == 0 and json.loads(printed)["message"]["name"] == "heartbeat"
    status, printed = call("test", "jt808", "--packet", HEARTBEAT.replace("33", "34"), "--json")
    assert status == 1 and json.loads(printed)["rejects"][0]["reason"] == "bad_checksum"


def test_explain_prints_every_byte_and_the_verdict() -> None:
    status, printed = call("explain", "jt808", HEARTBEAT, "--json")
    told = json.loads(printed)
    assert (status, told["by"], told["check"]) == (0, "connector", "right")
    assert "".join(s["hex"] for s in told["spans"]) == HEARTBEAT
    status, printed = call("explain", "jt808", HEARTBEAT.replace("33", "34"))
    assert status == 1 and "错误 wrong, computed 33" in printed and "bad_checksum" in printed
    with pytest.raises(Fatal, match="give a packet"):
        call("explain", "jt808")


def test_run_without_dry_says_what_to_do() -> None:
    with pytest.raises(Fatal, match="--dry"):
        call("run", "jt808")
    with pytest.raises(Fatal, match="unknown setting 'colour'"):
        call("run", "jt808", "--dry", "--set", "colour=blue")


def test_a_dry_run_takes_host_keys_and_settings_alike() -> None:
    manifest = registry.load("jt808").manifest
    base = {"type": "jt808", "authentication": "required", "secret": "s"}
    table = dry.table_of(manifest, base, "127.0.0.1:1", {"authentication": "none", "packets_per_s": "5", "plates.1": "A"})
    assert table == {**base, "authentication": "none", "packets_per_s": 5, "plates": {"1": "A"}, "listen": "127.0.0.1:1"}


async def test_a_dry_run_serves_the_real_door_and_acknowledges() -> None:
    out, stop, port = io.StringIO(), asyncio.Event(), free_port()
    table: dict[str, Any] = {"listen": f"127.0.0.1:{port}", "authentication": "none"}
    running = asyncio.create_task(dry.run(registry.load("jt808"), table, stop=stop, clock=lambda: NOW, out=out))
    writer = None
    while writer is None:
        assert not running.done()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0)
    writer.write(encoder.location("13912345678", 9, version="2013", ts=NOW, lat=35.5, lon=112.8))
    reply = await reader.readuntil(b"\x7e")
    reply += await reader.readuntil(b"\x7e")
    assert reply[1:3] == b"\x80\x01", "readings count as safe at once, so the terminal is answered"
    stop.set()
    assert await running == 1
    writer.close()
    printed = [json.loads(line) for line in out.getvalue().splitlines()]
    (told,) = [line for line in printed if line["readings"]]
    assert told["readings"][0]["lat"] == 35.5 and told["packet"]
