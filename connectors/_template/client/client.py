"""The client: yields documents for ever; replace the connection by that of the library you wrap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from connectors._api.manifest import Settings
from schemas.errors import Retry


async def packets(settings: Settings, clock: Callable[[], int]) -> AsyncIterator[tuple[bytes, str]]:
    """Give each line of the server as a document, with the server's address as origin; ``Retry`` when it is away.

    The next one is asked for only when the one before is durable, so what is not yet read waits at the server.
    """
    address = str(settings["address"])
    host, _, port = address.rpartition(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
    except OSError as error:
        msg = f"{address}: {error}"
        raise Retry(msg) from error
    try:
        async for line in reader:
            yield line.strip(), address
    finally:
        writer.close()
    msg = f"{address} closed the connection"
    raise Retry(msg)
