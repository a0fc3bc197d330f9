"""Reports of ride-hailing companies: one record or a list a POST, each answered for itself."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from connectors._api import rules
from connectors._api.manifest import Settings
from connectors._api.paths import document
from connectors._api.session import Peer, Received, Reply
from connectors.ridehailing import personal
from schemas.errors import REASONS, Fatal, Reject
from schemas.reading import Reading

HERE: Final = Path(__file__).resolve().parent
TYPE_KEYS: Final = ("IPCType", "ipcType", "Type", "type")
SYSTEMS: Final = {1: "gcj02", 2: "wgs84", 3: "bd09", 4: "cgcs2000", 0: "other"}
"""Coordinate system by the field Encrypt."""
COORDINATES: Final = ("Longitude", "Latitude", "DepLongitude", "DepLatitude", "DestLongitude", "DestLatitude")
CANCELLED: Final = {
    "1": "passenger, in advance",
    "2": "driver, in advance",
    "3": "platform",
    "4": "passenger, in breach",
    "5": "driver, in breach",
}
"""CancelTypeCode of orderCancel."""
MOST: Final = 20_000
"""Records one POST may bring."""
REASON: Final = 256


class Type(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A type of the platform: the kinds it gives, the event it tells, a field only it has."""

    kinds: list[str] = []
    event: str = ""
    mark: str = ""


class Session:
    """Decodes POSTs of any type; the type is the end of the path, a field of the document, or told by the record."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._key = str(settings["hash_key"])
        self._encrypt = int(settings["encrypt_default"])
        self._companies = frozenset(map(str, settings["companies"]))
        self._fields = rules.read(HERE / "mapping.toml", str(settings["zone"]))

    def start(self, now: int) -> Received:
        """Give nothing: companies push."""
        return Received()

    def tick(self, now: int) -> Received:
        """Give nothing: no record waits for another."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode a POST; what is no JSON is refused whole, anything else is answered with a list of codes."""
        try:
            body = document(packet)
        except Reject as error:
            raise Reject(error.reason, error.detail, personal.masked_bytes(packet)) from None
        records, named = _records(body, type_of(origin))
        if len(records) > MOST:
            raise Reject("too_large", f"{len(records)} records; send at most {MOST} a POST", personal.masked_bytes(packet[:4096]))
        messages, readings, rejects, answers = [], [], [], []
        for index, record in enumerate(records):
            clean = personal.cleaned(record, self._key)
            name = named or _by_mark(record)
            messages.append(_message(name, clean))
            try:
                readings += self._readings(name, record, personal.driver(clean), seen_at)
                answers.append(_answer(index, 0, "成功 / ok" if name else "类型未知，未入库 / unknown type, nothing taken"))
            except Reject as error:
                rejects.append(Reject(error.reason, f"record {index}: {error.detail}", msgspec.json.encode(clean)))
                answers.append(_answer(index, 1, f"{REASONS[error.reason][0]} / {error.reason}: {error.detail}"))
        message = messages[0] if len(messages) == 1 else {"name": named or "batch", "records": messages}
        reply = Reply(msgspec.json.encode(answers), "durable" if readings else "now")
        return Received(message=message, readings=readings, replies=(reply,), rejects=rejects)

    def _readings(self, name: str, record: Any, driver: str | None, seen_at: int) -> list[Reading]:
        if not isinstance(record, dict):
            raise Reject("bad_frame", "a record is no JSON object")
        company = record.get("CompanyId")
        if self._companies and str(company) not in self._companies:
            raise Reject("unregistered", f"CompanyId {str(company)[:40]!r} is not among the companies that may report")
        declared = types().get(name)
        if declared is None or not declared.kinds:
            return []
        crs = self._crs(record)
        parts = {"driver": driver, "event": declared.event, "reason": _reason(record)}
        made = []
        for kind in declared.kinds:
            fields = self._fields[kind]
            made.append(fields.reading(fields.values(record, parts), seen_at, crs))
        return made

    def _crs(self, record: dict[str, Any]) -> str:
        for key in COORDINATES:
            value = record.get(key)
            if (isinstance(value, float) and not value.is_integer()) or (isinstance(value, str) and "." in value):
                raise Reject("bad_field", f"{key}: {value!r} is no whole number of millionths of a degree")
        code = record.get("Encrypt")
        if code is None or code == "":
            return SYSTEMS[self._encrypt]
        system = SYSTEMS.get(int(code) if str(code).isdecimal() and len(str(code)) == 1 else -1)
        if system is None:
            raise Reject("bad_field", f"Encrypt: {str(code)[:40]!r} is none of 0 to 4")
        return system


@cache
def types() -> dict[str, Type]:
    """Give the types of the platform by name."""
    path = HERE / "types.toml"
    try:
        return msgspec.toml.decode(path.read_bytes(), type=dict[str, Type])
    except (msgspec.MsgspecError, OSError) as error:
        msg = f"{path}: {error}"
        raise Fatal(msg) from error


@cache
def _spellings() -> dict[str, str]:
    return {name.lower(): name for name in types()}


def type_of(origin: str) -> str:
    """Name the type an address ends in: ``/position/vehicle``, ``/positionVehicle``, ``/position_vehicle``; else nothing."""
    address = origin.rsplit(" ", 1)[-1].split("?", 1)[0].removesuffix(".json")
    segments = [s.replace("_", "").replace("-", "").lower() for s in address.split("/") if s][-2:]
    known = _spellings()
    return known.get(segments[-1] if segments else "") or known.get("".join(segments), "")


def _records(body: Any, named: str) -> tuple[list[Any], str]:
    """Give the records of a document and the type that it or its address names, the document's first."""
    if isinstance(body, list):
        return body, named
    if not isinstance(body, dict):
        return [body], named
    given = next((body[key] for key in TYPE_KEYS if isinstance(body.get(key), str)), "")
    named = _spellings().get(given.lower(), "") or named
    lists = [
        key for key, value in body.items() if isinstance(value, list | dict) and (key == named or key in ("data", "records"))
    ]
    if len(lists) != 1:
        return [body], named
    inner = body[lists[0]]
    shared = {"CompanyId": body["CompanyId"]} if "CompanyId" in body else {}
    rows = inner if isinstance(inner, list) else [inner]
    return [{**shared, **row} if isinstance(row, dict) else row for row in rows], named


def _by_mark(record: Any) -> str:
    if not isinstance(record, dict):
        return ""
    return next((name for name, declared in types().items() if declared.mark and record.get(declared.mark)), "")


def _message(name: str, clean: Any) -> dict[str, Any]:
    fields = personal.snake(clean) if isinstance(clean, dict) else {"value": clean}
    return {"name": name or "unknown", **{key: value for key, value in fields.items() if key != "name"}}


def _answer(index: int, code: int, message: str) -> dict[str, Any]:
    return {"index": index, "code": code, "message": message}


def _reason(record: dict[str, Any]) -> str | None:
    reason = record.get("CancelReason")
    if isinstance(reason, str) and reason.strip():
        return personal.masked(reason)[:REASON]
    return CANCELLED.get(str(record.get("CancelTypeCode")))
