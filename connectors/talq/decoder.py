"""The central management software's side of TALQ: takes what gateways send, and answers as the CMS API says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from connectors._api import Peer, Received, Reply, Settings
from connectors.talq import requests
from connectors.talq.logs import MOST_ENTRIES, Logs
from connectors.talq.register import Register, merged
from connectors.talq.requests import Refusal, Request
from schemas.errors import Reject
from schemas.reading import Reading

NOTHING: Final = b""
EMPTY: Final = b"[]"


class Answer(msgspec.Struct, frozen=True):
    """The body of a success, and what came of the request."""

    body: bytes = NOTHING
    readings: list[Reading] = []
    rejects: list[Reject] = []


class Session:
    """All gateways of one instance; devices and standing faults are remembered as long as it lives."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._gateways = {str(address).lower() for address in settings["gateways"]}
        self._register = Register()
        self._logs = Logs(self._register, by_function=settings["source"] == "function")
        self._by_operation: dict[str, Callable[[Request, int], Answer]] = {
            "sendLogReport": self._log_report,
            "announceServices": self._services,
            "addDeviceClasses": self._classes,
            "updateDeviceClasses": self._classes,
            "updateDeviceClass": self._class,
            "deleteDeviceClass": self._drop_class,
            "addDevices": self._add_devices,
            "updateDevices": self._update_devices,
            "partialUpdateDevices": self._patch_devices,
            "updateDevice": self._update_device,
            "partialUpdateDevice": self._patch_device,
            "deleteDevice": self._drop_device,
            "getDevices": self._get_devices,
            "getDevice": self._get_part,
            "getDeviceFunction": self._get_part,
            "getDeviceAttribute": self._get_part,
            "getGroups": lambda request, now: Answer(EMPTY),
            "getDataPackages": lambda request, now: Answer(EMPTY),
            "getTypes": lambda request, now: Answer(EMPTY),
            "getTypesCount": lambda request, now: Answer(b"0"),
        }

    def start(self, now: int) -> Received:
        """Give nothing: gateways push."""
        return Received()

    def tick(self, now: int) -> Received:
        """Give nothing: no request waits for another."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode a request that came as ``METHOD /path?query``, or ``{"request": ..., "body": ...}``, and answer it."""
        message: dict[str, Any] | None = None
        try:
            request = requests.read(packet, origin)
            message = _message(request)
            self._admit(request)
            answer = self._by_operation[request.operation](request, seen_at)
        except Refusal as refusal:
            body = requests.refused(refusal.key, refusal.description)
            reject = Reject(refusal.reason, refusal.description, packet)
            return Received(message=message, rejects=[reject], replies=[Reply(body, status=refusal.status)])
        return Received(
            message=message,
            readings=answer.readings,
            rejects=answer.rejects,
            replies=[Reply(answer.body, status=request.status)],
        )

    def _admit(self, request: Request) -> None:
        address = request.parameters.get("clientAddress", "")
        if self._gateways and address and address.lower() not in self._gateways:
            raise Refusal(400, "parameterValueNotValid", f"clientAddress {address} is no gateway of ours", "unregistered")

    def _log_report(self, request: Request, now: int) -> Answer:
        """Take a report; it is refused as a whole only where nothing in it can be used."""
        report = request.body
        entries = report.get("entries", []) if isinstance(report, dict) else None
        if not isinstance(entries, list):
            raise Refusal(400, "payloadError", "a log report is an object whose entries are a list", "bad_frame")
        if len(entries) > MOST_ENTRIES:
            raise Refusal(422, "serviceConstraintExceeded", f"{len(entries)} entries; the limit is {MOST_ENTRIES}", "too_large")
        readings, rejects = self._logs.readings(entries, now)
        if rejects and len(rejects) >= len(entries):
            raise Refusal(422, "payloadError", rejects[0].detail, rejects[0].reason)
        return Answer(readings=readings, rejects=rejects)

    def _services(self, request: Request, now: int) -> Answer:
        for service in _objects(request.body, "services"):
            _text(service, "name", "service")
        return Answer()

    def _classes(self, request: Request, now: int) -> Answer:
        classes = _objects(request.body, "device classes")
        for one in classes:
            name = _text(one, "name", "device class")
            if request.operation == "updateDeviceClasses" and self._register.class_document(name) is None:
                raise Refusal(404, "resourceNotFound", f"device class {name!r} was not announced")
        for one in classes:
            self._register.put_class(one)
        return Answer(msgspec.json.encode(classes))

    def _class(self, request: Request, now: int) -> Answer:
        (name,) = request.parts
        (one,) = _objects([request.body], "device classes")
        self._register.put_class({**one, "name": name})
        return Answer(msgspec.json.encode({**one, "name": name}))

    def _drop_class(self, request: Request, now: int) -> Answer:
        found = self._register.drop_class(request.parts[0])
        if found is None:
            raise Refusal(404, "resourceNotFound", f"device class {request.parts[0]!r} is not known")
        return Answer(found)

    def _add_devices(self, request: Request, now: int) -> Answer:
        """Add devices; one that is known as it is given was sent again, one that differs is a conflict."""
        devices = [_device(one) for one in _objects(request.body, "devices")]
        for one in devices:
            known = self._register.device(one["address"])
            if known is not None and known.document != msgspec.json.encode(one):
                raise Refusal(409, "resourceConflict", f"device {one['address']} is known otherwise; update it with PUT")
        return self._keep(devices, now, msgspec.json.encode(devices))

    def _update_devices(self, request: Request, now: int) -> Answer:
        devices = [_device(one) for one in _objects(request.body, "devices")]
        for one in devices:
            self._document(one["address"])
        return self._keep(devices, now, msgspec.json.encode(devices))

    def _update_device(self, request: Request, now: int) -> Answer:
        (one,) = _objects([request.body], "devices")
        device = _device({**one, "address": request.parts[0]})
        self._document(device["address"])
        return self._keep([device], now, msgspec.json.encode(device))

    def _patch_devices(self, request: Request, now: int) -> Answer:
        changes = _objects(request.body, "devices")
        return self._keep([self._changed(_text(one, "address", "device"), one) for one in changes], now, NOTHING)

    def _patch_device(self, request: Request, now: int) -> Answer:
        (one,) = _objects([request.body], "devices")
        return self._keep([self._changed(request.parts[0], one)], now, NOTHING)

    def _changed(self, address: str, changes: dict[str, Any]) -> dict[str, Any]:
        return _device(merged(self._document(address), {**changes, "address": address}))

    def _keep(self, devices: list[dict[str, Any]], now: int, body: bytes) -> Answer:
        readings: list[Reading] = []
        rejects: list[Reject] = []
        for device in devices:
            made, unread = self._logs.of_device(device, self._register.put_device(device), now)
            readings += made
            rejects += unread
        return Answer(body, readings, rejects)

    def _drop_device(self, request: Request, now: int) -> Answer:
        self._document(request.parts[0])
        known = self._register.drop_device(request.parts[0])
        return Answer(known.document if known is not None else NOTHING)

    def _get_devices(self, request: Request, now: int) -> Answer:
        wanted = [name for name in request.parameters.get("deviceClasses", "").split(",") if name]
        found = self._register.documents(wanted)
        try:
            offset = max(int(request.parameters.get("offset", 0)), 0)
            limit = max(int(request.parameters.get("limit", len(found))), 0)
        except ValueError as error:
            raise Refusal(400, "parameterValueNotValid", f"offset or limit is no number: {error}") from error
        return Answer(b"[" + b",".join(found[offset : offset + limit]) + b"]")

    def _get_part(self, request: Request, now: int) -> Answer:
        """Give a device, one of its functions, or one attribute of that."""
        address, *inner = request.parts
        part: Any = self._document(address)
        if inner:
            part = next((f for f in part.get("functions") or [] if isinstance(f, dict) and f.get("id") == inner[0]), None)
        if part is not None and len(inner) > 1:
            part = part.get(inner[1])
        if part is None:
            raise Refusal(404, "resourceNotFound", f"device {address} has no {'/'.join(inner)[:100]}")
        return Answer(msgspec.json.encode(part))

    def _document(self, address: str) -> Any:
        known = self._register.device(address)
        if known is None:
            raise Refusal(404, "resourceNotFound", f"device {address[:100]} is not known; add it with POST")
        return msgspec.json.decode(known.document)


def _message(request: Request) -> dict[str, Any]:
    """Give a request in the API's names."""
    found: dict[str, Any] = {"name": request.operation}
    if request.parameters:
        found["parameters"] = request.parameters
    if request.parts:
        found["path"] = request.parts
    if request.body is not None:
        found["body"] = request.body
    return found


def _objects(body: Any, what: str) -> list[dict[str, Any]]:
    if not isinstance(body, list) or not all(isinstance(one, dict) for one in body):
        raise Refusal(400, "payloadError", f"the body is no list of {what}", "bad_frame")
    return body


def _text(one: dict[str, Any], field: str, what: str) -> str:
    value = one.get(field)
    if not isinstance(value, str) or not value:
        raise Refusal(400, "payloadError", f"a {what} without {field}", "missing_field")
    return value


def _device(one: dict[str, Any]) -> dict[str, Any]:
    for field in ("address", "name", "class"):
        _text(one, field, "device")
    functions = one.get("functions", [])
    if not isinstance(functions, list):
        raise Refusal(400, "payloadError", f"functions of device {one['address']} are no list")
    return one
