"""DATEX II publications to readings of detectors and road links, and the requests that fetch the next ones."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from connectors._api import mapping, times
from connectors._api.manifest import Settings
from connectors._api.session import Message, Peer, Received, Request
from connectors.datex2 import lanes, links, sites
from connectors.datex2.document import Reader, Shown, get, many, snake
from connectors.datex2.sites import Site
from schemas.errors import Reject
from schemas.kinds.traffic import TrafficLink
from schemas.reading import Reading

HERE: Final = Path(__file__).resolve().parent
SECOND: Final = 1_000_000
FEEDS: Final = 64
"""Most origins whose newest time is remembered."""
AHEAD: Final = 300 * SECOND
"""The time of a publication further ahead of arrival than this is not remembered: it would make all that follow stale."""
TABLES: Final = ("measurementSiteRecord", "measurementSite")


class Gathered:
    """What one document holds: measurements, or sites of a table, each also as it is shown."""

    def __init__(self) -> None:
        self.sites: dict[str, Site] = {}
        self.measured: list[tuple[Shown, bool]] = []
        self.rows: list[Shown] = []
        self.rejects: list[Reject] = []

    def add(self, name: str, record: Shown) -> None:
        """Take in a record; one that cannot be read is refused with what it holds."""
        try:
            if name in TABLES:
                self._site(record)
            else:
                self.measured.append(_measured(record))
                self.rows.append(self.measured[-1][0])
        except Reject as error:
            self.rejects.append(Reject(error.reason, error.detail, msgspec.json.encode(record)))

    def _site(self, record: Shown) -> None:
        key, site = sites.site_of(record)
        if len(self.sites) >= sites.MOST:
            raise Reject("too_large", f"the table has more than {sites.MOST} sites: site {key} is not remembered")
        self.sites[key] = site
        self.rows.append(_site_row(key, record, site))


class Session:
    """One feed and the table of its sites, each read whole at every poll; without a ``url`` it only decodes.

    Where a table is to be polled, data wait for it: without it an index tells neither lane nor vehicles.
    """

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._url = str(settings["url"])
        self._table_url = str(settings["site_table_url"])
        self._interval = max(int(settings["interval_s"]), 1) * SECOND
        self._table_interval = max(int(settings["site_table_interval_s"]), 60) * SECOND
        self._time = times.reader("iso", str(settings["zone"]))
        self._most = max(int(settings["max_mb"]), 1) << 20
        self._sites: dict[str, Site] = {}
        self._newest: dict[str, int] = {}
        self._asked = False

    def start(self, now: int) -> Received:
        """Ask for the site table, else for the data."""
        self._asked = not self._table_url
        first = self._table_url or self._url
        return Received(requests=(Request(first, now),)) if first else Received()

    def tick(self, now: int) -> Received:
        """Give nothing: every answer asks for the next one."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one document, plain or gzip; whatever it holds, its next poll is asked for."""
        is_read = True
        try:
            received = self._decode(packet, seen_at, origin)
        except Reject as error:
            is_read = False
            received = Received(rejects=(Reject(error.reason, error.detail, error.raw or packet[:4096]),))
        return msgspec.structs.replace(received, requests=self._again(seen_at, origin, is_read=is_read))

    def _again(self, seen_at: int, origin: str, *, is_read: bool) -> list[Request]:
        """Ask for a document again, for a table that was refused soon; the first table read starts the data."""
        if not self._table_url or origin != self._table_url:
            return [Request(self._url, seen_at + self._interval)] if self._url else []
        wait = self._table_interval if is_read and self._sites else self._interval
        wanted = [Request(self._table_url, seen_at + wait)]
        if self._url and self._sites and not self._asked:
            self._asked = True
            wanted.append(Request(self._url, seen_at))
        return wanted

    def _decode(self, packet: bytes, seen_at: int, origin: str) -> Received:
        gathered = Gathered()
        reader = Reader(gathered.add)
        reader.read(packet, self._most)
        publication = _publication(reader.head)
        published = self._published(publication, seen_at, origin)
        if gathered.sites:
            self._sites = gathered.sites
        readings, refused = self._readings(gathered, published, seen_at)
        message = {**_summary(reader.head, publication), "sites": gathered.rows}
        return Received(message=message, readings=readings, rejects=gathered.rejects + refused)

    def _published(self, publication: Shown, seen_at: int, origin: str) -> int | None:
        """Give the time of publication; one that went backwards refuses the document."""
        published = self._at(publication.get("publication_time"), "publicationTime")
        if published is None:
            return None
        newest = self._newest.get(origin, 0)
        if published < newest:
            late = (newest - published) // SECOND
            raise Reject("stale_feed", f"publicationTime lies {late} s before that of the publication before it")
        if published <= seen_at + AHEAD and (origin in self._newest or len(self._newest) < FEEDS):
            self._newest[origin] = published
        return published

    def _readings(self, gathered: Gathered, published: int | None, seen_at: int) -> tuple[list[Reading], list[Reject]]:
        found: list[Reading] = []
        rejects: list[Reject] = []
        for shown, is_detector in gathered.measured:
            try:
                found += self._of_site(shown, published, seen_at, is_detector=is_detector)
            except Reject as error:
                rejects.append(Reject(error.reason, f"site {shown['id']}: {error.detail}", msgspec.json.encode(shown)))
        return found, rejects

    def _of_site(self, shown: Shown, published: int | None, seen_at: int, *, is_detector: bool) -> list[Reading]:
        """Give a site's readings, for each time of measurement those of its lanes and its link."""
        site = self._sites.get(shown["id"])
        default = self._at(_moment(shown.get("measurement_time_default")), "measurementTimeDefault")
        at_times: dict[int, list[Shown]] = {}
        for value in shown["values"]:
            own = self._at(_moment(value.get("measurement_or_calculation_time")), "measurementOrCalculationTime")
            at_times.setdefault(own or default or published or seen_at, []).append(value)
        found: list[Reading] = []
        for ts, values in at_times.items():
            base: dict[str, Any] = {"source": shown["id"], "ts": ts, "sent_at": published, "seen_at": seen_at}
            if site is not None and site.lon is not None:
                base |= {"lon": site.lon, "lat": site.lat}
            if is_detector:
                rows = lanes.by_order(values) if site is None else lanes.by_table(values, site)
                found += [_mapping().reading("traffic_detector", row, **base) for row in rows]
            link = links.link_of(values, site, is_detector=is_detector)
            if link:
                found.append(_link(link, base))
        return found

    def _at(self, text: Any, name: str) -> int | None:
        if text is None:
            return None
        try:
            return self._time(text)
        except (ValueError, OverflowError, TypeError) as error:
            raise Reject("bad_field", f"{name}: {str(text)[:40]!r} is no time") from error


