"""Messages of devices built from a kind's fields by a profile, for tests and the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from connectors._api import profiles


def message(
    profile: str,
    kind: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    changes: Mapping[str, Any] | None = None,
    parts: Mapping[str, Any] | None = None,
) -> tuple[str, bytes]:
    """Give topic and payload that decode to these rows of a kind's fields, all of one device.

    ``parts`` fills placeholders of the topic, and parts of the envelope, that no rule fills.
    """
    return profiles.load(profile, changes or {}, kind).encode(kind, list(rows), parts)


def packet(topic: str, payload: bytes) -> bytes:
    """Give topic and payload as one JSON document, as ``cityops decode mqtt_json --text`` takes it."""
    return msgspec.json.encode({"topic": topic, "payload": msgspec.Raw(payload)})
