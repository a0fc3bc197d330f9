"""The services of DL/T 698.45 (clause 7): what each APDU carries, as fields; values scaled by the object they belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from connectors.dlt698 import objects
from connectors.dlt698.axdr import Cursor, data, date_time, date_time_s, oad, rcsd, rsd, ti, tsa
from schemas.errors import Reject

Field = tuple[str, Callable[[Cursor], Any]]
LINK_TYPES: Final = ("login", "heartbeat", "logout")
LINK_RESULTS: Final = ("成功", "地址重复", "非法设备", "容量不足")
CONNECT_RESULTS: Final = {
    0: "允许建立应用连接",
    1: "密码错误",
    2: "对称解密错误",
    3: "非对称解密错误",
    4: "签名错误",
    5: "协议版本不匹配",
    255: "其他错误",
}
CLOCK_TRUSTED: Final = 0x80
"""Bit of a LINK-Response's result: the platform's clock can be trusted."""


class Service(NamedTuple):
    """One service: its name, the fields behind the tag, and what may follow them."""

    name: str
    fields: tuple[Field, ...]
    follow_report: bool = False
    time_tag: bool = True


def result(cursor: Cursor) -> dict[str, Any]:
    """Give an A-ResultNormal: an OAD with its value, or why there is none."""
    which = oad(cursor)
    return named(which) | _choice(cursor, lambda c: valued(which, data(c)))


def named(which: str) -> dict[str, Any]:
    """Give an OAD with its name."""
    return {"oad": which, "oad_name": objects.attribute(which).zh}


def valued(which: str, raw: Any) -> dict[str, Any]:
    """Give a value as sent, and scaled with its unit where the object's table has them."""
    attribute = objects.attribute(which)
    if attribute.divisor == 1:
        return {"value": raw, "unit": attribute.unit} if attribute.unit else {"value": raw}
    return {"value": objects.scaled(raw, attribute.divisor), "unit": attribute.unit, "data": raw}


def _choice(cursor: Cursor, good: Callable[[Cursor], dict[str, Any]]) -> dict[str, Any]:
    """Give the DAR of choice 0, or what choice 1 holds."""
    choice = cursor.u8()
    if choice == 1:
        return good(cursor)
    if choice:
        raise Reject("bad_field", f"result has the choice {choice}, not DAR or data")
    return _dar(cursor)


def _dar(cursor: Cursor) -> dict[str, Any]:
    code = cursor.u8()
    return {"dar": code, "dar_name": objects.result_name(code)}


def record(cursor: Cursor) -> dict[str, Any]:
    """Give an A-ResultRecord: its columns and rows; a row holds a result for each column."""
    which, columns = oad(cursor), rcsd(cursor)
    head = {**named(which), "columns": columns}
    return head | _choice(cursor, lambda c: {"rows": _rows(c, columns)})


def _rows(cursor: Cursor, columns: list[Any]) -> list[list[dict[str, Any]]]:
    if not columns and cursor.left and cursor.raw[cursor.at]:
        raise Reject("bad_field", "a record has rows but no columns")
    return cursor.many(lambda c: [_cell(c, column) for column in columns])


def _cell(cursor: Cursor, column: Any) -> dict[str, Any]:
    if isinstance(column, str):
        return named(column) | valued(column, data(cursor))
    return {"road": column, "value": data(cursor)}


def _pair(first: Field, *others: Field) -> Callable[[Cursor], dict[str, Any]]:
    return lambda cursor: {name: read(cursor) for name, read in (first, *others)}


def _many(one: Callable[[Cursor], Any]) -> Callable[[Cursor], list[Any]]:
    return lambda cursor: cursor.many(one)


def _action_result(cursor: Cursor) -> dict[str, Any]:
    """OMD, DAR, and data where the method gives any."""
    found = {"omd": oad(cursor), **_dar(cursor)}
    return found | ({"value": data(cursor)} if cursor.u8() else {})


def _set_result(cursor: Cursor) -> dict[str, Any]:
    return {**named(oad(cursor)), **_dar(cursor)}


def _setting(cursor: Cursor) -> dict[str, Any]:
    which = oad(cursor)
    return named(which) | valued(which, data(cursor))


