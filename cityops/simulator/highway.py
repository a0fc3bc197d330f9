"""The highway bureau's detectors on trunk roads: a CSV file a minute, a row for each; vehicles there drive by the same speed."""

from __future__ import annotations

from cityops.simulator import tempo
from cityops.simulator.carriers import Message
from cityops.simulator.estate import Link
from cityops.simulator.traffic import counted
from cityops.simulator.world import World
from connectors.traffic_csv import encoder

PERIOD_S = 60
PERIOD_US = PERIOD_S * 1_000_000
FIRST_US = 3_000_000


def detector(link: Link) -> str:
    """Give the name of the bureau's detector on a link, beside that of the police."""
    return f"HD{link.site.id.removeprefix('TL')}"


class Highway:
    """The bureau's collecting computer; the first file tells of the minute before the city was switched on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._next_file = world.started_at + FIRST_US

    def due(self, now: int) -> list[Message]:
        """Give the file that is due."""
        if now < self._next_file:
            return []
        self._next_file = now + PERIOD_US
        end = now // 1_000_000 * 1_000_000
        rows = [self._row(n, link, end) for n, link in enumerate(self._world.estate.links) if link.trunk]
        body = encoder.csv_body(encoder.rows("traffic_detector", rows))
        return [Message(f"highway-{end // 1_000_000}.csv", body, len(rows))]

    def _row(self, n: int, link: Link, end: int) -> dict[str, object]:
        kmh, flow, occupancy = counted(self._world, n)
        return {
            "source": detector(link),
            "ts": end,
            "lane": 0,
            "period": PERIOD_S,
            "speed": round(kmh, 1) * tempo.KMH,
            "flow": float(round(flow)),
            "occupancy": round(occupancy, 1),
            "lon": link.site.lon,
            "lat": link.site.lat,
        }
