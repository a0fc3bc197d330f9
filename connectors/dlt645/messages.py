"""Frames of DL/T 645 as messages: what each control code carries (DL/T 645-2007 clause 7)."""

from __future__ import annotations

from typing import Any, Final

from connectors._api.meter_frames import TAIL
from connectors.dlt645 import formats, items
from connectors.dlt645.framing import HEAD
from schemas.errors import Reject

FROM_METER, ABNORMAL, FOLLOWED = 0x80, 0x40, 0x20
"""Bits of the control code: direction, error, further frames follow."""
READ, READ_NEXT, READ_ADDRESS, WRITE, WRITE_ADDRESS, BROADCAST_TIME = 0x11, 0x12, 0x13, 0x14, 0x15, 0x08
READ_1997: Final = 0x01
FUNCTIONS: Final = {
    0x03: ("security", "安全认证", "security authentication"),
    0x08: ("broadcast_time", "广播校时", "broadcast time"),
    0x11: ("read", "读数据", "read"),
    0x12: ("read_next", "读后续数据", "read-next"),
    0x13: ("read_address", "读通信地址", "read-address"),
    0x14: ("write", "写数据", "write"),
    0x15: ("write_address", "写通信地址", "write-address"),
    0x16: ("freeze", "冻结命令", "freeze"),
    0x17: ("change_baud_rate", "更改通信速率", "change-baud-rate"),
    0x18: ("change_password", "修改密码", "change-password"),
    0x19: ("clear_demand", "最大需量清零", "clear-demand"),
    0x1A: ("clear_meter", "电表清零", "clear-meter"),
    0x1B: ("clear_events", "事件清零", "clear-events"),
    0x1C: ("relay_control", "跳合闸、报警、保电", "relay-control"),
    0x1D: ("terminal_output", "多功能端子输出控制", "terminal-output"),
    0x01: ("read_1997", "读数据（1997）", "read"),
    0x02: ("read_next_1997", "读后续数据（1997）", "read-next"),
    0x04: ("write_1997", "写数据（1997）", "write"),
    0x0A: ("write_address_1997", "写设备地址（1997）", "write-address"),
    0x0C: ("change_baud_rate_1997", "更改通信速率（1997）", "change-baud-rate"),
    0x0F: ("change_password_1997", "修改密码（1997）", "change-password"),
    0x10: ("clear_demand_1997", "最大需量清零（1997）", "clear-demand"),
}
"""Function by the low five bits of the control code."""
ERRORS: Final = ("其他错误", "无请求数据", "密码错/未授权", "通信速率不能更改", "年时区数超", "日时段数超", "费率数超")
"""Bits of the error word ERR, lowest first (table of clause 7)."""
BAUD_RATES: Final = {0x02: 600, 0x04: 1200, 0x08: 2400, 0x10: 4800, 0x20: 9600, 0x40: 19200}
COMMANDS: Final = {
    0x1A: "跳闸",
    0x1B: "合闸允许",
    0x1C: "直接合闸",
    0x2A: "报警",
    0x2B: "报警解除",
    0x3A: "保电",
    0x3B: "保电解除",
}
OUTPUTS: Final = {0: "时钟秒脉冲", 1: "需量周期", 2: "时段投切"}
OFFSET: Final = bytes((byte - 0x33) & 0xFF for byte in range(256))
"""Each byte of the data as it travels, to the byte it stands for."""
READ_BITS: Final = {"read", "read_next", "read_1997", "read_next_1997"}


def unshift(data: bytes) -> bytes:
    """Take 33H off each byte of the data as it travels."""
    return data.translate(OFFSET)


def parse(frame: bytes) -> dict[str, Any]:
    """Give a sound frame as a message; data that does not fit its control code raises ``Reject``."""
    control = frame[8]
    data = unshift(frame[HEAD:-TAIL])
    name, zh, words = FUNCTIONS.get(control & 0x1F, ("unknown", "", f"function {control & 0x1F:02X}H"))
    message: dict[str, Any] = {
        "name": _name(name, control),
        "address": frame[6:0:-1].hex().upper(),
        "control": f"{control:02X}",
        "kind": f"{words} {_direction(control)}",
        "function": zh,
        "length": len(data),
    }
    if control & FROM_METER:
        message["follows"] = bool(control & FOLLOWED)
    if control & FROM_METER and control & ABNORMAL:
        return message | _error(data)
    reader = REPLIES.get(name) if control & FROM_METER else REQUESTS.get(name)
    return message | (reader(data) if reader else {"data": data} if data else {})


def _name(name: str, control: int) -> str:
    if not control & FROM_METER or name == "unknown":
        return name
    return f"{name}_error" if control & ABNORMAL else f"{name}_reply"


def _direction(control: int) -> str:
    if not control & FROM_METER:
        return "request"
    return "error response" if control & ABNORMAL else "response"