def _octets(cursor: Cursor) -> bytes:
    return cursor.octets()


def _optional(one: Callable[[Cursor], Any]) -> Callable[[Cursor], Any]:
    return lambda cursor: one(cursor) if cursor.u8() else None


def _page(cursor: Cursor) -> list[dict[str, Any]]:
    """The part of a long answer in one block."""
    choice = cursor.u8()
    if choice not in (0, 1, 2):
        raise Reject("bad_field", f"block has the choice {choice}")
    return [_dar(cursor)] if choice == 0 else cursor.many(result if choice == 1 else record)


def _octets_or_dar(cursor: Cursor) -> Any:
    return _choice(cursor, lambda c: {"data": c.octets()})


def _mechanism(cursor: Cursor) -> dict[str, Any]:
    """How a client proves itself; passwords and keys are not shown."""
    kind = cursor.u8()
    for _ in range((0, 1, 2, 2)[kind] if kind < 4 else 0):
        cursor.octets()
    names = ("null", "password", "symmetric", "signature")
    return {"mechanism": names[kind] if kind < 4 else kind}


def _factory(cursor: Cursor) -> dict[str, str]:
    widths = {"manufacturer": 4, "software": 4, "software_date": 6, "hardware": 4, "hardware_date": 6, "extension": 8}
    return {name: cursor.take(width).decode("ascii", "backslashreplace").strip("\x00 ") for name, width in widths.items()}


def _connect_result(cursor: Cursor) -> dict[str, Any]:
    code = cursor.u8()
    proof = {"random": cursor.octets(), "signature": cursor.octets()} if cursor.u8() else {}
    return {"code": code, "name": CONNECT_RESULTS.get(code, ""), **proof}


def _bits(count: int) -> Callable[[Cursor], bytes]:
    return lambda cursor: cursor.take(count)


def _proxied(one: Callable[[Cursor], Any]) -> Callable[[Cursor], list[Any]]:
    return _many(_pair(("tsa", tsa), ("results", _many(one))))


def _asked(one: Callable[[Cursor], Any]) -> Callable[[Cursor], list[Any]]:
    return _many(_pair(("tsa", tsa), ("timeout_s", Cursor.u16), ("items", _many(one))))


def _acted(cursor: Cursor) -> dict[str, Any]:
    return {"omd": oad(cursor), "value": data(cursor)}


def _then(first: Callable[[Cursor], dict[str, Any]], delayed: bool = True) -> Callable[[Cursor], dict[str, Any]]:
    def read(cursor: Cursor) -> dict[str, Any]:
        found = {**first(cursor), "then_get": oad(cursor)}
        return {**found, "delay_s": cursor.u8()} if delayed else found

    return read


def _and_result(first: Callable[[Cursor], dict[str, Any]]) -> Callable[[Cursor], dict[str, Any]]:
    return lambda cursor: {**first(cursor), "then_get": result(cursor)}


