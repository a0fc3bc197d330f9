"""What identifies people never passes: phone numbers are dropped, licence numbers hashed, both masked in free text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from connectors._api.pseudonym import pseudonym

PHONE_KEY: Final = re.compile(r"phone|mobile|tel$", re.IGNORECASE)
LICENCE_KEY: Final = "LicenseId"
CODES: Final = frozenset({"OrderId", "CompanyId"})
"""Numbers given by companies, which may look like a phone or identity number."""
NUMBERS: Final = re.compile(r"(?<!\d)(?:1[3-9]\d{9}|\d{17}[\dXx])(?!\d)")
"""Mobile and identity-card numbers; a driver's licence bears the latter."""
NUMBER_BYTES: Final = re.compile(NUMBERS.pattern.encode())
SHORTEST: Final = 11
LEAST: Final = 13_000_000_000
"""Digits of the shortest of them, and the least."""
PLAIN: Final = (int, float)
MASK: Final = "***"
WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def cleaned(record: Any, key: str) -> Any:
    """Give a JSON value without phone numbers, with licence numbers hashed under ``key`` (without a key: masked)."""
    if isinstance(record, dict):
        return {
            name: value if type(value) in PLAIN and value < LEAST and name != LICENCE_KEY else _field(name, value, key)
            for name, value in record.items()
            if not _is_phone(name)
        }
    if isinstance(record, list):
        return [cleaned(value, key) for value in record]
    if isinstance(record, int) and masked(str(record)) == MASK:
        return MASK
    return masked(record) if isinstance(record, str) else record


def driver(clean: Any) -> str | None:
    """Give the hash of the licence number from a cleaned record, nothing where there is none or no key."""
    code = clean.get(LICENCE_KEY) if isinstance(clean, dict) else None
    return code if isinstance(code, str) and code != MASK else None


def masked(text: str) -> str:
    """Give a text with its phone and identity numbers masked."""
    return NUMBERS.sub(MASK, text) if len(text) >= SHORTEST else text


def masked_bytes(packet: bytes) -> bytes:
    """Give bytes that are no JSON with all phone and identity numbers masked."""
    return NUMBER_BYTES.sub(MASK.encode(), packet)


def snake(fields: dict[str, Any]) -> dict[str, Any]:
    """Give the fields under the standard's names in snake_case."""
    return {_snake(name): value for name, value in fields.items()}


def _field(name: str, value: Any, key: str) -> Any:
    if name == LICENCE_KEY:
        return (pseudonym(str(value), key) if key else None) or MASK if value else None
    return cleaned(value, key) if name not in CODES or isinstance(value, dict | list) else value


@lru_cache(maxsize=4096)
def _is_phone(name: str) -> bool:
    return PHONE_KEY.search(name) is not None


@lru_cache(maxsize=4096)
def _snake(name: str) -> str:
    return WORD.sub("_", name).lower()
