"""Memory of large blocks goes back to the system at once."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import numpy as np, psutil
from streams.allocator import give_back
assert give_back()
size = lambda: psutil.Process().memory_info().rss >> 20
np.ones(24 << 17)  # 24 MiB, freed at once: by itself glibc would from now on keep blocks of this size
below = np.ones(16 << 17)
above = [np.ones(1 << 14) for _ in range(64)]
before = size()
del below
print(before - size())
"""


def test_a_freed_block_below_others_is_given_back() -> None:
    given = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert int(given.stdout) >= 15
