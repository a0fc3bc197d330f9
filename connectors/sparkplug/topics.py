"""Topics of Sparkplug B: who says what (chapter 4)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from schemas.errors import Reject

NAMESPACE: Final = "spBv1.0"
OF_NODES: Final = frozenset({"NBIRTH", "NDATA", "NDEATH", "NCMD"})
OF_DEVICES: Final = frozenset({"DBIRTH", "DDATA", "DDEATH", "DCMD"})
STATE: Final = "STATE"


class Topic(msgspec.Struct, frozen=True):
    """A message type, and whose it is; of STATE the host application's id is the node."""

    type: str
    group: str
    node: str
    device: str = ""

    @property
    def source(self) -> str:
        """The node or device as one text."""
        return f"{self.group}/{self.node}/{self.device}" if self.device else f"{self.group}/{self.node}"


def read(text: str) -> Topic:
    """Read a topic; one that is none of Sparkplug B's is a ``bad_frame``."""
    namespace, *parts = text.split("/")
    if namespace == NAMESPACE and all(parts):
        match parts:
            case ["STATE", host]:
                return Topic(STATE, "", host)
            case [group, kind, node] if kind in OF_NODES:
                return Topic(kind, group, node)
            case [group, kind, node, device] if kind in OF_DEVICES:
                return Topic(kind, group, node, device)
    raise Reject("bad_frame", f"{text[:200]!r} is no topic of Sparkplug B: {NAMESPACE}/<group>/<type>/<node>[/<device>]")


def opened(packet: bytes, origin: str) -> tuple[str, bytes]:
    """Give topic and payload of a packet: those of the broker, or of ``{"topic": ..., "payload": "<hex>"}``.

    No payload of Sparkplug B begins with a brace; STATE, which is JSON, has no such keys.
    """
    if packet[:1] != b"{":
        return origin, packet
    try:
        found: Any = msgspec.json.decode(packet)
        if isinstance(found, dict) and found.keys() == {"topic", "payload"}:
            return str(found["topic"]), bytes.fromhex(found["payload"])
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as error:
        if not origin.startswith(f"{NAMESPACE}/{STATE}/"):
            raise Reject("bad_frame", f"neither a payload nor topic and payload in hex: {error}", packet) from error
    return origin, packet
