"""GBFS documents to readings of stations and vehicles, and the requests that fetch the next ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from connectors._api import mapping
from connectors._api.manifest import Settings
from connectors._api.session import Peer, Received, Request
from connectors.gbfs import document
from connectors.gbfs.document import Fields
from schemas.errors import Fatal, Reject
from schemas.reading import Reading

HERE: Final = Path(__file__).resolve().parent
STATIONS: Final = 50_000
"""Most stations whose name and place are remembered."""
FEEDS: Final = 64
"""Most addresses one system's discovery document may name."""
LONGEST_S: Final = 86_400
"""A document is read at least once a day, whatever its ttl says."""
Made = TypeVar("Made")
PLACE: Final = ("lon", "lat", "capacity")
"""What ``station_information`` adds to a station's status, besides its name."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Session:
    """One system: polls its discovery document and the feeds it names, each no faster than its ttl.

    Without a ``url`` it only decodes. Only the host of ``url`` and those of ``allow_hosts`` are ever asked.
    """

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._url = str(settings["url"])
        self._language = str(settings["language"])
        self._wanted = frozenset(map(str, settings["feeds"]))
        self._shortest = max(int(settings["min_interval_s"]), 1)
        self._hosts = {_host(str(host)) or str(host).lower() for host in settings["allow_hosts"]} | {_host(self._url)}
        if self._url and not _host(self._url):
            msg = f"{peer.connector}: setting 'url' must be an http or https address, not {self._url!r}"
            raise Fatal(msg)
        self._polled: set[str] = set()
        self._named: frozenset[str] = frozenset()
        self._stations: dict[str, Fields] = {}

    def start(self, now: int) -> Received:
        """Ask for the discovery document."""
        return Received(requests=(Request(self._url, now),)) if self._url else Received()

    def tick(self, now: int) -> Received:
        """Give nothing: every answer asks for the next one."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one document; whatever it holds, its next poll is asked for."""
        ttl = 0
        try:
            read = document.read(packet)
            ttl = _ttl(read)
            received = self._decode(read, document.feed_of(read, origin), seen_at)
        except Reject as error:
            received = Received(rejects=(Reject(error.reason, error.detail, error.raw or packet),))
        again = self._again(origin, seen_at, ttl)
        return msgspec.structs.replace(received, requests=(*received.requests, *again))

    def _again(self, origin: str, seen_at: int, ttl: int) -> list[Request]:
        """Ask for a polled document again, unless discovery no longer names it."""
        if not self._url or (origin != self._url and origin not in self._named):
            self._polled.discard(origin)
            return []
        wait = min(max(ttl, self._shortest), LONGEST_S)
        return [Request(origin, seen_at + wait * 1_000_000)]

    def _decode(self, read: Fields, feed: str, seen_at: int) -> Received:
        message = {"name": feed, **read}
        if feed == "gbfs":
            requests, rejects = self._discover(read, seen_at)
            return Received(message=message, requests=requests, rejects=rejects)
        if feed == "station_information":
            return Received(message=message, rejects=self._remember(read))
        updated = document.time_of(read.get("last_updated")) or seen_at
        make: Callable[[Any], Reading]
        if feed == "station_status":
            rows, make = document.rows_of(read, "stations"), lambda row: self._station(row, updated, seen_at)
        elif feed in ("free_bike_status", "vehicle_status"):
            key = "vehicles" if feed == "vehicle_status" else "bikes"
            rows, make = document.rows_of(read, key), lambda row: self._vehicle(row, updated, seen_at)
        else:
            return Received(message=message)
        readings, rejects = _each(rows, make)
        return Received(message=message, readings=readings, rejects=rejects)

    def _discover(self, read: Fields, seen_at: int) -> tuple[list[Request], list[Reject]]:
        body = read["data"]
        if "feeds" not in body:
            body = body.get(document.choose(body, self._language), {})
        feeds = body.get("feeds") if isinstance(body, dict) else None
        if not isinstance(feeds, list) or len(feeds) > FEEDS:
            raise Reject("bad_field", f"feeds is no list of at most {FEEDS} feeds")
        urls, rejects = _each(feeds, self._feed_url)
        self._named = frozenset(url for url in urls if url)
        fresh = [url for url in dict.fromkeys(urls) if url and url not in self._polled]
        self._polled.update(fresh)
        return [Request(url, seen_at) for url in fresh], rejects

    def _feed_url(self, feed: Any) -> str:
        """Give the address of a feed that is to be polled, else nothing; a foreign host is refused."""
        name, url = (feed.get("name"), feed.get("url")) if isinstance(feed, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(url, str):
            raise Reject("bad_field", f"feed {str(feed)[:80]!r} has no name and url")
        if not self._url or name not in self._wanted or url == self._url:
            return ""
        if _host(url) not in self._hosts and _host(url).rsplit(":", 1)[0] not in self._hosts:
            raise Reject("bad_field", f"feed {name} lies on another host: {url[:200]!r}; name it in allow_hosts to poll it")
        return url

    def _remember(self, read: Fields) -> list[Reject]:
        rows, rejects = _each(document.rows_of(read, "stations"), self._place)
        if len(rows) > STATIONS:
            rejects.append(Reject("too_large", f"{len(rows)} stations; the first {STATIONS} keep their name and place"))
        self._stations = dict(rows[:STATIONS])
        return rejects

    def _place(self, row: Any) -> tuple[str, Fields]:
        found = document.fields(row)
        if "station_id" not in found:
            raise Reject("missing_field", "a station has no station_id")
        name = document.text_of(row.get("name"), self._language)
        place: Fields = {key: found[key] for key in PLACE if key in found}
        return found["station_id"], place if name is None else {**place, "name": name[:128]}

    def _station(self, row: Any, updated: int, seen_at: int) -> Reading:
        found = document.fields(row)
        if "station_id" not in found:
            raise Reject("missing_field", "a station has no station_id")
        known = self._stations.get(found["station_id"], {})
        ts = document.time_of(row.get("last_reported")) or updated
        return _reading("bike_station", {**known, **found}, found["station_id"], ts, seen_at)

    def _vehicle(self, row: Any, updated: int, seen_at: int) -> Reading:
        found = document.fields(row)
        if "bike_id" not in found:
            raise Reject("missing_field", "a vehicle has no vehicle_id or bike_id")
        ts = document.time_of(row.get("last_reported")) or updated
        return _reading("bike_vehicle", found, found["bike_id"], ts, seen_at)


def _reading(kind: str, values: Fields, source: str, ts: int, seen_at: int) -> Reading:
    return mapping.read(HERE / "mapping.toml").reading(kind, values, source=source, ts=ts, seen_at=seen_at)


def _each(rows: list[Any], make: Callable[[Any], Made]) -> tuple[list[Made], list[Reject]]:
    """Give what ``make`` gives of each row, and a reject with its JSON for each row that it refuses."""
    made: list[Made] = []
    rejects: list[Reject] = []
    for row in rows:
        try:
            made.append(make(row))
        except Reject as error:
            rejects.append(Reject(error.reason, error.detail, msgspec.json.encode(row)))
    return made, rejects


def _ttl(read: Fields) -> int:
    ttl = read.get("ttl")
    return ttl if isinstance(ttl, int) and not isinstance(ttl, bool) and 0 <= ttl < 1 << 31 else 0


def _host(url: str) -> str:
    """Give ``host:port`` of an HTTP address, nothing for any other or a malformed one."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return ""
    plain = url.isascii() and url.isprintable() and not set(' \\"<>') & set(url)
    return f"{parts.hostname}:{port}" if plain and parts.hostname and port and parts.scheme in DEFAULT_PORTS else ""
