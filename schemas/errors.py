"""The three families of failure; the type says how the system recovers.

``Reject``: this input is refused, counted, kept, and the stream goes on.
``Retry``: the same input is tried again after a pause.
``Fatal``: the process stops loudly and its supervisor starts it anew.
"""

from __future__ import annotations

from typing import Final

REASONS: Final[dict[str, tuple[str, str]]] = {
    "bad_checksum": ("校验错误", "checksum differs from the one sent"),
    "bad_length": ("长度不符", "declared length differs from the bytes present"),
    "bad_frame": ("报文格式错误", "packet has not the shape of its standard"),
    "bad_field": ("字段无效", "a field cannot be read as its standard says"),
    "bad_encoding": ("字符编码错误", "text is not in the declared character set"),
    "bad_escape": ("转义错误", "an escape sequence the standard does not know"),
    "encrypted": ("报文已加密", "body is encrypted and no key is configured"),
    "too_large": ("报文过大", "packet exceeds the size limit"),
    "incomplete": ("分包不完整", "sub-packages are missing and the time to wait is over"),
    "unsupported": ("不支持的报文", "message is known but not decoded here"),
    "no_response": ("设备无应答", "the device did not answer in time"),
    "device_error": ("设备返回错误", "the device answered with an error"),
    "unregistered": ("终端未注册", "terminal is not in the register of devices"),
    "unauthenticated": ("终端未鉴权", "terminal has not proved who it is"),
    "no_kind": ("未配置数据类别", "no configured group tells which kind this source is"),
    "stale_feed": ("数据源时间倒退", "feed is older than the one before it"),
    "http_status": ("HTTP 状态异常", "server answered with an error status"),
    "out_of_bounds": ("数值越界", "value lies outside the bounds of its kind"),
    "missing_field": ("缺少必填字段", "a field that the kind needs is absent"),
    "future_time": ("时间超前", "event time is more than 60 s ahead of arrival"),
    "expired_time": ("时间过旧", "event time lies before the retention of its kind"),
    "bad_schema": ("数据结构不符", "frame fingerprint is unknown to this release"),
    "poison": ("反复处理失败", "processing failed repeatedly and the frame was set aside"),
}
"""Every reason a reject may carry, with its zh and en label; each is a metric label."""


class Reject(Exception):  # noqa: N818 - a verdict on input, not an error of ours
    """Input that is refused with a reason; it is counted and kept, and the stream goes on."""

    def __init__(self, reason: str, detail: str = "", raw: bytes = b"") -> None:
        if reason not in REASONS:
            msg = f"reject reason {reason!r} is not declared in schemas/errors.py"
            raise ValueError(msg)
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.raw = raw

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reject):
            return NotImplemented
        return (self.reason, self.detail, self.raw) == (other.reason, other.detail, other.raw)

    def __hash__(self) -> int:
        return hash((self.reason, self.detail, self.raw))


class Retry(Exception):  # noqa: N818
    """A passing fault of something we depend on; the same input is tried again after a pause."""


class Fatal(Exception):  # noqa: N818
    """A fault that retrying cannot mend; the process stops with this sentence."""
