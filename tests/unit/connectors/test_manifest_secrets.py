"""Settings that are secret, tables of passwords among them, appear in no message and no log."""

from __future__ import annotations

import pytest

from connectors._api import registry
from connectors._api.manifest import from_text
from schemas.errors import Fatal

WORD = "Tai-Hang-6021"


@pytest.mark.parametrize(
    ("connector", "setting", "value"),
    [
        ("jt809", "users", {"1405": WORD}),
        ("jt809", "users", {"1405": {"password": WORD}}),
        ("hj212", "passwords", {"MN1": WORD}),
        ("gb32960", "users", {"platform": WORD}),
        ("jt809", "m1", WORD),
        ("jt808", "secret", WORD),
    ],
)
def test_complete_settings_print_without_secrets(connector: str, setting: str, value: object) -> None:
    resolved = registry.load(connector).manifest.resolve({setting: value}, "test")
    assert resolved[setting] == value
    assert WORD not in f"{resolved} {resolved!r}"
    assert f"'{setting}': '***'" in repr(resolved)


def test_other_settings_and_empty_secrets_are_shown() -> None:
    shown = repr(registry.load("jt809").manifest.resolve({"default_kind": "bus_position"}, "test"))
    assert "'default_kind': 'bus_position'" in shown
    assert "'users': {}" in shown


@pytest.mark.parametrize(("setting", "value"), [("users", WORD), ("m1", [WORD])])
def test_a_message_about_a_wrong_type_does_not_repeat_a_secret(setting: str, value: object) -> None:
    manifest = registry.load("jt809").manifest
    with pytest.raises(Fatal, match=r"must be of type .*'\*\*\*'") as caught:
        manifest.resolve({setting: value}, "test")
    assert WORD not in str(caught.value)
    with pytest.raises(Fatal) as typed:
        from_text(manifest.settings["users"], f"{{{WORD}")
    assert WORD not in str(typed.value)
