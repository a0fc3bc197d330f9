"""``cityops connector run --dry``: the real door of a connector, its results printed instead of sent to Kafka."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import IO, Any

import msgspec

from cityops.parts import new_run
from connectors._api.manifest import Manifest
from connectors._api.registry import Connector
from connectors._api.session import Received, describe
from connectors._host.builder import Delivery, Frame, FrameBuilder
from connectors._host.decode import table_from_text
from connectors._host.door import Backoff
from connectors._host.doors import make_door
from connectors._host.intake import Intake
from connectors._host.options import BY_TRANSPORT, OWN_KEYS, split
from schemas.errors import Retry


class Printing(Intake):
    """Takes what sessions decode and prints it; every reading counts as safe at once."""

    def __init__(self, name: str, clock: Callable[[], int], out: IO[str]) -> None:
        builder = FrameBuilder(name, new_run(), partitions=1, frame_rows=1, flush_us=0)
        super().__init__(name, builder, _safe, clock)
        self._out = out

    def take(self, received: Received, packet: bytes, seen_at: int, address: str = "") -> Delivery:
        """Print one packet with all that followed from it."""
        told = {**describe(received), "packet": packet.hex().upper(), "from": address}
        self._out.write(json.dumps(told, ensure_ascii=False) + "\n")
        self._out.flush()
        delivery = super().take(received, packet, seen_at, address)
        self.flush()
        return delivery


def _safe(frames: Iterable[Frame]) -> None:
    for frame in frames:
        frame.safe()


async def run(
    connector: Connector, table: Mapping[str, Any], *, stop: asyncio.Event, clock: Callable[[], int], out: IO[str] = sys.stdout
) -> int:
    """Serve until ``stop`` and give how many packets came; neither Kafka nor a database is touched.

    A door that fails is opened again after growing pauses, as an instance's is; settings that cannot be used raise ``Fatal``.
    """
    options, settings = split(connector, table, f"connector {connector.type}")
    intake = Printing(connector.type, clock, out)
    ended = asyncio.ensure_future(stop.wait())
    backoff, loop = Backoff(), asyncio.get_running_loop()
    try:
        while not stop.is_set():
            started = loop.time()
            door = make_door(connector, settings, options, intake, clock)
            serving = asyncio.ensure_future(door.serve(lambda: _say(connector, options)))
            try:
                await asyncio.wait((serving, ended), return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    serving.result()
            except (Retry, OSError) as error:
                sys.stderr.write(f"cityops: {connector.type}: {error}; 重试 / trying again\n")
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), backoff.pause(loop.time() - started))
            finally:
                door.halt()
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)
                await door.close()
    finally:
        ended.cancel()
    return intake.packets


async def run_for(
    connector: Connector, table: Mapping[str, Any], seconds: float | None, *, stop: asyncio.Event, clock: Callable[[], int]
) -> int:
    """Serve until ``stop``, or for so many seconds."""
    if seconds is not None:
        asyncio.get_running_loop().call_later(seconds, stop.set)
    return await run(connector, table, stop=stop, clock=clock)


def _say(connector: Connector, options: Any) -> None:
    where = getattr(options, "listen", "") or getattr(options, "connect", "") or getattr(options, "broker", "")
    port = connector.manifest.default_port
    place = where or (f"127.0.0.1:{port}" if hasattr(options, "listen") and port else "")
    sys.stderr.write(f"cityops: {connector.type} {connector.manifest.transport} {place} 就绪，Ctrl-C 结束 / ready, Ctrl-C ends\n")
    sys.stderr.flush()


def table_of(manifest: Manifest, base: Mapping[str, Any], listen: str | None, given: Mapping[str, str]) -> dict[str, Any]:
    """Give an instance's table: that of the settings file, ``--listen``, and ``--set`` for host keys and settings alike."""
    hosts = {name for kind in BY_TRANSPORT.values() for name in kind.__struct_fields__} | set(OWN_KEYS)
    ours = {key: text for key, text in given.items() if key in hosts and key not in manifest.settings}
    table = {**base, **{key: _host_value(text) for key, text in ours.items()}}
    table |= table_from_text(manifest, {key: text for key, text in given.items() if key not in ours})
    return table if listen is None else {**table, "listen": listen}


def _host_value(text: str) -> Any:
    """Read a key of the host: JSON where it is JSON, as text otherwise."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
