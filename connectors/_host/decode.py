"""Decoding from the shell: packets in, one JSON-able dictionary each out, as one session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from connectors._api import registry
from connectors._api.manifest import Manifest, Settings, from_text
from connectors._api.session import Peer, Received, describe
from connectors._host.cut import cut
from connectors._host.intake import guarded
from schemas.errors import Fatal, Reject


def settings_from_text(manifest: Manifest, given: Mapping[str, str], where: str = "--set") -> Settings:
    """Give complete settings from ``key=value`` texts; ``Fatal`` names a flaw."""
    return manifest.resolve(table_from_text(manifest, given, where), where)


def table_from_text(manifest: Manifest, given: Mapping[str, str], where: str = "--set") -> dict[str, Any]:
    """Give the settings that ``key=value`` texts name, and no others.

    Lists and tables are JSON, or a table's entries one by one: ``devices.<id>.lon=116.4``; ``Fatal`` names a flaw.
    """
    table: dict[str, Any] = {}
    for key, text in given.items():
        name, *path = key.split(".")
        setting = manifest.settings.get(name)
        if setting is None:
            msg = f"{where}: unknown setting {name!r}; known: {', '.join(manifest.settings) or 'none'}"
            raise Fatal(msg)
        if not path:
            table[name] = from_text(setting, text)
            continue
        if setting.type != "table":
            msg = f"{where}: setting {name!r} is no table, {key!r} names an entry of it"
            raise Fatal(msg)
        inner = table.setdefault(name, {})
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = _value(text)
    return table


def decode_packets(
    type: str,
    given: Mapping[str, str],
    packets: Iterable[tuple[bytes, str]],
    seen_at: Callable[[], int],
    *,
    single: bool = False,
) -> Iterator[dict[str, Any]]:
    """Decode inputs (bytes and origin) as one session of the connector and give what each brought.

    An input that holds several packets gives a dictionary for each, one that holds none gives a reject.
    ``single``: each input is one packet and gives one dictionary; one that holds more is refused whole.
    Keys: ``message``, ``readings``, ``replies`` (hex), ``rejects``.
    """
    connector = registry.load(type)
    settings = settings_from_text(connector.manifest, given)
    session = connector.make_session(settings, Peer(type))
    session.start(seen_at())

    def receive(packet: bytes | Reject, origin: str) -> Received:
        if isinstance(packet, Reject):
            return Received(rejects=[packet])
        return guarded(type, partial(session.receive, packet, seen_at(), origin), packet)

    for content, origin in packets:
        found = cut(connector.make_framing, settings, content)
        if single:
            found = [_single(found, content, origin)]
        for packet in found:
            yield describe(receive(packet, origin))


def _single(found: Sequence[bytes | Reject], content: bytes, origin: str) -> bytes | Reject:
    if len(found) == 1:
        return found[0]
    whole = sum(isinstance(packet, bytes) for packet in found)
    detail = f"{origin} is not one packet: {whole} whole, {len(found) - whole} broken; give each a line of its own, or --file"
    return Reject("bad_frame", detail, content)


def _value(text: str) -> Any:
    """Read a table's entry as JSON where it is JSON, as text otherwise."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
