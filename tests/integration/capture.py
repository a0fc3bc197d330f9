"""Captures written by hand and read by tshark, as an independent judge of what our encoders and decoders say."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

CLIENT, SERVER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
CLIENT_PORT = 50_000
Segment = tuple[bytes, bool]
"""What one TCP segment carries, and whether the client sent it."""


def needed() -> str:
    """Give the path of tshark; without it the test is skipped, or fails where all parts are required."""
    found = shutil.which("tshark")
    if found is None:
        why = "no tshark; install the Debian package of that name"
        if os.environ.get("REQUIRE_STACK") == "1":
            pytest.fail(f"REQUIRE_STACK=1, but there is {why}")
        pytest.skip(why)
    return found


def write(path: Path, segments: Iterable[Segment], port: int) -> None:
    """Write one TCP connection to ``port`` as a classic pcap of raw IPv4 packets, a millisecond apart."""
    octets = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    sent = {True: 1000, False: 5000}
    for number, (content, by_client) in enumerate(segments):
        ports = (CLIENT_PORT, port) if by_client else (port, CLIENT_PORT)
        addresses = CLIENT + SERVER if by_client else SERVER + CLIENT
        tcp = struct.pack(">HHIIBBHHH", *ports, sent[by_client], sent[not by_client], 5 << 4, 0x18, 8192, 0, 0) + content
        packet = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), number & 0xFFFF, 0, 64, 6, 0) + addresses + tcp
        octets += struct.pack("<IIII", 1_793_491_200 + number // 1000, number % 1000 * 1000, len(packet), len(packet)) + packet
        sent[by_client] += len(content)
    path.write_bytes(octets)


def fields(path: Path, names: Sequence[str], *options: str) -> list[dict[str, list[str]]]:
    """Give, for each packet, all values of the named fields that tshark finds in it."""
    asked = [part for name in names for part in ("-e", name)]
    argv = [needed(), "-n", "-r", str(path), "-T", "fields", "-E", "separator=|", "-E", "aggregator=;", *asked, *options]
    done = subprocess.run(
        argv, check=True, capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(path.parent)}
    )
    rows = [line.split("|") for line in done.stdout.splitlines()]
    return [{name: cell.split(";") if cell else [] for name, cell in zip(names, row, strict=True)} for row in rows]
