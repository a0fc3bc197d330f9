"""Topics: named alike, written and read by somebody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from schemas.topics import Topic

PARTS = {"connect", "clean", "watch", "alerts", "store", "gateway"}


def complaints(topics: Iterable[Topic]) -> list[str]:
    """Complain about names, and about topics nobody writes or reads."""
    found = []
    for topic in topics:
        if not re.fullmatch(r"[a-z]+(-[a-z]+)*", topic.name):
            found.append(f"{topic.name}: not lower-case words with hyphens")
        found += [
            f"{topic.name}: nobody {verb} it" for verb, who in (("writes", topic.writers), ("reads", topic.readers)) if not who
        ]
        found += [f"{topic.name}: unknown part {p!r}" for p in sorted({*topic.writers, *topic.readers} - PARTS)]
        if not topic.about.endswith(".") or topic.retention_h <= 0:
            found.append(f"{topic.name}: about {topic.about!r}, kept {topic.retention_h} h")
    return found


def reader_complaints(topics: Iterable[Topic], reads: Mapping[str, set[str]]) -> list[str]:
    """Complain about readers that do not read what they are said to read, or read more."""
    found = []
    for part, actual in reads.items():
        declared = {t.name for t in topics if part in t.readers}
        found += [f"{part} does not read {t}" for t in sorted(declared - actual)]
        found += [f"{part} reads {t}, which does not say so" for t in sorted(actual - declared)]
    return found