PIID: Final[Field] = ("piid", Cursor.u8)
ACD: Final[Field] = ("piid_acd", Cursor.u8)
TIMEOUT: Final[Field] = ("timeout_s", Cursor.u16)
BYTE_TIMEOUT: Final[Field] = ("byte_timeout_ms", Cursor.u16)
RESULTS: Final[Field] = ("results", _many(result))
RECORD_REQUEST: Final = _pair(("oad", oad), ("rsd", rsd), ("columns", rcsd))
LIMITS: Final[tuple[Field, ...]] = (
    ("version", Cursor.u16),
    ("protocol_conformance", _bits(8)),
    ("function_conformance", _bits(16)),
    ("send_max", Cursor.u16),
    ("receive_max", Cursor.u16),
    ("receive_window", Cursor.u8),
    ("apdu_max", Cursor.u16),
    ("timeout_s", Cursor.u32),
)
LINK_REQUEST: Final[tuple[Field, ...]] = (ACD, ("type", Cursor.u8), ("heartbeat_s", Cursor.u16), ("time", date_time))
LINK_TIMES: Final[tuple[Field, ...]] = (
    ("request_time", date_time),
    ("received_time", date_time),
    ("response_time", date_time),
)
SINGLE: Final[Mapping[int, Service]] = {
    0x01: Service("link_request", LINK_REQUEST, time_tag=False),
    0x81: Service("link_response", (PIID, ("result", Cursor.u8), *LINK_TIMES), time_tag=False),
    0x02: Service("connect_request", (PIID, *LIMITS, ("security", _mechanism))),
    0x82: Service("connect_response", (ACD, ("factory", _factory), *LIMITS, ("result", _connect_result)), follow_report=True),
    0x03: Service("release_request", (PIID,)),
    0x83: Service("release_response", (ACD, ("result", Cursor.u8)), follow_report=True),
    0x84: Service("release_notification", (ACD, ("connected_at", date_time_s), ("now", date_time_s)), follow_report=True),
    0x6E: Service("error_response", (PIID, ("error", Cursor.u8))),
    0xEE: Service("error_response", (ACD, ("error", Cursor.u8)), follow_report=True),
}
"""Services told by their tag alone."""
CHOICES: Final[Mapping[int, tuple[str, bool, Mapping[int, tuple[str, tuple[Field, ...]]]]]] = {
    0x05: ("get_request", False, {
        1: ("normal", (PIID, ("oad", oad))),
        2: ("normal_list", (PIID, ("oads", _many(oad)))),
        3: ("record", (PIID, ("record", RECORD_REQUEST))),
        4: ("record_list", (PIID, ("records", _many(RECORD_REQUEST)))),
        5: ("next", (PIID, ("block", Cursor.u16))),
        6: ("md5", (PIID, ("oad", oad))),
    }),
    0x85: ("get_response", True, {
        1: ("normal", (ACD, ("result", result))),
        2: ("normal_list", (ACD, RESULTS)),
        3: ("record", (ACD, ("record", record))),
        4: ("record_list", (ACD, ("records", _many(record)))),
        5: ("next", (ACD, ("last", lambda c: c.u8() != 0), ("block", Cursor.u16), ("results", _page))),
        6: ("md5", (ACD, ("oad", oad), ("md5", _octets_or_dar))),
    }),
    0x06: ("set_request", False, {
        1: ("normal", (PIID, ("set", _setting))),
        2: ("normal_list", (PIID, ("sets", _many(_setting)))),
        3: ("then_get_normal_list", (PIID, ("sets", _many(_then(_setting))))),
    }),
    0x86: ("set_response", True, {
        1: ("normal", (ACD, ("result", _set_result))),
        2: ("normal_list", (ACD, ("results", _many(_set_result)))),
        3: ("then_get_normal_list", (ACD, ("results", _many(_and_result(_set_result))))),
    }),
    0x07: ("action_request", False, {
        1: ("normal", (PIID, ("action", _acted))),
        2: ("normal_list", (PIID, ("actions", _many(_acted)))),
        3: ("then_get_normal_list", (PIID, ("actions", _many(_then(_acted))))),
    }),
    0x87: ("action_response", True, {
        1: ("normal", (ACD, ("result", _action_result))),
        2: ("normal_list", (ACD, ("results", _many(_action_result)))),
        3: ("then_get_normal_list", (ACD, ("results", _many(_and_result(_action_result))))),
    }),
    0x08: ("report_response", False, {
        1: ("list", (PIID, ("oads", _many(oad)))),
        2: ("record_list", (PIID, ("oads", _many(oad)))),
        3: ("trans_data", (PIID,)),
    }),
    0x88: ("report_notification", True, {
        1: ("list", (ACD, RESULTS)),
        2: ("record_list", (ACD, ("records", _many(record)))),
        3: ("trans_data", (ACD, ("oad", oad), ("data", _octets))),
    }),
    0x09: ("proxy_request", False, {
        1: ("get_list", (PIID, TIMEOUT, ("servers", _asked(oad)))),
        2: ("get_record", (PIID, TIMEOUT, ("tsa", tsa), ("record", RECORD_REQUEST))),
        3: ("set_list", (PIID, TIMEOUT, ("servers", _asked(_setting)))),
        4: ("set_then_get_list", (PIID, TIMEOUT, ("servers", _asked(_then(_setting))))),
        5: ("action_list", (PIID, TIMEOUT, ("servers", _asked(_acted)))),
        6: ("action_then_get_list", (PIID, TIMEOUT, ("servers", _asked(_then(_acted))))),
        7: ("trans_command", (PIID, ("oad", oad), ("port", _bits(5)), TIMEOUT, BYTE_TIMEOUT, ("data", _octets))),
    }),
    0x89: ("proxy_response", True, {
        1: ("get_list", (ACD, ("servers", _proxied(result)))),
        2: ("get_record", (ACD, ("tsa", tsa), ("record", record))),
        3: ("set_list", (ACD, ("servers", _proxied(_set_result)))),
        4: ("set_then_get_list", (ACD, ("servers", _proxied(_and_result(_set_result))))),
        5: ("action_list", (ACD, ("servers", _proxied(_action_result)))),
        6: ("action_then_get_list", (ACD, ("servers", _proxied(_and_result(_action_result))))),
        7: ("trans_command", (ACD, ("oad", oad), ("answer", _octets_or_dar))),
    }),
}  # fmt: skip
"""Services whose second byte tells a form: name, whether a follow report may come, fields by form."""
SECURITY_REQUEST, SECURITY_RESPONSE = 0x10, 0x90


