"""Terminals of a connection: which kind they feed, their plates, who may register, who has authenticated."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec

from connectors._api import Settings
from schemas.errors import Fatal

TERMINALS_MAX = 4096
"""Terminals one connection may speak for; beyond that the one first seen is forgotten."""
CODE_LENGTH = 32
"""Hexadecimal digits of an authentication code: 128 bits."""
PLATE_MAX = 16
RULES_KEPT = 8
"""Instances whose settings are read once for all their connections."""


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group of the setting ``groups``."""

    kind: str
    prefix: str | None = None
    phones: list[str] = []

    def has(self, source: str) -> bool:
        """Tell whether a terminal belongs to it."""
        return source in self.phones or (self.prefix is not None and source.startswith(self.prefix))


class Terminal:
    """What a connection knows of one terminal."""

    __slots__ = ("authenticated", "kind", "plate", "plate_fixed", "registered", "source")

    def __init__(self, source: str, kind: str, plate: str | None, *, registered: bool) -> None:
        self.source = source
        """Its number without leading zeros, equal in all editions."""
        self.kind = kind
        """Kind of its readings; empty where no group and no default names one."""
        self.plate = plate
        self.plate_fixed = plate is not None
        self.registered = registered
        """The setting ``registered`` admits it."""
        self.authenticated = False

    def take_plate(self, plate: str, colour: int) -> None:
        """Keep the plate it registered with; colour 0 means an unlicensed vehicle, which sends its VIN instead."""
        if not self.plate_fixed and colour != 0 and 0 < len(plate) <= PLATE_MAX:
            self.plate = plate


class Rules:
    """What the settings say of terminals: a city's plates and numbers, too many to be held once for each connection."""

    def __init__(self, settings: Settings) -> None:
        self.required = settings["authentication"] == "required"
        """Nothing but registration and authentication is accepted before a right code."""
        self.secret: str = settings["secret"]
        if self.required and not self.secret:
            msg = "jt808: authentication 'required' needs the setting 'secret'"
            raise Fatal(msg)
        self.groups = groups(settings["groups"])
        self._default_kind: str = settings["default_kind"]
        self._plates = {str(phone): str(plate) for phone, plate in settings["plates"].items()}
        self._registered = tuple(map(str, settings["registered"]))

    def terminal(self, source: str) -> Terminal:
        """Give a terminal as it is before its first message."""
        kind = next((g.kind for g in self.groups if g.has(source)), self._default_kind)
        admitted = not self._registered or source.startswith(self._registered)
        return Terminal(source, kind, self._plates.get(source), registered=admitted)


_read: list[tuple[Settings, Rules]] = []
"""Rules by the very settings they were read from, the newest last."""


def rules(settings: Settings) -> Rules:
    """Give the rules of these settings, which must not change; all connections of an instance share them."""
    found = next((known for given, known in _read if given is settings), None)
    if found is None:
        found = Rules(settings)
        _read.append((settings, found))
        del _read[:-RULES_KEPT]
    return found


class Terminals:
    """The terminals of one connection by phone number."""

    def __init__(self, settings: Settings) -> None:
        self._rules = rules(settings)
        self.required, self.groups, self._secret = self._rules.required, self._rules.groups, self._rules.secret
        self._known: dict[bytes, Terminal] = {}

    def of(self, phone_bcd: bytes) -> Terminal:
        """Give the terminal of a header's phone number."""
        terminal = self._known.get(phone_bcd)
        if terminal is None:
            terminal = self._rules.terminal(source_of(phone_bcd))
            if len(self._known) >= TERMINALS_MAX:
                del self._known[next(iter(self._known))]
            self._known[phone_bcd] = terminal
        return terminal

    def code(self, terminal: Terminal) -> str:
        """Give the authentication code of a terminal: only who has the secret can tell it from the number."""
        return hmac.new(self._secret.encode(), terminal.source.encode(), hashlib.sha256).hexdigest()[:CODE_LENGTH]

    def accepts(self, terminal: Terminal, code: str) -> bool:
        """Tell whether a code is right, in a time that does not depend on it; without authentication any is."""
        return not self.required or hmac.compare_digest(self.code(terminal).encode(), code.encode("utf-8", "replace"))


def source_of(phone_bcd: bytes) -> str:
    """Give the source of a header's phone number: the number without leading zeros, equal in all editions."""
    return phone_bcd.hex().upper().lstrip("0") or "0"


def groups(given: list[Any]) -> list[Group]:
    """Read the setting ``groups``; a wrong entry raises ``Fatal``."""
    try:
        return msgspec.convert(given, list[Group])
    except msgspec.ValidationError as error:
        msg = f"jt808: setting 'groups': {error}; an entry is {{kind, prefix}} or {{kind, phones}}"
        raise Fatal(msg) from error
