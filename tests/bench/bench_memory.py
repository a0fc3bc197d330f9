"""The limit: the same frames from memory through numpy alone, and how near to it clean + watch come with everything on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.config import Config
from schemas.derive import arrow_schema
from schemas.frame import Headers
from streams.task import Record
from streams.worker import Worker
from tests.bench.bench_peers import ROWS, city, frames_worth, one_of_ours
from tests.bench.city import KIND, differences, expected, frames
from tests.bench.peers.arrow_windows import METRICS, SIZE_MS, Windows
from tests.bench.result import Result
from tests.integration.stack import running

COMMAND = "make bench ONLY=memory"
TOGETHER = 256
END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""The end mark of an Arrow stream."""


def run(seconds: float) -> Iterator[Result]:
    """Measure numpy on frames in memory, then ours on the same frames from the broker."""
    wanted = city(frames_worth(seconds))
    made = list(frames(wanted, ROWS, closing=True))
    limit = wanted.readings / numpy_seconds([value for value, _ in made], expected(wanted))
    yield Result(
        "memory_numpy", limit, "readings/s", COMMAND, rows_per_frame=ROWS,
        note="decode of 256 joined frames and windows of four metrics in numpy, one process, CPU time; no broker, checks, rules, database",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        tasks = wanted.readings / task_seconds(made, folder)
    yield Result(
        "memory_tasks", tasks, "readings/s", COMMAND, {"in-memory numpy": tasks / limit}, rows_per_frame=ROWS,
        note="the very tasks of clean and watch on the frames in memory, CPU time; no broker, faust, database",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as stack:
        rate = one_of_ours(stack, "", "clean,watch", made, wanted)
    yield Result(
        "memory_clean_watch", rate.cpu, "readings/s", COMMAND,
        {"in-memory numpy": rate.cpu / limit, "the same tasks in memory": rate.cpu / tasks}, rows_per_frame=ROWS,
        note=f"clean + watch from the broker, per CPU second (wall {rate.wall:,.0f}/s); numpy alone leaves out checks, duplicates, zones, rules",
    )  # fmt: skip


def task_seconds(made: Sequence[tuple[bytes, Headers]], folder: str) -> float:
    """Give the CPU seconds that the tasks of a worker take for these frames, outputs of clean going to watch."""
    worker = Worker(Config(data_dir=folder), 0, ("clean", "watch"), lambda: time.time_ns() // 1000)
    clean, watch = worker._clean("raw-environment", 0), worker._watch("clean-environment", 0)
    offset = 0
    begun = time.process_time()
    for begin in range(0, len(made), TOGETHER):
        raw = [Record("raw-environment", 0, n, v, h) for n, (v, h) in enumerate(made[begin : begin + TOGETHER], begin)]
        first = clean.process(raw)
        given = [o for o in first.outputs if o.topic == "clean-environment"]
        second = watch.process([Record(o.topic, 0, n, o.value, o.headers) for n, o in enumerate(given, offset)])
        offset += len(given)
        for outcome in (first, second):
            if outcome.committed is not None:
                outcome.committed()
    if offset != len(made):
        raise RuntimeError(f"clean gave {offset} frames for {len(made)}")
    return time.process_time() - begun


def decode(values: Sequence[bytes]) -> pa.Table:
    """Give the rows of many frames, read as one stream: each one's identical schema and end mark are cut off first."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, arrow_schema(KIND, "raw")):
        pass
    head = sink.getvalue().to_pybytes()[: -len(END)]
    if not all(v.startswith(head) and v.endswith(END) for v in values):
        raise RuntimeError("frames differ in schema")
    with pa.ipc.open_stream(b"".join([head, *(memoryview(v)[len(head) : -len(END)] for v in values), END])) as reader:
        return reader.read_all().select(["source", "ts", *METRICS]).combine_chunks()


def numpy_seconds(values: Sequence[bytes], wanted: dict[tuple[str, int], tuple[float, ...]]) -> float:
    """Give the CPU seconds numpy takes for these frames; windows other than those that must be raise ``RuntimeError``."""
    windows: Any = Windows()  # type: ignore[no-untyped-call]  # it runs in the peers' environments too
    closed = []
    begun = time.process_time()
    for begin in range(0, len(values), TOGETHER):
        table = windows.add(decode(values[begin : begin + TOGETHER]))
        if table is not None:
            closed.append(table)
    spent = time.process_time() - begun
    found = {}
    for row in (row for table in closed for row in table.to_pylist()):
        figures = (row[f"{m}_{f}"] for m in METRICS for f in ("mean", "min", "max"))
        found[row["source"], row["start"]] = (float(row["count"]), *figures)
    if wrong := differences(found, wanted):
        raise RuntimeError(f"numpy windows of {SIZE_MS} ms: {wrong}")
    return spent
