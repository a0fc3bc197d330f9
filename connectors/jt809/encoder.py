"""Messages built from their fields: what the platform replies and asks, and all that a lower platform sends.

Every function gives complete frames, escaped and flagged. A value a field cannot hold raises ``ValueError``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from connectors._api import bcd
from connectors.jt809 import messages
from connectors.jt809.framing import frame
from connectors.jt809.header import CENTURY, Cipher, Edition, Header, build

S = 1_000_000
SOUTH, WEST = 1 << 2, 1 << 3


def message(
    msg_id: int,
    fields: Mapping[str, Any],
    *,
    sn: int,
    center: int,
    edition: Edition = "2019",
    time: int = 0,
    cipher: Cipher | None = None,
    key: int = 0,
) -> bytes:
    """Give the frame of a message with the fields ``decode`` shows.

    ``time``, seconds UTC, is what tells a header of 2019: there it must be one of this century.
    """
    if edition == "2019" and time not in CENTURY:
        msg = f"a header of 2019 needs the time it is sent, not {time}"
        raise ValueError(msg)
    body = messages.write(msg_id, edition, fields)
    return frame(build(msg_id, body, sn=sn, center=center, edition=edition, time=time, cipher=cipher, key=key))


def ask(msg_id: int, sn: int, center: int, edition: Edition, time: int, **fields: Any) -> bytes:
    """Give the frame of what the platform asks by itself on the sub link."""
    return frame(build(msg_id, messages.write(msg_id, edition, fields), sn=sn, center=center, edition=edition, time=time))


def reply(to: Header, sn: int, msg_id: int, time: int, **fields: Any) -> bytes:
    """Give the frame that answers ``to``: same edition, version and access code, unencrypted."""
    body = messages.write(msg_id, to.edition, fields)
    return frame(build(msg_id, body, sn=sn, center=to.msg_gnsscenterid, edition=to.edition, time=time, version=to.version))


def login(user_id: int, password: str, ip: str, port: int, *, edition: Edition = "2019", **head: Any) -> bytes:
    """Login of a lower platform, 0x1001, with the address of its sub link; ``head`` as in ``message``."""
    fields: dict[str, Any] = {"user_id": user_id, "password": password, "down_link_ip": ip, "down_link_port": port}
    if edition == "2019":
        fields["msg_gnsscenterid"] = head["center"]
    return message(0x1001, fields, edition=edition, **head)


def link_test(*, edition: Edition = "2019", **head: Any) -> bytes:
    """Link test of the main link, 0x1005."""
    return message(0x1005, {}, edition=edition, **head)


def logout(user_id: int, password: str, *, edition: Edition = "2019", **head: Any) -> bytes:
    """Logout of a lower platform, 0x1003."""
    return message(0x1003, {"user_id": user_id, "password": password}, edition=edition, **head)


def real_location(plate: str, colour: int, place: Mapping[str, Any], *, edition: Edition = "2019", **head: Any) -> bytes:
    """Real location of a vehicle, 0x1202; ``place`` from ``location_fields``."""
    fields = {"vehicle_no": plate, "vehicle_color": colour, "data_type": 0x1202, **place}
    return message(0x1200, fields, edition=edition, **head)


def history(plate: str, colour: int, places: Sequence[Mapping[str, Any]], *, edition: Edition = "2019", **head: Any) -> bytes:
    """Locations sent after the fact, 0x1203; the standard allows one to five."""
    fields = {"vehicle_no": plate, "vehicle_color": colour, "data_type": 0x1203, "gnss_data": list(places)}
    return message(0x1200, fields, edition=edition, **head)


def location_fields(
    *,
    ts: int,
    lat: float,
    lon: float,
    edition: Edition = "2019",
    alarm: int = 0,
    status: int = 0b11,
    altitude: float = 0.0,
    speed: float = 0.0,
    direction: float = 0.0,
    mileage: float = 0.0,
) -> dict[str, Any]:
    """Give a location's fields from SI values: ``ts`` µs UTC, degrees WGS-84, m/s, m; hemisphere bits from the signs."""
    status = status & ~(SOUTH | WEST) | (SOUTH if lat < 0 else 0) | (WEST if lon < 0 else 0)
    common = {"encrypt": 0, "lon": abs(lon), "lat": abs(lat), "direction": round(direction) % 360, "altitude": round(altitude)}
    if edition == "2019":
        items = {"0x01": round(mileage / 100).to_bytes(4)} if mileage else {}
        time = bcd.time_text(bcd.from_instant(ts))
        return {**common, "alarm": alarm, "status": status, "speed": round(speed * 36), "time": time, "items": items}
    local = bcd.EPOCH + timedelta(microseconds=ts + bcd.BEIJING_US)
    clock = {name: getattr(local, name) for name in ("day", "month", "year", "hour", "minute", "second")}
    kmh = round(speed * 3.6)
    return {**common, **clock, "vec1": kmh, "vec2": kmh, "vec3": round(mileage / 1000), "state": status, "alarm": alarm}


def driver(plate: str, colour: int, name: str, number: str, licence: str, issuer: str, **head: Any) -> bytes:
    """Driver of a vehicle, pushed unasked, 0x120C of 2011."""
    fields = {"driver_name": name, "driver_id": number, "licence": licence, "org_name": issuer}
    envelope = {"vehicle_no": plate, "vehicle_color": colour, "data_type": 0x120C}
    return message(0x1200, {**envelope, **fields}, edition=head.pop("edition", "2011"), **head)


def waybill(plate: str, colour: int, content: str, **head: Any) -> bytes:
    """Electronic waybill of a vehicle, pushed unasked, 0x120D."""
    fields = {"vehicle_no": plate, "vehicle_color": colour, "data_type": 0x120D, "ewaybill_info": content}
    return message(0x1200, fields, **head)


def warning(
    plate: str, colour: int, kind: int, ts: int, *, number: int = 0, text: str = "", source: int = 1, **head: Any
) -> bytes:
    """Alarm of a vehicle, 0x1402 of 2011: ``kind`` of table 75, ``ts`` µs UTC."""
    fields = {"warn_src": source, "warn_type": kind, "warn_time": ts // S, "info_id": number, "info_content": text}
    envelope = {"vehicle_no": plate, "vehicle_color": colour, "data_type": 0x1402}
    return message(0x1400, {**envelope, **fields}, edition="2011", **head)
