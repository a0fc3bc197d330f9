"""Pushes of platforms built from a kind's fields by a profile, for tests and the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from connectors._api import envelopes, profiles


def push(
    profile: str,
    kind: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    changes: Mapping[str, Any] | None = None,
    parts: Mapping[str, Any] | None = None,
) -> tuple[str, bytes]:
    """Give the address (as a session's origin) and body that decode to these rows of a kind's fields, all of one device."""
    address, body = profiles.load(profile, changes or {}, kind).encode(kind, list(rows), parts)
    return f"POST /{address}", body


def onenet(body: bytes, token: str, nonce: str = "00000000") -> bytes:
    """Give a OneNET body signed with a token."""
    message = msgspec.json.decode(body, type=envelopes.OneNetBody).msg
    signature = envelopes.signed(token, nonce, bytes(message))
    return msgspec.json.encode({"msg": message, "nonce": nonce, "msg_signature": signature})


def question(msg: str, token: str, nonce: str = "00000000") -> str:
    """Give the address (as a session's origin) by which OneNET asks whether it is ours."""
    asked = {"msg": msg, "nonce": nonce, "signature": envelopes.signed(token, nonce, msg.encode())}
    return f"GET /?{urlencode(asked)}"
