"""What platforms wrap a device's JSON in: LoRaWAN servers and NB-IoT carriers, opened and, for simulators, closed again."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from connectors._api.times import write
from schemas.errors import Reject

Form = Literal["plain", "onenet", "telecom", "aep", "chirpstack_v4", "ttn_v3"]
"""plain: none. onenet: China Mobile. telecom and aep: China Telecom's two platforms. The others are LoRaWAN servers."""
Document = dict[str, Any]
MOST: Final = 10_000
"""Messages one envelope may hold."""


class Opened(msgspec.Struct, frozen=True):
    """One device message: what it is, the parts beside the payload, and the payload (bytes where it is no JSON).

    ``device`` and ``time`` are the parts every envelope gives where it has them; a message without measurements
    (joined, online, command result) has the payload ``None``.
    """

    name: str
    parts: dict[str, Any]
    payload: Any


def opened(form: Form, document: Any) -> list[Opened]:
    """Open a document; one that is not of that form is refused, naming what it lacks."""
    if form == "plain":
        return [Opened("plain", {}, document)]
    if not isinstance(document, dict):
        raise Reject("bad_frame", f"{form}: the document is no JSON object")
    found = OPENERS[form](document)
    if len(found) > MOST:
        raise Reject("too_large", f"{form}: {len(found)} messages; the limit is {MOST}")
    return found


def signed(token: str, nonce: str, text: bytes) -> str:
    """Give OneNET's signature: base64 of the MD5 of token, nonce and text."""
    digest = hashlib.md5(token.encode() + nonce.encode() + text, usedforsecurity=False)
    return base64.b64encode(digest.digest()).decode()


def is_signed(token: str, nonce: str, text: bytes, signature: str) -> bool:
    """Tell whether a signature is right; a ``+`` may have become a blank in the address."""
    return hmac.compare_digest(signed(token, nonce, text).encode(), signature.replace(" ", "+").encode())


class OneNetBody(msgspec.Struct):
    """A OneNET push with ``msg`` as the bytes that were signed."""

    msg: msgspec.Raw = msgspec.Raw(b"")
    nonce: str = ""
    msg_signature: str = ""


def check_onenet(packet: bytes, token: str) -> None:
    """Refuse a OneNET push whose signature is not that of the token."""
    try:
        body = msgspec.json.decode(packet, type=OneNetBody)
        text = bytes(body.msg)
        if text[:1] == b'"':
            text = msgspec.json.decode(text, type=str).encode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Reject("bad_frame", f"onenet: {error}", packet) from error
    if not is_signed(token, body.nonce, text, body.msg_signature):
        raise Reject("unauthenticated", "onenet: msg_signature is not that of the token set here", packet)


def closed(form: Form, payload: Any, parts: Mapping[str, Any], ts: int) -> Any:
    """Give the document a platform sends for a payload; ``parts`` has the device, ``ts`` is in microseconds UTC."""
    return payload if form == "plain" else CLOSERS[form](payload, dict(parts), ts)


def _onenet(document: Document) -> list[Opened]:
    messages = document.get("msg")
    if isinstance(messages, str):
        messages = _json(messages.encode())
    found = []
    for message in messages if isinstance(messages, list) else [messages]:
        if not isinstance(message, dict):
            raise Reject(
                "bad_frame", "onenet: no object 'msg'" + (": encrypted push is not spoken" if "enc_msg" in document else "")
            )
        parts = _parts(message, {"dev_id": "device", "at": "time", "imei": "imei", "ds_id": "stream", "type": "type"})
        if message.get("type") == 1:
            stream = message.get("ds_id")
            numbered = parts | {"stream_number": _number(stream)}
            found.append(Opened("data_point", numbered, {str(stream): message.get("value")} if stream is not None else message))
        else:
            name = {2: "online_state", 7: "command_result"}.get(_code(message.get("type")), "unknown")
            found.append(Opened(name, {**message, **parts}, None))
    return found


def _telecom(document: Document) -> list[Opened]:
    services = document.get("services", document.get("service"))
    name = str(document.get("notifyType", "unknown"))
    device = _parts(document, {"deviceId": "device", "gatewayId": "gateway"})
    if services is None:
        return [Opened(name, {**{k: v for k, v in document.items() if k != "name"}, **device}, None)]
    found = []
    for service in services if isinstance(services, list) else [services]:
        if not isinstance(service, dict):
            raise Reject("bad_frame", "telecom: 'service' is no object")
        parts = _parts(service, {"serviceId": "service", "serviceType": "service_type", "eventTime": "time"})
        numbered = {**device, **parts, "service_number": _number(service.get("serviceId"))}
        found.append(Opened(name, numbered, _unpacked(service.get("data"))))
    return found


def _aep(document: Document) -> list[Opened]:
    names = {"deviceId": "device", "IMEI": "imei", "timestamp": "time", "productId": "product", "upPacketSN": "count"}
    parts = _parts(document, {**names, "serviceId": "service"})
    name = str(document.get("messageType", "unknown"))
    payload = document.get("payload", document.get("eventContent"))
    if payload is None:
        return [Opened(name, {**{k: v for k, v in document.items() if k != "name"}, **parts}, None)]
    if isinstance(payload, dict) and isinstance(payload.get("APPdata"), str):
        payload = _unpacked(_base64(payload["APPdata"], "aep: payload.APPdata"))
    return [Opened(name, parts, payload)]


