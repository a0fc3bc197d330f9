"""The banks' payment files: what households paid for water, electricity, gas and heat since the last one."""

from __future__ import annotations

import numpy as np

from cityops.simulator import tempo
from cityops.simulator.carriers import Message
from cityops.simulator.conditions import GAS, POWER, WATER
from cityops.simulator.places import SEATS, TOWNS
from cityops.simulator.world import World
from connectors.table_file import encoder

FILE_US = 30_000_000
PER_FILE = 14.0
"""Payments in a file at a usual hour."""
CHANNELS = ("微信", "支付宝", "营业厅", "银行代扣")
UTILITIES = ("electricity", "water", "gas", "heat")
SHARES = (0.46, 0.26, 0.2, 0.08)
MEAN_YUAN = {"electricity": 96.0, "water": 42.0, "gas": 68.0, "heat": 1650.0}


class Payments:
    """The clearing house: a file every 30 s."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = np.random.default_rng([world.seed, 31])
        self._next_file = world.started_at + 5_000_000
        self._bills = 0
        self._refunded = False

    def due(self, now: int) -> list[Message]:
        """Give the file that is due."""
        if now < self._next_file:
            return []
        since, self._next_file = self._next_file - FILE_US, self._next_file + FILE_US
        busy = 0.4 + self._world.conditions.traffic
        rows = [self._payment(since, now) for _ in range(1 + self._rng.poisson(PER_FILE * busy))]
        refund = self._world.on("bill_payment", 0, "refund")
        if refund is not None and not self._refunded:
            self._refunded = True
            rows.append({**self._payment(since, now), "amount": int(refund)})
        name = f"payments-{now // 1_000_000}.csv"
        return [Message(name, encoder.csv_body([encoder.payment(row) for row in rows]), len(rows))]

    def _payment(self, since: int, now: int) -> dict[str, object]:
        """Give a payment; what was billed follows the demand of the hour."""
        rng = self._rng
        self._bills += 1
        utility = str(rng.choice(UTILITIES, p=SHARES))
        hour = tempo.hour_of_day(now)
        weight = {"electricity": POWER, "water": WATER, "gas": GAS}.get(utility)
        yuan = MEAN_YUAN[utility] * float(rng.gamma(4.0, 0.25)) * (1.0 if weight is None else 0.9 + 0.1 * weight.at(hour))
        seat = TOWNS[int(rng.integers(SEATS))]
        return {
            "bill": f"JC{now // 1_000_000}{self._bills:06d}",
            "account": f"{seat.code}{int(rng.integers(1, 40_000)):08d}",
            "paid_at": int(rng.integers(since // 1_000_000, now // 1_000_000)) * 1_000_000,
            "utility": utility,
            "amount": max(round(yuan * 100.0), 100),
            "channel": str(rng.choice(CHANNELS)),
            "district": seat.zh,
        }
