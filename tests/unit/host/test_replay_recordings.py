"""Real recordings through the real connectors over the loopback: every row is in a frame, numbered without gaps."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from connectors._host.replay import replay
from schemas.config import Config
from tests.unit.host.fakes import START, MemoryKafka


@pytest.mark.parametrize(
    ("connector", "recording", "kinds"),
    [
        ("jt808", "vectors/jt808_yezhihao.jsonl", {"bus_position"}),
        ("hj212", "vectors/hj212_hj212virtual.jsonl", {"env_factor"}),
        ("gtfs_realtime", "feeds/gtfs_realtime/mbta_vehiclepositions.pb", {"bus_position"}),
        ("gbfs", "feeds/gbfs/entur/v2.3", {"bike_station", "bike_vehicle"}),
    ],
)
async def test_recording(tmp_path: Path, recordings: Path, connector: str, recording: str, kinds: set[str]) -> None:
    kafka = MemoryKafka()
    told: list[tuple[int, int]] = []
    result = await replay(
        Config(data_dir=str(tmp_path)),
        recordings / recording,
        connector,
        speed=0,
        lane="backfill",
        clock=lambda: START + time.monotonic_ns() // 1000,
        progress=lambda done, total: told.append((done, total)),
        run_id="r1",
        transport=kafka,
    )
    headers = [h for found in kafka.log.values() for h in found]
    assert kinds <= {h.kind for h in headers}
    assert sum(h.rows for h in headers) == sum(result.received.values())
    assert {(h.connector, h.lane) for h in headers} == {(f"replay-{connector}", "backfill")}
    assert told[-1][0] == told[-1][1] == result.packets
    for (topic, bucket), found in kafka.log.items():
        assert [h.seq for h in found] == list(range(1, len(found) + 1)), (topic, bucket)