def _chirpstack(document: Document) -> list[Opened]:
    about = document.get("deviceInfo")
    if not isinstance(about, dict):
        raise Reject("missing_field", "chirpstack_v4: no object 'deviceInfo'")
    named = {"devEui": "device", "deviceName": "device_name", "deviceProfileName": "profile", "applicationName": "application"}
    parts = _parts(about, named) | _parts(document, {"time": "time", "fCnt": "count", "fPort": "port", "devAddr": "address"})
    if "object" in document or "data" in document:
        return [Opened("up", parts, _decoded(document, "object", "data", "chirpstack_v4"))]
    return [Opened("join" if "devAddr" in document else "event", parts, None)]


def _ttn(document: Document) -> list[Opened]:
    about = document.get("end_device_ids")
    if not isinstance(about, dict):
        raise Reject("missing_field", "ttn_v3: no object 'end_device_ids'")
    parts = _parts(about, {"device_id": "device", "dev_eui": "dev_eui", "dev_addr": "address"})
    if isinstance(about.get("application_ids"), dict):
        parts |= _parts(about["application_ids"], {"application_id": "application"})
    parts |= _parts(document, {"received_at": "time"})
    up = document.get("uplink_message")
    if not isinstance(up, dict):
        name = next((key.removesuffix("_message") for key in document if key.endswith(("_message", "_accept"))), "event")
        return [Opened(name, parts, None)]
    parts |= _parts(up, {"received_at": "time", "f_cnt": "count", "f_port": "port"})
    return [Opened("uplink", parts, _decoded(up, "decoded_payload", "frm_payload", "ttn_v3"))]


OPENERS: Final[Mapping[str, Callable[[Document], list[Opened]]]] = {
    "onenet": _onenet,
    "telecom": _telecom,
    "aep": _aep,
    "chirpstack_v4": _chirpstack,
    "ttn_v3": _ttn,
}


def _parts(source: Document, names: Mapping[str, str]) -> dict[str, Any]:
    """Give the values that are there under the names of parts."""
    return {name: source[key] for key, name in names.items() if source.get(key) is not None}


def _number(name: Any) -> int:
    """Give a number of a stream or service, to tell apart messages of one device and time."""
    return binascii.crc32(str(name).encode("utf-8", "replace"))


def _code(value: Any) -> int:
    return value if isinstance(value, int) else -1


def _decoded(document: Document, readable: str, packed: str, form: str) -> Any:
    """Give the fields the server's codec made, else what the device sent: JSON, or bytes."""
    if isinstance(document.get(readable), dict):
        return document[readable]
    return _unpacked(_base64(str(document.get(packed) or ""), f"{form}: {packed}"))


def _unpacked(content: Any) -> Any:
    """Give the JSON that bytes or a text hold, else what they are."""
    if not isinstance(content, bytes | str):
        return content
    raw = content.encode() if isinstance(content, str) else content
    try:
        return msgspec.json.decode(raw) if raw.lstrip()[:1] in (b"{", b"[") else content
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return content


def _json(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Reject("bad_frame", f"onenet: 'msg' is a text that is no JSON: {error}") from error


def _base64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Reject("bad_field", f"{where}: no base64") from error


def _close_onenet(payload: Any, parts: dict[str, Any], ts: int) -> Document:
    """One message a stream, as a list where there are several."""
    head = {"type": 1, "dev_id": parts.get("device"), "at": ts // 1000} | ({"imei": parts["imei"]} if "imei" in parts else {})
    streams = payload.items() if isinstance(payload, dict) else [("value", payload)]
    messages = [{**head, "ds_id": stream, "value": value} for stream, value in streams]
    return {"msg": messages[0] if len(messages) == 1 else messages, "msg_signature": "", "nonce": "00000000"}


def _close_telecom(payload: Any, parts: dict[str, Any], ts: int) -> Document:
    time = str(write(ts, "compact", "UTC"))
    service = {"serviceId": parts.get("service", "report"), "serviceType": parts.get("service_type", "report"), "data": payload}
    device = parts.get("device")
    head = {"notifyType": "deviceDataChanged", "deviceId": device, "gatewayId": parts.get("gateway", device)}
    return {**head, "service": {**service, "eventTime": f"{time[:8]}T{time[8:]}Z"}}


def _close_aep(payload: Any, parts: dict[str, Any], ts: int) -> Document:
    packed = base64.b64encode(msgspec.json.encode(payload)).decode()
    head = {"messageType": "dataReport", "deviceId": parts.get("device"), "productId": parts.get("product", "1")}
    return {**head, "IMEI": parts.get("imei", ""), "timestamp": ts // 1000, "payload": {"APPdata": packed}}


def _close_chirpstack(payload: Any, parts: dict[str, Any], ts: int) -> Document:
    about = {"applicationName": parts.get("application", "city"), "deviceProfileName": parts.get("profile", "sensor")}
    about |= {"deviceName": parts.get("device_name", parts.get("device")), "devEui": parts.get("device")}
    counts = {"fCnt": parts.get("count", 0), "fPort": parts.get("port", 1)}
    return {"time": write(ts, "iso", "UTC"), "deviceInfo": about, **counts, "data": "", "object": payload}


def _close_ttn(payload: Any, parts: dict[str, Any], ts: int) -> Document:
    time = write(ts, "iso", "UTC")
    about = {"device_id": parts.get("device"), "application_ids": {"application_id": parts.get("application", "city")}}
    counts = {"f_cnt": parts.get("count", 0), "f_port": parts.get("port", 1)}
    up = {**counts, "frm_payload": "", "decoded_payload": payload, "received_at": time}
    return {"end_device_ids": about, "received_at": time, "uplink_message": up}


CLOSERS: Final[Mapping[str, Callable[[Any, dict[str, Any], int], Document]]] = {
    "onenet": _close_onenet,
    "telecom": _close_telecom,
    "aep": _close_aep,
    "chirpstack_v4": _close_chirpstack,
    "ttn_v3": _close_ttn,
}
