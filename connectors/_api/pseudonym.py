"""Names of people as keyed hashes: the same person gives the same code, and the code gives nobody away."""

from __future__ import annotations

import hashlib
import hmac

LENGTH = 32
"""Hexadecimal digits of a pseudonym: 128 bits."""


def pseudonym(value: str, key: str) -> str | None:
    """Give the HMAC-SHA-256 of an identity under the city's key, cut to ``LENGTH`` digits; an empty identity gives ``None``."""
    text = value.strip()
    if not text:
        return None
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:LENGTH]
