"""How the C library gives memory back, so that a worker's size shows what it holds and not what it once held."""

from __future__ import annotations

import ctypes

ARENAS = 2
"""Heaps for threads: those that build rows for COPY would each keep the largest batch they ever saw."""
MAPPED_FROM = 1 << 20
"""Larger blocks are mapped by themselves and unmapped when freed; glibc would raise this to the largest block it ever freed."""
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8


def give_back() -> bool:
    """Set glibc's allocator; False where the C library is another one."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(*option) for option in ((_M_ARENA_MAX, ARENAS), (_M_MMAP_THRESHOLD, MAPPED_FROM)))
