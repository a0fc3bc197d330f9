"""APDUs that come in several frames: the fragment word, and putting the parts together (DL/T 698.45 6.3)."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.errors import Reject

KINDS: Final = ("start", "last", "ack", "middle")
"""Kind by the two top bits of the fragment word."""
NUMBER_MASK: Final = 0x0FFF
HELD_MAX: Final = 8
"""Most unfinished APDUs of one connection."""
APDU_MAX: Final = 65_536
"""Most bytes of one APDU."""
WAIT_US: Final = 60_000_000
"""How long the next fragment may take."""


class Fragment(NamedTuple):
    """One fragment: its kind, number and bytes."""

    kind: str
    number: int
    content: bytes


def parse(user: bytes) -> Fragment:
    """Give the fragment in a frame's user bytes."""
    if len(user) < 2:
        raise Reject("bad_length", f"fragment of {len(user)} bytes has no fragment word")
    word = int.from_bytes(user[:2], "little")
    return Fragment(KINDS[word >> 14], word & NUMBER_MASK, user[2:])


def word(kind: str, number: int) -> bytes:
    """Give the fragment word as it travels."""
    return (KINDS.index(kind) << 14 | number & NUMBER_MASK).to_bytes(2, "little")


class Fragments:
    """The unfinished APDUs of one connection, by who sends them."""

    def __init__(self) -> None:
        self._held: dict[tuple[bytes, int], tuple[int, int, bytes]] = {}

    def add(self, key: tuple[bytes, int], fragment: Fragment, now: int) -> bytes | None:
        """Give the whole APDU once its last fragment is here; one out of turn or too long raises ``Reject``.

        A fragment of nothing that is held, such as the repeated last one, is passed over.
        """
        if fragment.kind == "start":
            if len(self._held) >= HELD_MAX:
                del self._held[next(iter(self._held))]
            self._held[key] = (fragment.number, now, fragment.content)
            return None
        if key not in self._held:
            return None
        number, _, held = self._held.pop(key)
        if fragment.number == number:  # sent again: its acknowledgement was lost
            self._held[key] = (number, now, held)
            return None
        if fragment.number != (number + 1) & NUMBER_MASK:
            raise Reject("incomplete", f"fragment {fragment.number} follows number {number}")
        whole = held + fragment.content
        if len(whole) > APDU_MAX:
            raise Reject("too_large", f"APDU of more than {APDU_MAX} bytes")
        if fragment.kind == "last":
            return whole
        self._held[key] = (fragment.number, now, whole)
        return None

    def holds(self, key: tuple[bytes, int]) -> bool:
        """Tell whether an APDU of this sender waits for its next fragment."""
        return key in self._held

    def expire(self, now: int) -> list[Reject]:
        """Give up the APDUs whose next fragment did not come in time."""
        late = [key for key, (_, at, _) in self._held.items() if now - at > WAIT_US]
        return [Reject("incomplete", "the next fragment did not come within 60 s", self._held.pop(key)[2]) for key in late]
