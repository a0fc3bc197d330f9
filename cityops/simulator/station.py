"""A monitoring station without its socket: HJ 212 uploads that ask for 9014, and are sent again until it comes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from connectors.hj212.encoder import DUST, hourly, realtime, stamp
from connectors.hj212.framing import Framing

OVERTIME = 10_000_000
"""Microseconds to wait for 9014; HJ 212's usual OverTime."""
RECOUNT = 3
"""How often an upload is sent again before the station takes the line for dead."""
REALTIME = 30_000_000
"""Microseconds between momentary values."""
KEEP = 500
"""Uploads kept while there is no line; the oldest go first."""

ANSWER = re.compile(rb"QN=(\d+);.*?CN=9014;", re.DOTALL)
HourMeans = tuple[int, float, float]
"""Start of the hour (microseconds UTC), PM10 and PM2.5 in µg/m³."""


@dataclass(slots=True)
class Upload:
    """One frame on its way: when it is due again, and how often it was sent."""

    frame: bytes
    due: int = 0
    tries: int = 0


class Station:
    """One station: momentary values every 30 s; with hours, the last closed one at the start and at every full hour."""

    def __init__(
        self,
        mn: str,
        factors: Callable[[], dict[str, float]],
        hour: Callable[[], HourMeans] | None,
        first_at: int,
        system: str = DUST,
    ) -> None:
        self.mn = mn
        self.silent = False
        self.stopping = False
        self.garbles = False
        """Whether the line spoils the checksum of what is sent for the first time."""
        self.sent = 0
        self.acked = 0
        self.dropped = 0
        self._factors = factors
        self._hour = hour
        self._system = system
        self._due = first_at
        self._reported_hour = 0
        self._qn = 0
        self._uploads: dict[str, Upload] = {}
        self._framing = Framing({"crc": "auto"})
        self._open = False
        self._broken = False

    @property
    def waiting(self) -> int:
        """Uploads without an answer."""
        return len(self._uploads)

    def wants_link(self, now: int) -> bool:
        """Tell whether the station is powered and does not give its line up."""
        return not self.silent and not self._broken

    def opened(self, now: int) -> bytes:
        """Send again what was not answered on an earlier line."""
        self._open = True
        self._framing = Framing({"crc": "auto"})
        return b"".join(self._send(upload, now) for upload in self._uploads.values())

    def closed(self, now: int) -> None:
        """Keep unanswered uploads for the next line."""
        self._open = False
        self._broken = False
        for upload in self._uploads.values():
            upload.tries = 0

    def received(self, chunk: bytes, now: int) -> bytes:
        """Take answers; each ends the upload whose QN it repeats."""
        for packet in self._framing.feed(chunk):
            answer = ANSWER.search(packet) if isinstance(packet, bytes) else None
            if answer and self._uploads.pop(answer[1].decode(), None) is not None:
                self.acked += 1
        return b""

    def tick(self, now: int) -> bytes:
        """Give uploads that are new or due again."""
        if self.silent:
            return b""
        if now >= self._due and not self.stopping:
            self._due += REALTIME * ((now - self._due) // REALTIME + 1)
            self._collect(now)
        if not self._open:
            return b""
        return b"".join(self._send(u, now) for u in self._uploads.values() if now >= u.due and not self._broken)

    def _collect(self, now: int) -> None:
        if self._hour is not None:
            self._collect_hour(now, *self._hour())
        qn = self._number(now)
        ts, values = now // 1_000_000 * 1_000_000, self._factors()
        self._uploads[qn] = Upload(realtime(self.mn, ts=ts, values=values, st=self._system, qn=qn))
        while len(self._uploads) > KEEP:
            self._uploads.pop(next(iter(self._uploads)))
            self.dropped += 1

    def _collect_hour(self, now: int, start: int, pm10: float, pm25: float) -> None:
        if start > self._reported_hour:
            self._reported_hour = start
            values = {"a34002": round(pm10, 1), "a34004": round(pm25, 1)}
            qn = self._number(now)
            self._uploads[qn] = Upload(hourly(self.mn, ts=start, values=values, qn=qn))

    def _number(self, now: int) -> str:
        """Give a QN no other upload of this station has: the time, to the millisecond."""
        self._qn = max(self._qn + 1, now // 1000)
        return stamp(self._qn * 1000, millis=True)

    def _send(self, upload: Upload, now: int) -> bytes:
        if upload.tries > RECOUNT:
            self._broken = True
            return b""
        is_first = upload.due == 0
        self.sent += is_first
        upload.tries += 1
        upload.due = now + OVERTIME
        return spoiled(upload.frame) if is_first and self.garbles else upload.frame


def spoiled(frame: bytes) -> bytes:
    """Give a frame with another checksum than its own, the four digits before the line end."""
    return frame[:-6] + b"%04X" % (int(frame[-6:-2], 16) ^ 0xFFFF) + frame[-2:]
