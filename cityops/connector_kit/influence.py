"""Which byte of a packet says what, found by changing bytes and decoding again: works for every pure decoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from cityops.connector_kit.seals import Seal, candidates, fitting
from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Peer, Received, describe
from connectors._api.spans import Span
from connectors._host.cut import cut
from connectors._host.intake import guarded
from schemas.errors import Reject

LONGEST: Final = 2048
"""Bytes of a packet that are tried; those behind are shown as they are."""
FLIPS: Final = (0x01, 0x04, 0x10, 0x80)
"""Bits changed in a byte that is no letter or digit, one trial each."""
NAMES: Final = 3
"""Fields named for one stretch; more are counted."""
CHECKED: Final = "bad_checksum"
ABSENT: Final = object()
"""Stands for the value of a field that is not there; equal to no other."""
READING: Final = "→ "
"""Marks fields of readings."""
WHOLE: Final = 8
"""A field that more than half the packet decides, and more bytes than these, names none of them: a check code shown."""
Fields = dict[str, Any]
"""Values by path: of the message, and of readings under ``→ kind.field``."""


@dataclass(slots=True)
class Trial:
    """What a decoder made of some bytes."""

    fields: Fields
    reasons: tuple[str, ...]


@dataclass(slots=True)
class Findings:
    """What the bytes of a packet were seen to do."""

    base: Trial
    seal: Seal | None
    moved: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Bytes that change a field, by field."""
    lost: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Fields that are no longer there when a byte changes, by byte."""
    refused: dict[int, str] = field(default_factory=dict)
    """Reason by byte, where every change of it is refused and changes no field."""
    covered: set[int] = field(default_factory=set)
    """Bytes whose change only the check code noticed."""
    sealing: set[int] = field(default_factory=set)
    """Bytes that the connector's own ``seal`` sets: its check code."""
    sealed: str = ""
    """Verdict on them."""


def trial(connector: Connector, settings: Settings, seen_at: int, origin: str, before: Sequence[bytes], packet: bytes) -> Trial:
    """Decode bytes in a session of their own, which has taken the packets ``before``: a login, a birth message."""
    session = connector.make_session(settings, Peer("explain"))
    guarded(connector.type, partial(session.start, seen_at), b"")
    fields: Fields = {}
    reasons: list[str] = []
    for content in (*before, packet):
        fields, reasons = {}, []
        for part in cut(connector.make_framing, settings, content):
            if isinstance(part, Reject):
                reasons.append(part.reason)
                continue
            received = guarded(connector.type, partial(session.receive, part, seen_at, origin), part)
            reasons += [reject.reason for reject in received.rejects]
            fields |= flat(received)
    return Trial(fields, tuple(reasons))


def flat(received: Received) -> Fields:
    """Give the values of a result by path."""
    told = describe(received)
    found = dict(_walk("", told["message"])) if told["message"] else {}
    for reading in told["readings"]:
        found |= {f"{READING}{reading['kind']}.{name}": value for name, value in reading.items() if name != "kind"}
    return found


