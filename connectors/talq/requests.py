"""Requests of the CMS API: method and path to an operation, query parameters checked, refusals as the API says them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

import msgspec

from connectors._api.paths import document
from schemas.errors import Reject

OPERATIONS: Final[dict[str, tuple[str, int]]] = msgspec.toml.decode(
    (Path(__file__).parent / "operations.toml").read_bytes(), type=dict[str, tuple[str, int]]
)
"""Name and status of success by method and path."""
RESOURCES: Final = {pattern.split("/")[1] for pattern in OPERATIONS} | {"logger-configs"}
WHOLE: Final = {"request", "body"}
"""Keys of a packet that brings its request line along, for decoding without a server."""
WRITES: Final = ("POST", "PUT", "PATCH", "DELETE")
PARAMETERS: Final = 50


class Refusal(Exception):  # noqa: N818 - a verdict on a request
    """A request that is refused: status and error key of the API, and our reason."""

    def __init__(self, status: int, key: str, description: str, reason: str = "bad_field") -> None:
        super().__init__(description)
        self.status, self.key, self.description, self.reason = status, key, description, reason


class Request(msgspec.Struct, frozen=True):
    """One request: the operation, the parts of its path, its parameters and body."""

    operation: str
    status: int
    parts: list[str]
    parameters: dict[str, str]
    body: Any


def read(packet: bytes, origin: str) -> Request:
    """Read a request ``METHOD /path?query``; without one the body tells: a list is of devices, anything else a log report.

    Before the resource the path may have any prefix, such as /v2. Raises ``Refusal``.
    """
    method, _, address = origin.partition(" ")
    if address.startswith("/"):
        return _requested(method, address, _body(packet) if method in WRITES[:3] else None)
    body = _body(packet)
    if isinstance(body, dict) and body.keys() == WHOLE:
        method, _, address = str(body["request"]).partition(" ")
        return _requested(method, address, body["body"])
    operation, status = OPERATIONS["POST /devices" if isinstance(body, list) else "POST /log-reports"]
    return Request(operation, status, [], {}, body)


def _requested(method: str, address: str, body: Any) -> Request:
    try:
        split = urlsplit(address)
        query = parse_qs(split.query, keep_blank_values=True, max_num_fields=PARAMETERS)
    except ValueError as error:
        raise Refusal(400, "parameterValueNotValid", f"the address cannot be read: {error}", "bad_frame") from error
    parameters = {name: values[0] for name, values in query.items()}
    operation, status, parts = _operation(method, split.path)
    _check(method, parameters)
    return Request(operation, status, parts, parameters, body)


def _operation(method: str, path: str) -> tuple[str, int, list[str]]:
    """Find the operation of a path; the types of assets are known, and not kept here."""
    parts = [unquote(part) for part in path.split("/") if part]
    start = next((n for n, part in enumerate(parts) if part in RESOURCES or part.endswith("-types")), None)
    if start is None:
        raise Refusal(404, "resourceNotFound", f"{path[:200]}: no such resource")
    resource, own = parts[start], parts[start + 1 :]
    if resource.endswith("-types"):
        return _types(method, resource, own)
    found = OPERATIONS.get(f"{method} /{'/'.join([resource, *('{}' for _ in own)])}")
    if found is None:
        raise Refusal(404, "resourceNotFound", f"{method} {path[:200]}: there is none here")
    return *found, own


def _types(method: str, resource: str, own: list[str]) -> tuple[str, int, list[str]]:
    if method == "GET" and own in ([], ["count"]):
        return ("getTypesCount" if own else "getTypes"), 200, [resource]
    if method == "GET":
        raise Refusal(404, "resourceNotFound", f"no {resource} are kept here")
    raise Refusal(422, "genericError", f"no {resource} are kept here", "unsupported")


def _check(method: str, parameters: dict[str, str]) -> None:
    """Demand the parameters that the API requires of every request."""
    for name in ("clientAddress", "talqRequestId")[: 1 + (method in WRITES)]:
        if name not in parameters:
            raise Refusal(400, "parameterMissing", f"{name} is missing", "missing_field")
        try:
            UUID(parameters[name])
        except ValueError:
            detail = f"{name} {parameters[name][:60]!r} is no UUID"
            raise Refusal(400, "parameterValueNotValid", detail) from None


def _body(packet: bytes) -> Any:
    try:
        return document(packet)
    except Reject as reject:
        raise Refusal(400, "payloadError", reject.detail, reject.reason) from reject


def refused(key: str, description: str) -> bytes:
    """Give the body of a refusal: a list of one error message."""
    return msgspec.json.encode([{"key": key, "description": description}])