def _error(data: bytes) -> dict[str, Any]:
    word = data[0] if data else 0
    return {"error": word, "errors": [text for bit, text in enumerate(ERRORS) if word >> bit & 1], "data": data}


def _identifier(data: bytes, count: int = 4) -> str:
    if len(data) < count:
        raise Reject("bad_length", f"{len(data)} bytes of data are shorter than a data identifier")
    return data[count - 1 :: -1].hex().upper()


def _named(data: bytes, count: int = 4) -> dict[str, Any]:
    di = _identifier(data, count)
    return {"di": di, "di_name": items.name(di)}


def _time(text: str, data: bytes) -> str | None:
    form = formats.compiled(text)
    if len(data) != form.size:
        raise Reject("bad_length", f"time has {len(data)} bytes, not {form.size}")
    shown = formats.read(form, data)
    return None if shown is None else str(shown)


def _read(data: bytes) -> dict[str, Any]:
    rest = data[4:]
    message = _named(data)
    if len(rest) in (1, 6):
        message["blocks"] = rest[0]
    if len(rest) == 6:
        message["time"] = _time("YYMMDDhhmm", rest[1:])
    return message


def _read_next(data: bytes) -> dict[str, Any]:
    return {**_named(data), **({"seq": data[4]} if len(data) > 4 else {})}


def _write(data: bytes) -> dict[str, Any]:
    message = {**_named(data), **_secrets(data[4:])}
    value = data[12:]
    try:
        return {**message, "values": items.decode(message["di"], value), "data": value}
    except Reject:
        return {**message, "data": value}  # the meter's to judge, not ours


def _secrets(data: bytes) -> dict[str, Any]:
    """Level and operator of a command; the password itself is not shown."""
    return {"password_level": data[0], "operator": data[7:3:-1].hex().upper()} if len(data) >= 8 else {}


def _clear_events(data: bytes) -> dict[str, Any]:
    return {**_secrets(data), **(_named(data[8:12]) if len(data) >= 12 else {})}


def _relay(data: bytes) -> dict[str, Any]:
    if len(data) < 16:
        return {"data": data}
    command = {"command": data[8], "command_name": COMMANDS.get(data[8], ""), "valid_until": _time("YYMMDDhhmmss", data[10:16])}
    return {**_secrets(data), **command}


def _address(data: bytes) -> dict[str, Any]:
    return {"new_address": data[::-1].hex().upper()} if len(data) == 6 else {"data": data}


def _password_change(data: bytes) -> dict[str, Any]:
    return {**_named(data), "password_level": data[4] if len(data) > 4 else None}


def _baud(data: bytes) -> dict[str, Any]:
    return {"baud_rate": BAUD_RATES.get(data[0]), "code": data[0]} if data else {}


def _freeze(data: bytes) -> dict[str, Any]:
    digits = data[::-1].hex()
    return {"time": digits, "at_once": True} if digits == "99" * 4 else {"time": _time("MMDDhhmm", data), "at_once": False}


def _output(data: bytes) -> dict[str, Any]:
    return {"output": data[0], "output_name": OUTPUTS.get(data[0], "")} if data else {}


def _reply_address(data: bytes) -> dict[str, Any]:
    if len(data) != 6:
        raise Reject("bad_length", f"address has {len(data)} bytes, not 6")
    return {"read_address": data[::-1].hex().upper()}


REQUESTS: Final = {
    "read": _read,
    "read_next": _read_next,
    "read_1997": lambda data: _named(data, 2),
    "read_next_1997": lambda data: _named(data, 2),
    "write": _write,
    "write_address": _address,
    "broadcast_time": lambda data: {"time": _time("YYMMDDhhmmss", data)},
    "freeze": _freeze,
    "change_baud_rate": _baud,
    "change_password": _password_change,
    "clear_demand": _secrets,
    "clear_meter": _secrets,
    "clear_events": _clear_events,
    "relay_control": _relay,
    "terminal_output": _output,
}
"""What each request carries; others show their bytes."""


def _value(data: bytes) -> dict[str, Any]:
    return {**_named(data), "data": data[4:]}


def _value_next(data: bytes) -> dict[str, Any]:
    if len(data) < 5:
        raise Reject("bad_length", f"{len(data)} bytes hold no data identifier and frame number")
    return {**_named(data), "data": data[4:-1], "seq": data[-1]}


def _value_1997(data: bytes) -> dict[str, Any]:
    return {**_named(data, 2), "data": data[2:]}


REPLIES: Final = {
    "read": _value,
    "read_next": _value_next,
    "read_1997": _value_1997,
    "read_next_1997": _value_1997,
    "read_address": _reply_address,
    "change_baud_rate": _baud,
    "terminal_output": _output,
}
"""What each good answer carries; ``decoder`` adds the values."""
