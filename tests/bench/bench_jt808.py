"""JT/T 808: location packets per second of one core, and a million mutated packets without a crash."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.jt808_decode import mutations, speeds
from tests.bench.result import Result

COMMAND = "make bench ONLY=jt808"


def run(seconds: float) -> Iterator[Result]:
    """Measure framing, session and columns; then feed damaged packets."""
    found = speeds(int(1_000 * max(seconds, 5)))
    one = found["receive_packets_s"]
    yield Result("jt808_receive", one, "packets/s", COMMAND, note="0x0200 with four items, one by one, as the listener does")
    many = found["receive_many_packets_s"]
    yield Result(
        "jt808_receive_many",
        many,
        "packets/s",
        COMMAND,
        {"receive one by one": many / one},
        note="columns of equally long packets",
    )
    yield Result(
        "jt808_framing", found["framing_packets_s"], "packets/s", COMMAND, note="delimiters, escapes, length and checksum"
    )
    damaged = mutations(1_000_000 if seconds >= 20 else int(seconds * 50_000), 1405)
    yield Result(
        "jt808_mutations",
        float(damaged["packets"]),
        "packets",
        COMMAND,
        note="damaged packets fed to framing and session; none raised or hung",
    )
