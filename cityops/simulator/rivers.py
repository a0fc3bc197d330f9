"""River stations of the environment bureau: water quality over HJ 212, diluted and clouded by rain."""

from __future__ import annotations

from typing import Final

from cityops.simulator.conditions import drawn, wobble
from cityops.simulator.world import World

RIVER: Final = "21"
"""System type ST of surface water (HJ 212-2017 table 5)."""


def river(world: World, index: int) -> dict[str, float]:
    """Give one station's momentary values by factor code of annex B, in its units (mg/L, °C, NTU)."""
    c, seed = world.conditions, world.seed
    wave = wobble(seed, 1300 + index, world.now, 600.0)
    temperature = max(4.0 + 0.7 * c.outdoor, 0.5)
    values = {
        "w01010": temperature,
        "w01001": 7.8 + 0.2 * drawn(index, 51) + 0.05 * wave,
        "w01009": 11.5 - 0.17 * temperature + 0.2 * wave,
        "w01003": 6.0 + 9.0 * c.rain + 1.5 * wave,
        "w01019": 2.4 + 0.5 * drawn(index, 52) + 0.15 * wave,
        "w21003": 0.3 + 0.1 * drawn(index, 53) + 0.02 * wave,
    }
    return {code: round(value, 3) for code, value in values.items()}
