"""Road-vehicle terminals as the standard wants them: a position stays theirs until the platform has answered it.

Each has a connection of its own and numbers its messages without gaps. What is not answered is kept and sent
again, in order and unchanged, when the connection is back; what is answered is forgotten and never sent again.
Once on its way each drives through a tunnel: it is heard, but hears no answers, and then its connection is gone.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field

from connectors.jt808 import encoder

SECOND = 1_000_000
LOCATION, DONE = 0x0200, 0
OVERSPEED = 1 << 1
ALARM_EVERY = 30
"""Of so many positions the second half is over the speed limit."""
TUNNEL = 5
"""So many positions are made in the tunnel."""
PATIENCE_S = 20.0
"""A terminal that hears nothing for so long connects anew."""


@dataclass
class Terminal:
    """One terminal, which makes ``count`` positions, ``pause_s`` apart."""

    phone: str
    count: int
    pause_s: float
    port: int
    made: int = 0
    packets: list[bytes] = field(default_factory=list)
    """All it made, as they go out."""
    waiting: dict[int, bytes] = field(default_factory=dict)
    """Packets without an answer, by serial number, oldest first."""
    answered: set[int] = field(default_factory=set)
    refused: list[int] = field(default_factory=list)
    """Results other than done."""
    connections: int = 0
    deaf: bool = False
    """In the tunnel."""
    repeated: int = 0
    """Packets sent a second time, or more often."""

    async def report(self) -> None:
        """Return when every position has been made and answered."""
        while len(self.answered) < self.count:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.2)
                continue
            self.connections, self.deaf = self.connections + 1, False
            speaking = asyncio.create_task(self._speak(writer))
            with suppress(OSError, EOFError, TimeoutError):
                await self._listen(reader)
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
            writer.close()

    async def _speak(self, writer: asyncio.StreamWriter) -> None:
        for packet in list(self.waiting.values()):
            self.repeated += 1
            writer.write(packet)
        await writer.drain()
        middle = self.count // 2
        while self.made < self.count:
            await asyncio.sleep(self.pause_s)
            self.deaf = middle - TUNNEL <= self.made < middle
            writer.write(self._make())
            await writer.drain()
            if self.deaf and self.made == middle:
                await asyncio.sleep(1.0)
                writer.close()
                return

    def _make(self) -> bytes:
        serial, self.made = self.made, self.made + 1
        ts = int(time.time()) * SECOND
        place = {"lat": 35.5 + serial * 1e-5, "lon": 112.85}
        alarm = OVERSPEED if serial % ALARM_EVERY >= ALARM_EVERY // 2 else 0
        packet = encoder.location(self.phone, serial, version="2013", ts=ts, speed=8.0, alarm=alarm, **place)
        self.waiting[serial] = packet
        self.packets.append(packet)
        return packet

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while len(self.answered) < self.count:
            async with asyncio.timeout(PATIENCE_S):
                await reader.readuntil(b"\x7e")
                packet = (await reader.readuntil(b"\x7e"))[:-1]
            self._take(packet.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d"))

    def _take(self, packet: bytes) -> None:
        """Read a general reply, 0x8001: header of 12 bytes, serial and id of the message answered, result, check byte."""
        if packet[:2] != b"\x80\x01" or self.deaf:
            return
        serial, message, result = int.from_bytes(packet[12:14]), int.from_bytes(packet[14:16]), packet[16]
        if message != LOCATION or result != DONE:
            self.refused.append(result)
            return
        self.answered.add(serial)
        self.waiting.pop(serial, None)


class Fleet:
    """Terminals that report at the same time."""

    def __init__(self, port: int, *, terminals: int, each: int, pause_s: float) -> None:
        self.terminals = [Terminal(f"{13800000000 + n}", each, pause_s, port) for n in range(terminals)]
        self.size = terminals * each

    @property
    def answered(self) -> int:
        """Positions that were answered."""
        return sum(len(t.answered) for t in self.terminals)

    @property
    def repeated(self) -> int:
        """Packets that were sent again."""
        return sum(t.repeated for t in self.terminals)

    async def report(self) -> None:
        """Return when all are done."""
        async with asyncio.TaskGroup() as group:
            for terminal in self.terminals:
                group.create_task(terminal.report())
