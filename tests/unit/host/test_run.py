"""Instances run side by side and drain when they stop; decoding and replaying use the same parts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cityops.place import free_port
from connectors._host.decode import decode_packets
from connectors._host.files import listing, messages, recorded
from connectors._host.replay import replay
from connectors._host.run import new_run, run
from connectors._template import encoder
from schemas.errors import Fatal
from tests.unit.host.fakes import START, MemoryKafka, clock, config, states, until

GOOD = encoder.report("S1", START, 7, {"PM10": 50.5})
BAD = GOOD.replace(b"50.5", b"50.6")


pytestmark = pytest.mark.usefixtures("connectors")


async def test_run_serves_reports_and_drains(tmp_path: Path) -> None:
    kafka, stop, port = MemoryKafka(), asyncio.Event(), free_port()
    settings = config(tmp_path, line={"listen": f"127.0.0.1:{port}"}, twin={"type": "line", "listen": f"127.0.0.1:{port}"})
    task = asyncio.create_task(run(settings, stop=stop, clock=clock, run_id="r1", transport=kafka))
    await until(lambda: any(s.health == "idle" for s in states(kafka, "line") + states(kafka, "twin")))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GOOD + BAD)
    assert await asyncio.wait_for(reader.readline(), 15) == encoder.acknowledgement(7)
    kafka.gate.clear()
    writer.write(GOOD)
    await until(lambda: kafka.waiting)
    stop.set()
    await asyncio.sleep(0.05)
    kafka.gate.set()
    assert await asyncio.wait_for(reader.read(), 15) == encoder.acknowledgement(7)
    await task
    writer.close()
    served = next(n for n in ("line", "twin") if states(kafka, n)[-1].readings)
    other = "twin" if served == "line" else "line"
    last = states(kafka, served)[-1]
    assert (last.health, last.run, last.packets, last.readings, last.rejects) == ("down", "r1", 3, 2, 1)
    assert {(t.kind, t.received, t.produced, t.spooled) for t in last.totals} == {("dust_station", 2, 2, 0), ("reject", 1, 1, 0)}
    assert any(s.health == "down" and "in use" in s.detail for s in states(kafka, other))
    assert {h.rows for headers in kafka.log.values() for h in headers} == {1}


async def test_run_without_kafka_acknowledges_from_the_spool_and_the_next_run_sends_it(tmp_path: Path) -> None:
    kafka, port = MemoryKafka(), free_port()
    settings = config(tmp_path, line={"listen": f"127.0.0.1:{port}"})
    kafka.away = True
    stop = asyncio.Event()
    task = asyncio.create_task(run(settings, stop=stop, clock=clock, run_id="r1", transport=kafka))
    for _ in range(500):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
    writer.write(GOOD)
    assert await asyncio.wait_for(reader.readline(), 15) == encoder.acknowledgement(7)
    task.cancel()
    (ended,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), ended
    writer.close()
    kafka.away = False
    stop = asyncio.Event()
    task = asyncio.create_task(run(settings, stop=stop, clock=clock, run_id="r2", transport=kafka))
    await until(lambda: kafka.log)
    stop.set()
    await task
    assert [(h.run, h.seq) for headers in kafka.log.values() for h in headers] == [("r1", 1)]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"line": {"lisen": ":1"}}, "unknown setting 'lisen'"),
        ({"line": {"max_per_ip": "many"}}, "max_per_ip"),
        ({"x": {"type": "nope"}}, "nope"),
        ({"x" * 65: {"type": "line"}}, "64"),
    ],
)
async def test_a_broken_setting_stops_the_start(tmp_path: Path, tables: dict[str, Any], message: str) -> None:
    with pytest.raises(Fatal, match=message):
        await run(config(tmp_path, **tables), stop=asyncio.Event(), clock=lambda: START, transport=MemoryKafka())


async def test_only_unknown_instance_is_named(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"'b'.*configured: a"):
        await run(
            config(tmp_path, a={"type": "line"}), stop=asyncio.Event(), clock=lambda: START, only=["b"], transport=MemoryKafka()
        )


def test_runs_sort_by_time_and_differ() -> None:
    early, late = new_run(lambda: START), new_run(lambda: START + 1)
    assert early < late
    assert new_run(lambda: START) != early


def test_decode_gives_a_dictionary_per_packet() -> None:
    results = list(
        decode_packets("line", {}, [(GOOD, ""), (GOOD.strip(), ""), (BAD, ""), (GOOD + GOOD, ""), (b"", "")], lambda: START)
    )
    assert [len(r["readings"]) for r in results] == [1, 1, 0, 1, 1, 0]
    assert results[0]["message"]["station"] == "S1"
    assert results[0]["replies"] == [encoder.acknowledgement(7).hex().upper()]
    assert [r["reason"] for r in results[2]["rejects"]] == ["bad_checksum"]
    assert [r["reason"] for r in results[5]["rejects"]] == ["bad_frame"]
    msgspec.json.encode(results)


def test_decode_refuses_a_line_that_is_not_one_packet_and_keeps_the_session() -> None:
    lines = [(GOOD + GOOD, "line 1"), (b"#\n" + GOOD, "line 2"), (GOOD, "line 3")]
    two, spoilt, good = decode_packets("line", {}, lines, lambda: START, single=True)
    assert (two["readings"], two["replies"], spoilt["readings"]) == ([], [], [])
    assert "line 1 is not one packet: 2 whole, 0 broken" in two["rejects"][0]["detail"]
    assert "line 2 is not one packet" in spoilt["rejects"][0]["detail"]
    assert len(good["readings"]) == 1


def test_decode_takes_settings_as_text() -> None:
    (result,) = decode_packets("line", {"stations": '["S2"]', "silence_s": "3"}, [(GOOD, "")], lambda: START)
    assert [r["reason"] for r in result["rejects"]] == ["unregistered"]
    with pytest.raises(Fatal, match="unknown setting 'x'"):
        list(decode_packets("line", {"x": "1"}, [], lambda: START))
    with pytest.raises(Fatal, match="no table"):
        list(decode_packets("line", {"silence_s.a": "1"}, [], lambda: START))


def recording(folder: Path) -> Path:
    path = folder / "lines.jsonl"
    path.write_text(
        "\n".join(
            [
                f'{{"hex": "{GOOD.hex()}", "source": "x"}}',
                f'{{"text": "{BAD.decode().strip()}"}}',
                "",
                f'{{"hex": "{GOOD.hex()}"}}',
            ]
        )
    )
    return path


def test_recordings_of_all_forms_give_their_packets(tmp_path: Path) -> None:
    assert list(recorded(recording(tmp_path))) == [GOOD, BAD, GOOD]
    (tmp_path / "a.hex").write_text(GOOD.hex(" ") + "\n\n" + BAD.hex() + "\n")
    assert list(recorded(tmp_path / "a.hex")) == [GOOD, BAD]
    (tmp_path / "b.txt").write_bytes(GOOD.strip() + b"\n")
    assert list(recorded(tmp_path / "b.txt")) == [GOOD]
    (tmp_path / "c.bin").write_bytes(GOOD + BAD)
    assert list(recorded(tmp_path / "c.bin")) == [GOOD + BAD]
    (tmp_path / "e.dump").write_text('2026-11-01T00:00:00Z city/bus/1 {"a": "b c"}\n')
    (tmp_path / "f.jsonl").write_text('{"text": "x", "topic": "a/b"}\n')
    assert list(messages(tmp_path / "e.dump")) == [(b'{"a": "b c"}', "city/bus/1")]
    assert list(messages(tmp_path / "f.jsonl")) == [(b"x", "a/b")]
    (tmp_path / "d.hex").write_text("0g\n")
    with pytest.raises(Fatal, match=r"d\.hex:1"):
        list(recorded(tmp_path / "d.hex"))
    with pytest.raises(Fatal, match="no such"):
        listing(tmp_path / "none")


@pytest.mark.parametrize("connector", ["line", "lines", "topics"])
async def test_replay_sends_a_recording_through_the_connector(tmp_path: Path, connector: str) -> None:
    kafka = MemoryKafka()
    told: list[tuple[int, int]] = []
    result = await replay(
        config(tmp_path),
        recording(tmp_path),
        connector,
        speed=0,
        lane="backfill",
        clock=clock,
        progress=lambda done, total: told.append((done, total)),
        run_id="r1",
        transport=kafka,
    )
    assert (result.rejects, sum(result.received.values())) == (1, 3)
    assert told[-1][0] == told[-1][1]
    headers = [h for headers in kafka.log.values() for h in headers]
    assert sum(h.rows for h in headers) == 3
    assert {(h.connector, h.lane, h.run) for h in headers} == {(f"replay-{connector}", "backfill", "r1")}
    (state,) = states(kafka, f"replay-{connector}")
    assert sum(t.received for t in state.totals) == sum(t.produced for t in state.totals) == 3


async def test_replay_of_a_polled_feed_serves_file_after_file(tmp_path: Path) -> None:
    kafka = MemoryKafka()
    folder = tmp_path / "feed"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.pb").write_bytes(f"S1,2026110100000{number},{number},PM10=5".encode())
    (folder / "5.pb").write_bytes(b"no feed")
    result = await replay(
        config(tmp_path), folder, "feed", speed=float("inf"), clock=clock, progress=lambda *_: None, run_id="r1", transport=kafka
    )
    assert (result.packets, result.rejects, sum(result.received.values())) == (6, 1, 6)


async def test_replay_waits_for_kafka_rather_than_ending_early(tmp_path: Path) -> None:
    kafka = MemoryKafka()
    kafka.away = True
    task = asyncio.create_task(
        replay(
            config(tmp_path),
            recording(tmp_path),
            "line",
            speed=0,
            clock=clock,
            progress=lambda *_: None,
            run_id="r1",
            transport=kafka,
        )
    )
    await asyncio.sleep(0.6)
    assert not task.done()
    kafka.away = False
    result = await asyncio.wait_for(task, 20)
    assert sum(result.received.values()) == sum(h.rows for headers in kafka.log.values() for h in headers)