def parse(raw: bytes) -> dict[str, Any]:
    """Give an APDU as a message; an unknown one shows its bytes, one that ends within a field raises ``Reject``."""
    if not raw:
        raise Reject("bad_length", "the frame has no APDU")
    if raw[0] in (SECURITY_REQUEST, SECURITY_RESPONSE):
        return _security(raw)
    cursor = Cursor(raw, 1)
    service = SINGLE.get(raw[0]) or _chosen(raw[0], cursor)
    if service is None:
        return {"name": "unknown", "apdu": raw}
    message: dict[str, Any] = {"name": service.name}
    for name, read in service.fields:
        message[name] = read(cursor)
    message |= _meanings(service.name, message)
    return message | _trailer(cursor, service)


def _chosen(tag: int, cursor: Cursor) -> Service | None:
    if tag not in CHOICES:
        return None
    name, follow, choices = CHOICES[tag]
    choice = cursor.u8()
    if choice not in choices:
        return None
    form, fields = choices[choice]
    return Service(f"{name}_{form}", fields, follow)


def _meanings(name: str, message: dict[str, Any]) -> dict[str, Any]:
    """Words for codes, and names for single OADs."""
    if name == "link_request":
        code = message["type"]
        return {"type_name": LINK_TYPES[code] if code < len(LINK_TYPES) else ""}
    if name == "link_response":
        code = message["result"] & 7
        return {
            "result_name": LINK_RESULTS[code] if code < len(LINK_RESULTS) else "",
            "clock_trusted": message["result"] >= CLOCK_TRUSTED,
        }
    return {"oad_name": objects.attribute(message["oad"]).zh} if "oad" in message else {}


def _trailer(cursor: Cursor, service: Service) -> dict[str, Any]:
    """Follow report and time tag; devices leave out what they do not use, so a missing one is none."""
    found: dict[str, Any] = {}
    if service.follow_report and cursor.left and (choice := cursor.u8()):
        if choice != 1 or not cursor.left:
            raise Reject("bad_field", f"follow report has the mark {choice}")
        found["follow_report"] = cursor.many(result) if cursor.u8() == 1 else cursor.many(record)
    if service.time_tag and cursor.left and cursor.u8():
        found["time_tag"] = {"sent_at": date_time_s(cursor), "allowed": ti(cursor)}
    if cursor.left:
        found["rest"] = cursor.take(cursor.left)
    return found


def _security(raw: bytes) -> dict[str, Any]:
    """A secured APDU: one in plain text is explained as ``inner``, ciphertext is named and kept."""
    cursor = Cursor(raw, 1)
    name = "security_request" if raw[0] == SECURITY_REQUEST else "security_response"
    kind = cursor.u8()
    if name == "security_response" and kind == 2:
        return {"name": name, **_dar(cursor), "proof": cursor.take(cursor.left)}
    if kind > 1:
        raise Reject("bad_field", f"secured data has the choice {kind}")
    inner = cursor.octets()
    message = {"name": name, "encrypted": kind == 1, "apdu": inner, "proof": cursor.take(cursor.left)}
    return message if kind else {**message, "inner": parse(inner) if inner[:1] not in (b"\x10", b"\x90") else {}}