def _walk(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _walk(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _walk(f"{path}[{number}]", inner)
    else:
        yield path, value


def study(packet: bytes, decode: Callable[[bytes], Trial], seal: Callable[[bytes], bytes] | None) -> Findings:
    """Change each byte in turn and note which fields follow it.

    ``seal`` gives a packet its right check code; where it is absent a known code is looked for.
    """
    base = decode(packet)
    known = None if seal is not None else seal_of(packet, decode)
    renew = seal or (known.seal if known is not None else None)
    if CHECKED in base.reasons and renew is not None:
        base = Trial(decode(renew(packet)).fields, base.reasons)
    found = Findings(base, known)
    if seal is not None:
        right = seal(packet)
        found.sealed = "正确 right" if right == packet else f"错误 wrong, the right packet ends in {right[-4:].hex().upper()}"
    inside = range(*known.place(packet)) if known is not None else range(0)
    for at in range(min(len(packet), LONGEST)):
        if at not in inside:
            _try(packet, at, decode, renew, found)
    return found


def _try(
    packet: bytes, at: int, decode: Callable[[bytes], Trial], renew: Callable[[bytes], bytes] | None, found: Findings
) -> None:
    reasons: set[str] = set()
    followed = False
    for value in others(packet[at]):
        changed = packet[:at] + bytes((value,)) + packet[at + 1 :]
        renewed = renew(changed) if renew is not None else changed
        if found.sealed and renew is not None and renewed == renew(packet):
            reasons |= set(decode(changed).reasons)  # a change that sealing undoes: of a flag, or of the code itself
            if CHECKED in reasons:
                found.sealing.add(at)
            continue
        result = decode(renewed)
        lost = found.base.fields.keys() - result.fields.keys()
        moved = {path for path in result.fields.keys() - lost if result.fields[path] != found.base.fields.get(path, ABSENT)}
        if result.reasons != found.base.reasons and not result.fields:
            reasons |= set(result.reasons) - set(found.base.reasons)
            continue
        followed = followed or bool(moved) or bool(lost)
        found.lost[at] |= lost
        for path in moved & found.base.fields.keys():
            found.moved[path].add(at)
    if followed or not reasons:
        return
    if reasons == {CHECKED}:
        found.covered.add(at)
    else:
        found.refused[at] = min(reasons - {CHECKED}, default=CHECKED)


def others(byte: int) -> list[int]:
    """Give values to put in place of a byte: of its own sort where it is a letter or digit."""
    if 0x30 <= byte <= 0x39:
        return [0x30 + (byte - 0x30 + step) % 10 for step in (1, 3, 7)]
    if chr(byte).isalpha() and byte < 0x80:
        return [byte ^ 0x01 if chr(byte ^ 0x01).isalpha() else byte ^ 0x02, byte ^ 0x20]
    return [byte ^ bits for bits in FLIPS]


def seal_of(packet: bytes, decode: Callable[[bytes], Trial]) -> Seal | None:
    """Give the check code of a packet, if it has a known one that its decoder looks at.

    The packet's own code must agree with it, and break when a byte under it changes; where the decoder says that the
    code is wrong, it must be content with the right one.
    """
    wrong = CHECKED in decode(packet).reasons
    for seal in candidates(packet) if wrong else fitting(packet):
        if wrong:
            if CHECKED not in decode(seal.seal(packet)).reasons:
                return seal
        elif _guards(seal, packet, decode):
            return seal
    return None


def _guards(seal: Seal, packet: bytes, decode: Callable[[bytes], Trial]) -> bool:
    """Whether the decoder notices changes under a seal, and does not once it is renewed."""
    at, _ = seal.place(packet)
    noticed = False
    for place in {seal.start, (seal.start + at) // 2, at - 1}:
        changed = packet[:place] + bytes((others(packet[place])[0],)) + packet[place + 1 :]
        noticed = noticed or CHECKED in decode(changed).reasons
        if CHECKED in decode(seal.seal(changed)).reasons:
            return False
    return noticed


def spans(packet: bytes, found: Findings) -> list[Span]:
    """Give the findings as spans: neighbouring bytes that do the same are one."""
    told = [_told(at, found, len(packet)) for at in range(len(packet))]
    if found.seal is not None:
        first, end = found.seal.place(packet)
        told[first:end] = [("校验 check code", _sealed(packet, found.seal))] * (end - first)
    result: list[Span] = []
    start = 0
    for at in range(1, len(packet) + 1):
        if at == len(packet) or told[at] != told[start]:
            result.append(_span(start, at, *told[start], found))
            start = at
    return result


def _sealed(packet: bytes, seal: Seal) -> str:
    at, _ = seal.place(packet)
    verdict = "正确 right" if seal.fits(packet) else f"错误 wrong, computed {seal.code(packet).hex().upper()}"
    return f"{seal.name}, bytes {seal.start} to {at - 1}: {verdict}"


def _told(at: int, found: Findings, size: int) -> tuple[str, str]:
    """Give the name of one byte, which is the field that fewest bytes decide, or a note on what it does instead."""
    if at in found.sealing:
        return "校验 check code", found.sealed
    if at >= LONGEST:
        return "", f"未试 not tried, behind byte {LONGEST}"
    paths = [path for path, places in found.moved.items() if at in places and len(places) <= max(size // 2, WHOLE)]
    if paths:
        own = [path for path in paths if not path.startswith(READING)] or paths
        first = min(own, key=lambda path: (len(found.moved[path]), path))
        return _some(sorted(path for path in own if found.moved[path] == found.moved[first])), ""
    if found.lost.get(at):
        return "", f"结构 structure: decides whether there is {_some(sorted(found.lost[at]))}"
    if at in found.covered:
        return "", "仅校验 only the check code covers it"
    return "", f"改动即拒收 a change is refused: {found.refused[at]}" if at in found.refused else ""


def _span(start: int, end: int, name: str, note: str, found: Findings) -> Span:
    """Give a run of bytes with its value, and the fields of readings that it decides."""
    value = found.base.fields.get(name)
    within = set(range(start, end))
    decided = {p for p, places in found.moved.items() if p.startswith(READING) and p != name and _mostly(places, within)}
    texts = [f"{path} = {found.base.fields[path]}" for path in sorted(decided)[:NAMES]]
    return Span(start, end, name, value, note=note or "; ".join(texts))


def _mostly(places: set[int], within: set[int]) -> bool:
    return len(places & within) * 2 >= len(places)


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:NAMES]) + (f" (+{len(paths) - NAMES})" if len(paths) > NAMES else "")
