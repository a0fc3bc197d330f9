"""Breach bits of a vehicle's reading: which restrictions of geofences it breaks; rules name the bits by number."""

from __future__ import annotations

from typing import Final

NO_ENTRY: Final = 1 << 0
"""It is where it must not enter."""
NO_EXIT: Final = 1 << 1
"""It has left the area it must stay in."""
CORRIDOR: Final = 1 << 2
"""It is off its approved corridor."""
NO_STOP: Final = 1 << 3
"""It stands where it must not stop."""
NO_PARKING: Final = 1 << 4
"""It stands where it may stop but must not park."""
SPEED: Final = 1 << 5
"""It is faster than the area allows."""
