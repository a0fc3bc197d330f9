"""DATEX II documents of versions 2 and 3 built from sites and values, for tests and the simulator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

import msgspec

from connectors._api import times

Version = Literal["2", "3"]
SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"
MODEL_2 = "http://datex2.eu/schema/2/2_0"
MODEL_3 = "http://datex2.eu/schema/3"


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """One value in the standard's units: veh/h, km/h, %, s, or a status; ``error`` marks it as no data."""

    index: int
    flow: int | None = None
    speed: float | None = None
    occupancy: float | None = None
    travel_time: float | None = None
    status: str | None = None
    error: bool = False


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one site measured at ``at`` (microseconds UTC)."""

    site: str
    at: int
    values: Sequence[Value]


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a site's table: what an index measures, on which lane (0: all), of which vehicles."""

    index: int
    type: Literal["trafficFlow", "trafficSpeed", "trafficConcentration", "travelTimeInformation", "trafficStatusInformation"]
    lane: int = 0
    vehicles: str = "anyVehicle"
    period: int = 60


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One site of a table; WGS-84 degrees."""

    site: str
    lon: float
    lat: float
    channels: Sequence[Channel]


def measured(sites: Sequence[Measured], version: Version = "3", *, published: int) -> bytes:
    """Give a MeasuredDataPublication; ``published`` is in microseconds UTC."""
    return _document("".join(_site(site, version) for site in sites), "MeasuredDataPublication", version, published)


def table(places: Sequence[Place], version: Version = "3", *, published: int) -> bytes:
    """Give a MeasurementSiteTablePublication."""
    rows = "".join(_place(place, version) for place in places)
    body = f'<measurementSiteTable id="table" version="1">{rows}</measurementSiteTable>'
    return _document(body, "MeasurementSiteTablePublication", version, published)


def _document(body: str, kind: str, version: Version, published: int) -> bytes:
    time = f"<publicationTime>{_time(published)}</publicationTime>"
    creator = "<publicationCreator><country>cn</country><nationalIdentifier>CITY</nationalIdentifier></publicationCreator>"
    if version == "2":
        inner = f'<payloadPublication lang="zh" xsi:type="{kind}">{time}{creator}{body}</payloadPublication>'
        text = f'<d2LogicalModel modelBaseVersion="2" xmlns="{MODEL_2}" xmlns:xsi="{SCHEMA}">{inner}</d2LogicalModel>'
    else:
        inner = f'<mc:payload lang="zh" modelBaseVersion="3" xsi:type="roa:{kind}">{time}{creator}{body}</mc:payload>'
        spaces = f'xmlns="{MODEL_3}/roadTrafficData" xmlns:roa="{MODEL_3}/roadTrafficData" xmlns:mc="{MODEL_3}/messageContainer"'
        text = f'<mc:messageContainer modelBaseVersion="3" {spaces} xmlns:xsi="{SCHEMA}">{inner}</mc:messageContainer>'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _site(site: Measured, version: Version) -> str:
    name = "measuredValue" if version == "2" else "physicalQuantity"
    time = _time(site.at) if version == "2" else f"<timeValue>{_time(site.at)}</timeValue>"
    values = "".join(f'<{name} index="{value.index}"><{name}>{"".join(_basic(value))}</{name}></{name}>' for value in site.values)
    reference = f'<measurementSiteReference id={quoteattr(site.site)} version="1"/>'
    default = f"<measurementTimeDefault>{time}</measurementTimeDefault>"
    return f"<siteMeasurements>{reference}{default}{values}</siteMeasurements>"


def _basic(value: Value) -> list[str]:
    error = "<dataError>true</dataError>" if value.error else ""
    told: list[tuple[str, str, str, object]] = [
        ("TrafficFlow", "vehicleFlow", "vehicleFlowRate", value.flow),
        ("TrafficSpeed", "averageVehicleSpeed", "speed", value.speed),
        ("TrafficConcentration", "occupancy", "percentage", value.occupancy),
        ("TravelTimeData", "travelTime", "duration", value.travel_time),
        ("TrafficStatus", "trafficStatus", "trafficStatusValue", value.status),
    ]
    return [
        f'<basicData xsi:type="{kind}"><{outer}>{error}<{leaf}>{escape(str(what))}</{leaf}></{outer}></basicData>'
        for kind, outer, leaf, what in told
        if what is not None
    ]


def _place(place: Place, version: Version) -> str:
    name = "measurementSiteRecord" if version == "2" else "measurementSite"
    point = f"<latitude>{place.lat}</latitude><longitude>{place.lon}</longitude>"
    shown = "locationForDisplay" if version == "2" else "coordinatesForDisplay"
    channels = "".join(_channel(channel, version) for channel in place.channels)
    where = f"<measurementSiteLocation><{shown}>{point}</{shown}></measurementSiteLocation>"
    return f'<{name} id={quoteattr(place.site)} version="1">{channels}{where}</{name}>'


def _channel(channel: Channel, version: Version) -> str:
    lane = f"lane{channel.lane}" if version == "2" else f"<laneNumber>{channel.lane}</laneNumber>"
    vehicles = f"<vehicleType>{escape(channel.vehicles)}</vehicleType>"
    inner = (
        f"<period>{channel.period}</period>"
        + (f"<specificLane>{lane}</specificLane>" if channel.lane else "")
        + f"<specificMeasurementValueType>{channel.type}</specificMeasurementValueType>"
        + f"<specificVehicleCharacteristics>{vehicles}</specificVehicleCharacteristics>"
    )
    name = "measurementSpecificCharacteristics"
    return f'<{name} index="{channel.index}"><{name}>{inner}</{name}></{name}>'


def _time(ts: int) -> str:
    return str(times.write(ts, "iso", "UTC")).replace("+00:00", "Z")
