"""Frames reach Kafka once in effect and in order per stream, however Kafka fails; the spool covers its absence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors._host.builder import Delivery, Frame, FrameBuilder
from connectors._host.producer import FrameProducer
from connectors._host.spool import Spool
from tests.unit.host.fakes import START, FakeTime, MemoryKafka, bus, frames, turn

SOURCES = ("A", "B", "C", "D", "E")


class City:
    """A producer on a fake Kafka, a real spool and a fake clock."""

    def __init__(self, folder: Path, *, run: str = "run1", spool_bytes: int = 1 << 20, kafka: MemoryKafka | None = None) -> None:
        self.kafka = kafka or MemoryKafka()
        self.time = FakeTime()
        self.spool = Spool(folder, max_bytes=spool_bytes, max_age_us=10**15, segment_bytes=4000)
        self.producer = FrameProducer(self.kafka, self.spool, clock=self.time.clock, sleep=self.time.sleep)
        self.time.threads = (self.producer._disk,)
        self.builder = FrameBuilder("c1", run, partitions=4, frame_rows=100, flush_us=1)

    def send(self, count: int = 1, sources: tuple[str, ...] = ("A",)) -> list[Frame]:
        made = [f for _ in range(count) for f in frames(self.builder, sources=sources)]
        self.producer.submit(made)
        return made

    async def turn(self) -> None:
        await turn(*self.time.threads)

    def counts(self) -> tuple[int, int, int]:
        keys = self.builder.totals()
        produced = sum(self.producer.produced("c1", self.builder.run, k) for k in keys)
        return sum(keys.values()), produced, sum(self.producer.spooled("c1", self.builder.run, k) for k in keys)


@asynccontextmanager
async def city(folder: Path, **options: object) -> AsyncIterator[City]:
    made = City(folder, **options)  # type: ignore[arg-type]
    made.producer.start()
    try:
        yield made
    finally:
        made.kafka.gate.set()
        await made.producer.close(0.0)


def safe_flag(frame: Frame) -> Delivery:
    delivery = Delivery()
    delivery.hold()
    frame.deliveries = (*frame.deliveries, delivery)
    delivery.seal()
    return delivery


async def test_frames_are_safe_once_kafka_has_them_and_not_before(tmp_path: Path) -> None:
    async with city(tmp_path) as c:
        c.kafka.gate.clear()
        frame = frames(c.builder)[0]
        delivery = safe_flag(frame)
        c.producer.submit([frame])
        await c.turn()
        assert not delivery.safe
        assert c.counts() == (1, 0, 0)
        c.kafka.gate.set()
        await c.turn()
        assert delivery.safe
        assert c.counts() == (1, 1, 0)
        assert c.spool.empty


async def test_a_stream_has_one_group_under_way_and_the_rest_goes_as_one(tmp_path: Path) -> None:
    async with city(tmp_path) as c:
        c.kafka.gate.clear()
        c.send(1)
        await c.turn()
        c.send(4)
        await c.turn()
        assert c.kafka.waiting == 1
        c.kafka.gate.set()
        await c.producer.settled()
        assert c.kafka.sends == 2
        assert [h.seq for h in c.kafka.log["raw-transport", c.builder._bucket("A")]] == [1, 2, 3, 4, 5]


async def test_kafka_away_from_the_start_spools_at_once_and_drains_when_it_comes(tmp_path: Path) -> None:
    kafka = MemoryKafka()
    kafka.away = True
    async with city(tmp_path, kafka=kafka) as c:
        deliveries = [safe_flag(f) for f in c.send(5, SOURCES)]
        await c.turn()
        assert all(d.safe for d in deliveries)
        assert c.producer.spooling
        assert c.counts() == (25, 0, 25)
        kafka.away = False
        await c.time.advance(10)
        assert not c.producer.spooling
        assert c.counts() == (25, 25, 0)
        assert all(n == list(range(1, len(n) + 1)) for n in kafka.seen().values())
        assert c.spool.empty


async def test_a_confirmation_that_takes_too_long_sends_everything_to_the_spool_in_order(tmp_path: Path) -> None:
    async with city(tmp_path) as c:
        c.kafka.gate.clear()
        early = [safe_flag(f) for f in c.send(1)]
        await c.turn()
        early += [safe_flag(f) for f in c.send(3)]
        await c.time.advance(4.5)
        assert not any(d.safe for d in early)
        await c.time.advance(1.5)
        assert all(d.safe for d in early)
        late = [safe_flag(f) for f in c.send(2)]
        await c.turn()
        assert all(d.safe for d in late)
        assert c.counts() == (6, 0, 6)
        c.kafka.gate.set()
        await c.time.advance(10)
        await c.producer.settled()
        assert c.counts() == (6, 6, 0)
        (numbers,) = c.kafka.seen().values()
        assert numbers == [1, 2, 3, 4, 5, 6]


async def test_failed_does_not_mean_absent(tmp_path: Path) -> None:
    async with city(tmp_path) as c:
        c.kafka.lying = True
        c.send(3)
        await c.turn()
        c.kafka.lying = False
        c.send(3)
        await c.time.advance(10)
        await c.producer.settled()
        (numbers,) = c.kafka.seen().values()
        assert numbers == [1, 2, 3, 4, 5, 6]
        assert c.counts() == (6, 6, 0)


async def test_full_spool_holds_frames_unacknowledged_and_loses_none(tmp_path: Path) -> None:
    kafka = MemoryKafka()
    kafka.away = True
    async with city(tmp_path, kafka=kafka, spool_bytes=9000) as c:
        deliveries = [safe_flag(f) for f in c.send(20)]
        await c.time.advance(3)
        kept = sum(d.safe for d in deliveries)
        assert 0 < kept < 20
        assert [d.safe for d in deliveries] == [True] * kept + [False] * (20 - kept)
        assert c.counts() == (20, 0, kept)
        kafka.away = False
        await c.time.advance(30)
        await c.producer.settled()
        assert all(d.safe for d in deliveries)
        (numbers,) = kafka.seen().values()
        assert numbers == list(range(1, 21))
        assert c.counts() == (20, 20, 0)


async def test_close_leaves_on_disk_what_kafka_has_not_and_the_next_run_sends_it_first(tmp_path: Path) -> None:
    kafka = MemoryKafka()
    kafka.gate.clear()
    first = City(tmp_path, kafka=kafka)
    first.producer.start()
    deliveries = [safe_flag(f) for f in first.send(3)]
    await first.turn()
    assert await first.producer.close(0.0) == 0
    assert all(d.safe for d in deliveries)
    assert first.counts() == (3, 0, 3)
    kafka.gate.set()
    async with city(tmp_path, kafka=kafka, run="run2") as second:
        second.send(2)
        await second.time.advance(5)
        await second.producer.settled()
        (log,) = kafka.log.values()
        assert [(h.run, h.seq) for h in log] == [("run1", 1), ("run1", 2), ("run1", 3), ("run2", 1), ("run2", 2)]


async def test_close_says_what_fits_neither_kafka_nor_the_spool(tmp_path: Path) -> None:
    kafka = MemoryKafka()
    kafka.away = True
    made = City(tmp_path, kafka=kafka, spool_bytes=9000)
    made.producer.start()
    deliveries = [safe_flag(f) for f in made.send(20)]
    lost = await made.producer.close(0.0)
    assert lost == sum(not d.safe for d in deliveries) > 0
    (key,) = made.builder.totals()
    assert made.producer.abandoned("c1", "run1", key) == lost
    assert made.producer.spooled("c1", "run1", key) == 20 - lost


async def test_an_unforeseen_error_is_raised_to_the_process(tmp_path: Path) -> None:
    async with city(tmp_path) as c:

        async def broken(*_: object) -> None:
            raise ZeroDivisionError

        c.kafka.send = broken  # type: ignore[method-assign]
        c.send()
        with pytest.raises(ZeroDivisionError):
            await c.producer.broken()


FAULT = st.sampled_from(["send", "away", "back", "hang", "go", "lie", "honest", "wait", "wait long"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(FAULT, max_size=25), st.integers(0, 25))
async def test_any_schedule_of_faults_and_a_crash_gives_every_safe_frame_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, schedule: list[str], crash_at: int
) -> None:
    """A process that ends without closing leaves only its spool and what Kafka has; the next drains it."""
    folder = tmp_path_factory.mktemp("spool")
    kafka = MemoryKafka()
    run, first = 1, City(folder, kafka=kafka)
    first.producer.start()
    cities = [first]
    marks: list[tuple[tuple[str, str, str, int], int, Delivery]] = []
    for index, act in enumerate(schedule):
        current = cities[-1]
        if act == "send":
            made = current.send(2, SOURCES[:3])
            marks += [(("c1", f.header.run, f.topic, f.header.bucket), f.header.seq, safe_flag(f)) for f in made]
            await current.turn()
        else:
            await befall(current, act)
        if index == crash_at:
            await crash(current)
            run += 1
            cities.append(City(folder, kafka=kafka, run=f"run{run}"))
            cities[-1].producer.start()
    kafka.away = kafka.lying = False
    kafka.gate.set()
    last = cities[-1]
    await last.time.advance(30)
    await last.producer.settled()
    seen = kafka.seen()
    for stream, seq, delivery in marks:
        if delivery.safe:
            assert seq in seen.get(stream, []), (stream, seq)
    for stream, numbers in seen.items():
        if stream[1] == last.builder.run:
            assert numbers == list(range(1, len(numbers) + 1))
    received, produced, spooled = last.counts()
    assert (received, produced, spooled) == (received, received, 0)
    assert await last.producer.close(0.0) == 0


async def befall(current: City, act: str) -> None:
    """Let a fault begin or end, or time pass."""
    kafka = current.kafka
    if act in ("away", "back"):
        kafka.away = act == "away"
    elif act in ("lie", "honest"):
        kafka.lying = act == "lie"
    elif act == "hang":
        kafka.gate.clear()
    elif act == "go":
        kafka.gate.set()
    else:
        await current.time.advance(7 if act == "wait long" else 0.5)


async def crash(made: City) -> None:
    """End a producer as kill -9 does: nothing is flushed, its files close, what is under way in Kafka may still land."""
    for task in list(made.producer._tasks):
        task.cancel()
    await asyncio.gather(*made.producer._tasks, return_exceptions=True)
    made.producer._disk.shutdown()
    made.spool.close()


def test_start_of_the_fake_clock_is_a_whole_second() -> None:
    assert START % 1_000_000 == 0
    assert bus().ts == START  # type: ignore[attr-defined]
