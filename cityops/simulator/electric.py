"""Electric buses: GB/T 32960 boxes that report battery, drive and alarms."""

from __future__ import annotations

from typing import Any

from cityops.simulator import identity, tempo
from cityops.simulator.conditions import drawn
from cityops.simulator.outbox import Outbox
from cityops.simulator.tempo import Kind
from cityops.simulator.world import World
from connectors.gb32960 import encoder, packet
from connectors.gb32960.framing import Framing

REPORT_US = 30_000_000
"""Between two real-time records; the standard allows 30 s."""
RANGE_KM, FULL, EMPTY = 190.0, 94.0, 22.0
"""How far a charge carries, and the state of charge it begins and ends with, %."""
HOT_LEVEL, HOT_BIT = 3, 1 << 1
"""Alarm of the highest level, "battery temperature high" of table 18."""
TIME = 6
"""Bytes of the time at the front of a data unit."""
LOGGED_IN, REALTIME = 0x01, 0x02


class EvBox:
    """The box of one electric bus, ``number`` (from 1) of the buses; its first record is due at ``next_report``."""

    def __init__(self, world: World, number: int, next_report: int) -> None:
        self.source = identity.phone(Kind.BUS, number)
        self.silent = self.stopping = False
        self.outbox = Outbox()
        self._world, self._number, self._next_report = world, number, next_report
        self._vin = identity.vin(number)
        self._index = int(world.base[Kind.BUS]) + number - 1
        self._logins = 0
        self._open = False
        self._framing = Framing({})

    @property
    def waiting(self) -> int:
        """Readings without an acknowledgement."""
        return self.outbox.waiting

    def wants_link(self, now: int) -> bool:
        """Tell whether it has power and does not give its line up."""
        return not (self.silent or self.outbox.broken)

    def opened(self, now: int) -> bytes:
        """Log in, and send again what is not acknowledged."""
        self._open, self._framing = True, Framing({})
        self._logins += 1
        return encoder.login(self._vin, now, self._logins, f"8986{self._number:016d}") + self.outbox.opened(now)

    def closed(self, now: int) -> None:
        """Keep what is not acknowledged for the next line."""
        self._open, self.outbox.broken = False, False

    def received(self, chunk: bytes, now: int) -> bytes:
        """Take the platform's answers; they repeat the time of what they answer."""
        for one in self._framing.feed(chunk):
            if isinstance(one, bytes) and packet.parse(one).command == REALTIME:
                self.outbox.answered(one[packet.FORM.size :][:TIME])
        return b""

    def tick(self, now: int) -> bytes:
        """Send the record that is due, and repeat what was not answered."""
        if self.silent or not self._open:
            return b""
        out = self.outbox.repeated(now)
        if now >= self._next_report and not self.stopping:
            self._next_report += REPORT_US * ((now - self._next_report) // REPORT_US + 1)
            frame = encoder.record(self._vin, self._world.snapshot.ts, self.blocks())
            out += self.outbox.put(frame[packet.FORM.size :][:TIME], frame, now)
        return out

    def blocks(self) -> dict[str, Any]:
        """Give the information blocks of the moment: charge by the kilometres driven, heat by current and weather."""
        s, i = self._world.snapshot, self._index
        speed, driven = float(s.speed[i]) / tempo.KMH, float(s.odometer[i]) / 1000.0
        share = (driven % RANGE_KM) / RANGE_KM
        soc = FULL - (FULL - EMPTY) * share
        current = 6.0 + 2.4 * speed if s.engine[i] else -60.0
        voltage = 500.0 + 0.9 * soc - 0.02 * current
        warmth = 20.0 + 0.35 * self._world.conditions.outdoor + 0.03 * abs(current) + 2.0 * drawn(self._number, 1)
        hot = self._world.on("ev_battery", self._number - 1, "hot")
        cell = voltage / 160.0
        vehicle = {"state": 1 if s.engine[i] else 2, "charge_state": 3 if s.engine[i] else 1, "mode": 1, "speed": speed}
        vehicle |= {"mileage": driven, "voltage": voltage, "current": current, "soc": round(soc), "dcdc_state": 1, "gear": 0x0E}
        position = {"status": 0, "longitude": float(s.lon[i]), "latitude": float(s.lat[i])}
        extremes = {
            "max_voltage_subsystem": 1, "max_voltage_cell": 17, "max_cell_voltage": cell + 0.012,
            "min_voltage_subsystem": 1, "min_voltage_cell": 93, "min_cell_voltage": cell - 0.015,
            "max_temperature_subsystem": 1, "max_temperature_probe": 4, "max_temperature": round(hot or warmth),
            "min_temperature_subsystem": 1, "min_temperature_probe": 21, "min_temperature": round(warmth - 4.0),
        }  # fmt: skip
        alarm: dict[str, Any] = {"max_level": HOT_LEVEL if hot else 0, "flags": HOT_BIT if hot else 0}
        alarm |= {name: [] for name in ("storage_faults", "motor_faults", "engine_faults", "other_faults")}
        vehicle |= {"insulation": 2400, "accelerator": round(min(speed, 60.0)), "brake": 0}
        return {"vehicle": vehicle, "position": position, "extremes": extremes, "alarm": alarm}
