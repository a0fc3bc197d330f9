"""``connector.toml``: what a connector is, and the settings it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from schemas.errors import Fatal
from schemas.kinds import all_kinds

Transport = Literal["tcp", "udp", "mqtt", "http_poll", "http_push", "file", "client"]
Settings = Mapping[str, Any]
"""A connector's settings, complete and checked: every declared name is present."""

HIDDEN = "***"
"""Stands for a secret wherever settings are shown."""
TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (float, int),
    "bool": bool,
    "list": list,
    "table": dict,
    "secret": str,
}


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text for people in both languages."""

    zh: str
    en: str


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One setting: type, default (absent: required), unit, allowed values and meaning."""

    type: Literal["str", "int", "float", "bool", "list", "table", "secret"]
    default: Any = msgspec.UNSET
    unit: str = ""
    choices: list[Any] = []
    secret: bool = False
    """Whether a table holds secrets; the type ``secret`` always is one."""
    zh: str
    en: str

    @property
    def hidden(self) -> bool:
        """Whether its value is never shown."""
        return self.secret or self.type == "secret"


class Complete(dict[str, Any]):
    """Settings that print without the values of those that are hidden."""

    def __init__(self, values: Mapping[str, Any], hidden: Iterable[str]) -> None:
        super().__init__(values)
        self._hidden = frozenset(hidden)

    def __repr__(self) -> str:
        return repr({name: HIDDEN if name in self._hidden and value else value for name, value in self.items()})


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A connector's declaration, read from its ``connector.toml``."""

    name: Label
    standard: str
    editions: list[str] = []
    transport: Transport
    default_port: int | None = None
    kinds: list[str]
    delivery: str
    """The delivery guarantee, in one English sentence."""
    settings: dict[str, Setting] = {}

    def resolve(self, given: Mapping[str, Any], where: str) -> Settings:
        """Give the complete settings; an unknown name, wrong type or missing value raises ``Fatal``."""
        unknown = set(given) - set(self.settings)
        if unknown:
            msg = f"{where}: unknown setting {sorted(unknown)[0]!r}; known: {', '.join(self.settings) or 'none'}"
            raise Fatal(msg)
        values = {name: _value(name, setting, given, where) for name, setting in self.settings.items()}
        return Complete(values, (name for name, setting in self.settings.items() if setting.hidden))


def _value(name: str, setting: Setting, given: Mapping[str, Any], where: str) -> Any:
    value = given.get(name, setting.default)
    if value is msgspec.UNSET:
        msg = f"{where}: setting {name!r} is required: {setting.en}"
        raise Fatal(msg)
    shown = HIDDEN if setting.hidden else value
    expected = TYPES[setting.type]
    if not isinstance(value, expected) or (isinstance(value, bool) and setting.type != "bool"):
        msg = f"{where}: setting {name!r} must be of type {setting.type}, not {shown!r}"
        raise Fatal(msg)
    if setting.choices and value not in setting.choices:
        msg = f"{where}: setting {name!r} must be one of {setting.choices}, not {shown!r}"
        raise Fatal(msg)
    return value


def read(path: Path) -> Manifest:
    """Read a ``connector.toml``; a wrong key, type or kind raises ``Fatal`` naming it."""
    try:
        manifest = msgspec.toml.decode(path.read_bytes(), type=Manifest)
    except (msgspec.MsgspecError, OSError) as error:
        msg = f"{path}: {error}"
        raise Fatal(msg) from error
    unknown = set(manifest.kinds) - set(all_kinds())
    if unknown:
        msg = f"{path}: unknown kind {sorted(unknown)[0]!r}"
        raise Fatal(msg)
    return manifest


def from_text(setting: Setting, text: str) -> Any:
    """Read a setting given on the command line (``--set key=value``): lists and tables as JSON."""
    if setting.type in ("str", "secret"):
        return text
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        msg = f"not a {setting.type}: {HIDDEN if setting.hidden else text!r}"
        raise Fatal(msg) from error
    return value