@cache
def _mapping() -> mapping.Mapping:
    return mapping.read(HERE / "mapping.toml")


def _link(link: dict[str, Any], base: dict[str, Any]) -> Reading:
    """Give a link's reading; a status that the mapping does not know is unknown."""
    reading = _mapping().reading("traffic_link", link, **base)
    if isinstance(reading, TrafficLink) and reading.state is None and "traffic_status" in link:
        return msgspec.structs.replace(reading, state="unknown")
    return reading


def _measured(record: Shown) -> tuple[Shown, bool]:
    """Give the measurements of a site, or of a stretch of road (elaborated data), in the standard's terms, and which it is."""
    reference = get(record, "measurement_site_reference")
    is_detector = reference is not None
    if not is_detector:
        reference = sites.first(record, ("predefined_location_reference", "predefined_item_version_reference"))
        record = {"measured_value": record}
    name = reference if isinstance(reference, str) else get(reference, "id")
    if not isinstance(name, str) or not name:
        raise Reject("missing_field", "measurements name no site: measurementSiteReference has no id")
    told = {"version": get(reference, "version"), "measurement_time_default": record.get("measurement_time_default")}
    known = {key: value for key, value in told.items() if value is not None}
    return {"id": name, **known, "values": lanes.values_of(record)}, is_detector


def _site_row(name: str, record: Shown, site: Site) -> dict[str, Any]:
    indexes = [
        {
            "index": number,
            "specific_measurement_value_type": index.type,
            "specific_lane": index.named or index.lane,
            "any_vehicle": index.any_vehicle,
            "period": index.period,
        }
        for number, index in site.indexes.items()
    ]
    row = {"id": name, "version": get(record, "version"), "name": sites.first(record, ("measurement_site_name",))}
    lane_count = get(record, "measurement_site_number_of_lanes")
    place = {"longitude": site.lon, "latitude": site.lat, "length_affected": site.length, "road": site.road}
    known = {**row, "measurement_site_number_of_lanes": lane_count, **place}
    return {**{key: value for key, value in known.items() if value is not None}, "measurement_specific_characteristics": indexes}


def _publication(head: Shown) -> Shown:
    """Give the element that has a publication time, else that of a publication's type; without one it is no DATEX II."""
    waiting = [head]
    typed = None
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            if "publication_time" in here:
                return here
            if str(here.get("type", "")).endswith("Publication"):
                typed = here
            waiting += reversed(here.values())
        elif isinstance(here, list):
            waiting += reversed(here)
    if typed is None:
        raise Reject("bad_frame", "no DATEX II publication: there is no publicationTime")
    return typed


def _summary(head: Shown, publication: Shown) -> Message:
    """Give what a publication says of itself: type, time, language, who published it, and which table it refers to."""
    kind = str(publication.get("type", "publication"))
    supplier = sites.first(head, ("supplier_identification",)) or publication.get("publication_creator")
    known = {
        "publication_time": publication.get("publication_time"),
        "lang": publication.get("lang"),
        "model_base_version": sites.first(head, ("model_base_version",)),
        "country": get(supplier, "country"),
        "national_identifier": get(supplier, "national_identifier"),
        "publication_creator": publication.get("publication_creator"),
        "measurement_site_table_reference": publication.get("measurement_site_table_reference"),
        "header_information": publication.get("header_information"),
    }
    return {"name": snake(kind), **{key: value for key, value in known.items() if value is not None}}


def _moment(shown: Shown) -> Any:
    """Give the text of a point in time: version 2 writes it plainly, version 3 in ``timeValue`` or at a period's end."""
    for one in many(shown)[:1]:
        if not isinstance(one, dict):
            return one
        return one.get("time_value") or sites.first(one.get("period"), ("end_of_period", "start_of_period"))
    return None
