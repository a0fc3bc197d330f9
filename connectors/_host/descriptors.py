"""File descriptors: as many as the system lets the process have, with some kept from connections."""

from __future__ import annotations

import asyncio
import resource

MOST = 1 << 20
"""More are not asked for: some systems set no bound at all."""
RESERVE = 100
"""Kept from connections: broker, spool, log and listeners need descriptors when devices have taken all others."""


def raise_limit() -> int:
    """Raise the soft limit of the process to its hard one, at most ``MOST``; give what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft if soft != resource.RLIM_INFINITY else MOST
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def room() -> int:
    """Give the descriptor from which on no connection may have one: the system hands out the lowest that is free."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(soft - RESERVE, soft // 2)


def affordable(transport: asyncio.BaseTransport) -> bool:
    """Whether a connection just taken leaves enough descriptors to the rest of the process."""
    return bool(transport.get_extra_info("socket").fileno() < room())
