"""Every refusal the HTTP API gives: a code, what is wrong, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Kind:
    """One code: HTTP status, and its sentences for people."""

    status: int
    zh: str
    en: str
    remedy_zh: str
    remedy_en: str


KINDS: Final[dict[str, Kind]] = {
    "bad_request": Kind(400, "请求无效", "the request is not valid", "按说明修改请求", "correct what the detail names"),
    "too_large": Kind(413, "请求过大", "the request body is too large", "缩小请求内容", "send at most 64 KiB"),
    "not_logged_in": Kind(401, "未登录或会话已过期", "not logged in, or the session is over", "请重新登录", "log in again"),
    "wrong_password": Kind(401, "用户名或密码错误", "wrong user name or password", "核对后重试", "check both and try again"),
    "locked": Kind(
        429,
        "登录失败次数过多，已锁定",
        "locked after too many failed log-ins",
        "15 分钟后重试",
        "wait 15 minutes or ask an admin",
    ),
    "too_many_requests": Kind(429, "请求过于频繁", "too many requests", "稍后重试", "wait a minute"),
    "forbidden": Kind(403, "权限不足", "your role may not do this", "请联系管理员", "ask an admin for the role the detail names"),
    "wrong_origin": Kind(
        403,
        "请求来源不被允许",
        "the request comes from another site",
        "从本系统页面操作，或在 gateway.origins 中登记来源",
        "use this system's own page, or list the origin in gateway.origins",
    ),
    "not_found": Kind(404, "不存在", "there is no such thing", "核对名称", "check the name"),
    "no_such_method": Kind(
        405, "不支持的方法", "this method is not supported here", "参见 /api/openapi.json", "see /api/openapi.json"
    ),
    "exists": Kind(409, "已存在", "the name is in use", "换一个名称", "choose another name"),
    "last_admin": Kind(
        409, "至少保留一名管理员", "one active admin must remain", "先设置另一名管理员", "make another user admin first"
    ),
    "conflict": Kind(
        409,
        "告警已被他人更新",
        "the alert has changed meanwhile",
        "查看最新状态后重试",
        "look at its current state and decide again",
    ),
    "refused": Kind(
        409, "当前状态不允许此操作", "the alert's state does not allow this", "查看告警状态", "see the alert's state"
    ),
    "unavailable": Kind(
        503, "服务暂时不可用", "a part this needs does not answer", "稍后重试；参见 /readyz", "try again shortly; see /readyz"
    ),
    "not_built": Kind(
        503, "页面尚未构建", "the dashboard is not built", "运行 make venv 后重启", "run make venv and start again"
    ),
    "internal": Kind(500, "内部错误", "a fault of ours", "请将时间告知运维人员", "tell the operators when it happened"),
}


class Problem(Exception):  # noqa: N818 - an answer to the caller, not an error of ours
    """A refusal; ``more`` is added to the answer's JSON."""

    def __init__(self, code: str, what: str = "", **more: Any) -> None:
        super().__init__(f"{code}: {what}")
        self.code = code
        self.what = what
        self.more = more


def answer(code: str, what: str = "", headers: dict[str, str] | None = None, **more: Any) -> Response:
    """Give the HTTP answer of a refusal, in the manner of RFC 9457."""
    kind = KINDS[code]
    detail = f"{kind.zh} / {kind.en}" + (f": {what}" if what else "")
    body = {"status": kind.status, "code": code, "detail": detail, "remedy": f"{kind.remedy_zh} / {kind.remedy_en}", **more}
    return Response(msgspec.json.encode(body), kind.status, headers, "application/problem+json")
