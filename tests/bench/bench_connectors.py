"""Every connector: typical packets decoded per second of one core's processor time; what nobody asks for (HJ 212's message) is not built."""

from __future__ import annotations

import time
from collections.abc import Iterator

from connectors._api.registry import installed
from tests.bench.connector_packets import MADE, SEEN_AT, Feed, feed, session
from tests.bench.result import Result

COMMAND = "make bench ONLY=connectors"


def run(seconds: float) -> Iterator[Result]:
    """Measure one after the other; ``seconds`` is how long all of them may take."""
    names = sorted({*installed(), *MADE})
    for name in names:
        found = feed(name)
        size = sum(len(body) for body, _ in found.packets) // len(found.packets)
        note = f"{size} bytes" + (f", {found.rows} {found.unit} in a document" if found.rows > 1 else "")
        yield Result(
            f"decode_{name.replace(' ', '_')}", rate(name, found, seconds / len(names)), f"{found.unit}/s", COMMAND, note=note
        )


def rate(name: str, given: Feed, seconds: float, rounds: int = 20) -> float:
    """Packets, or rows of documents, per second of processor time, in the best of many short rounds: other work disturbs fewer."""
    decoder = session(name.split(maxsplit=1)[0], given.settings)
    for body, origin in given.first:
        decoder.receive(body, SEEN_AT, origin)
    best = 0.0
    for _ in range(rounds):
        count, began = 0, time.process_time()
        while (spent := time.process_time() - began) < seconds / rounds:
            count += sum(bool(decoder.receive(body, SEEN_AT, origin).message) for body, origin in given.packets)
        best = max(best, count * given.rows / spent)
    return best
