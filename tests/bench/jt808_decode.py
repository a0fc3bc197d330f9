"""JT/T 808 on one core: packets per second through framing, session and columns; and mutated packets by the million.

``python tests/bench/jt808_decode.py [--packets N] [--mutations N] [--seed N]`` prints JSON. With ``--mutations`` it
feeds so many damaged packets to framing and session and fails if one raises or takes longer than ``SLOWEST_S``.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from connectors._api import Peer, Received, load
from connectors._api.flagged import frame
from connectors._api.golden import cases, packet
from connectors.jt808 import encoder
from connectors.jt808.columns import receive_many
from connectors.jt808.framing import Framing

SLOWEST_S = 1.0
"""A damaged packet that takes longer than this hangs."""
SEEN_AT = 1_730_209_200_000_000
JT808 = load("jt808")
SETTINGS = JT808.manifest.resolve({}, "bench")


def stream(packets: int) -> bytes:
    """Locations of a hundred terminals, each with four additional items, as 2013 terminals send them."""
    bodies = [
        encoder.location_body(
            ts=SEEN_AT + i * 1_000_000,
            lat=31.2 + i * 1e-5,
            lon=121.4 + i * 1e-5,
            altitude=12,
            speed=i % 30,
            direction=i % 360,
            items={1: encoder.mileage_item(1e6 + i), 3: b"\1\2", 0x30: b"\x1f", 0x31: b"\x0c"},
        )
        for i in range(min(packets, 10_000))
    ]
    return b"".join(
        encoder.message(0x0200, f"1390000{i % 100:04d}", i & 0xFFFF, bodies[i % len(bodies)], version="2013")
        for i in range(packets)
    )


def rate(work: Callable[[], Any], packets: int, rounds: int = 3) -> float:
    """Packets per second of processor time, in the best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return round(packets / best)


def speeds(packets: int) -> dict[str, float]:
    """Packets per second and core of each part."""
    wire = stream(packets)
    found = [p for p in Framing(SETTINGS).feed(wire) if isinstance(p, bytes)]
    session = JT808.make_session(SETTINGS, Peer("bench"))

    def chunks() -> None:
        framing = Framing(SETTINGS)
        for at in range(0, len(wire), 1400):
            framing.feed(wire[at : at + 1400])

    def one_by_one() -> None:
        for one in found:
            session.receive(one, SEEN_AT)

    def in_columns() -> None:
        for at in range(0, len(found), 1000):
            receive_many(found[at : at + 1000])

    return {
        "framing_packets_s": rate(chunks, packets),
        "receive_packets_s": rate(one_by_one, packets),
        "receive_many_packets_s": rate(in_columns, packets),
    }


def damaged(wire: bytes, inner: list[bytes], dice: random.Random) -> bytes:
    """One to three bytes changed, cut or doubled: on the wire, or within a packet whose check byte is then made right."""
    raw = bytearray(dice.choice(inner) if inner and dice.random() < 0.6 else wire)
    framed = bytes(raw) != wire
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(raw)) if raw else 0
        act = dice.random()
        if act < 0.6 and raw:
            raw[at] = dice.choice((0x00, 0x7D, 0x7E, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        elif act < 0.8:
            del raw[at : at + dice.randint(1, 8)]
        else:
            raw[at:at] = raw[at : at + dice.randint(1, 8)]
    if framed and len(raw) >= 4 and dice.random() < 0.8:
        start = 12 + (5 if raw[2] & 0x40 else 0) + (4 if raw[2] & 0x20 else 0)
        length = max(len(raw) - start, 0) & 0x3FF
        raw[2:4] = (raw[2] & 0xFC | length >> 8, length & 0xFF)
    return frame(bytes(raw)) if framed else bytes(raw)


def mutations(count: int, seed: int) -> dict[str, Any]:
    """Feed damaged golden packets; any exception leaves through here."""
    dice = random.Random(seed)  # noqa: S311 - damage, not secrets
    wires = [packet(step, JT808.path) for case in cases(JT808.path).values() for step in case.steps]
    inner = [[p for p in Framing(SETTINGS).feed(w) if isinstance(p, bytes)] for w in wires]
    results: Counter[str] = Counter()
    session, slowest = JT808.make_session(SETTINGS, Peer("bench")), 0.0
    for number in range(count):
        which = dice.randrange(len(wires))
        wire = damaged(wires[which], inner[which], dice)
        start = time.perf_counter()
        framing = Framing(SETTINGS)
        for found in [*framing.feed(wire), *framing.flush()]:
            received = session.receive(found, SEEN_AT + number) if isinstance(found, bytes) else Received(rejects=[found])
            results.update(r.reason for r in received.rejects)
            results["readings"] += len(received.readings)
        if number % 1000 == 0:
            session.tick(SEEN_AT + number * 1_000_000)
        slowest = max(slowest, time.perf_counter() - start)
    if slowest > SLOWEST_S:
        msg = f"a damaged packet took {slowest:.3f} s"
        raise SystemExit(msg)
    return {"packets": count, "seed": seed, "slowest_ms": round(slowest * 1e3, 2), "results": dict(sorted(results.items()))}


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=20_000)
    parser.add_argument("--mutations", type=int, default=0)
    parser.add_argument("--seed", type=int, default=808)
    given = parser.parse_args()
    result: dict[str, Any] = speeds(given.packets)
    if given.mutations:
        result["mutations"] = mutations(given.mutations, given.seed)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
