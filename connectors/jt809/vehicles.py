"""Vehicles of a link: which kind each feeds, and who may log in."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from connectors._api import Settings
from schemas.errors import Fatal

VEHICLES_MAX = 65_536
"""Vehicles one link may speak for; beyond that the one first seen is forgotten."""
OK, WRONG_ADDRESS, WRONG_CENTER, NO_USER, WRONG_PASSWORD, _, OTHER = range(7)
"""Results of a login (table of 0x1002)."""


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the setting ``vehicles``: all that it names must hold."""

    kind: str
    prefix: str | None = None
    plates: list[str] = []
    colour: int | None = None

    def has(self, plate: str, colour: int) -> bool:
        """Tell whether a vehicle belongs to it."""
        if self.colour is not None and colour != self.colour:
            return False
        if self.prefix is None and not self.plates:
            return self.colour is not None
        return plate in self.plates or (self.prefix is not None and plate.startswith(self.prefix))


class Vehicle(msgspec.Struct, frozen=True):
    """What a link knows of one vehicle; ``kind`` is empty where no group and no default names one."""

    source: str
    plate: str
    kind: str


class Vehicles:
    """The vehicles of one link by plate and colour."""

    def __init__(self, settings: Settings) -> None:
        self.groups = _entries(settings["vehicles"])
        self._default_kind: str = settings["default_kind"]
        self._known: dict[tuple[str, int], Vehicle] = {}

    def of(self, plate: str, colour: int) -> Vehicle:
        """Give the vehicle; its source is ``plate_colour``."""
        vehicle = self._known.get((plate, colour))
        if vehicle is None:
            kind = next((g.kind for g in self.groups if g.has(plate, colour)), self._default_kind)
            vehicle = Vehicle(f"{plate}_{colour}", plate, kind)
            if len(self._known) >= VEHICLES_MAX:
                del self._known[next(iter(self._known))]
            self._known[plate, colour] = vehicle
        return vehicle


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the setting ``users``: a lower platform that may log in."""

    password: str
    gnss_center_id: int | None = None
    addresses: list[str] = []

    def __repr__(self) -> str:
        return f"User(password='***', gnss_center_id={self.gnss_center_id}, addresses={self.addresses})"


class Users:
    """Who may log in on a link; without any, everybody may."""

    def __init__(self, settings: Settings) -> None:
        try:
            self._users = {
                str(number): msgspec.convert({"password": given} if isinstance(given, str) else given, User)
                for number, given in settings["users"].items()
            }
        except msgspec.ValidationError as error:
            msg = f"jt809: setting 'users': {error}; an entry is a password or {{password, gnss_center_id, addresses}}"
            raise Fatal(msg) from error
        self._secret: str = settings["verify_secret"]

    @property
    def required(self) -> bool:
        """Nothing but a login is accepted before a right one."""
        return bool(self._users)

    def verdict(self, fields: Mapping[str, Any], center: int, address: str) -> int:
        """Give the result of a login: 0, or what is wrong with it. ``center`` is the access code of its header."""
        if not self._users:
            return OK
        user = self._users.get(str(fields["user_id"]))
        if user is None:
            return NO_USER
        if not hmac.compare_digest(user.password.encode(), str(fields["password"]).encode()):
            return WRONG_PASSWORD
        if user.gnss_center_id is not None and fields.get("msg_gnsscenterid", center) != user.gnss_center_id:
            return WRONG_CENTER
        if user.addresses and not address.startswith(tuple(user.addresses)):
            return WRONG_ADDRESS
        return OK

    def verify_code(self, user_id: int) -> int:
        """Give a user's VERIFY_CODE: main and sub link agree on it without sharing more than ``verify_secret``."""
        return int.from_bytes(hmac.new(self._secret.encode(), str(user_id).encode(), hashlib.sha256).digest()[:4])


def _entries(given: list[Any]) -> list[Group]:
    try:
        return msgspec.convert(given, list[Group])
    except msgspec.ValidationError as error:
        msg = f"jt809: setting 'vehicles': {error}; an entry is {{kind}} with prefix, plates or colour"
        raise Fatal(msg) from error
