"""Metrics: named alike, explained, bounded in labels, and counted somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

AREAS = {"connector", "frame", "frames", "spool", "stream", "findings", "alerts", "store", "gateway"}
UNBOUNDED = {"source", "id", "user", "address", "path", "run", "peer", "detail", "url"}
"""A label with such values would make a series per device or person."""


def complaints(names: Iterable[tuple[str, str, str]], labels: Mapping[str, set[str]]) -> list[str]:
    """Complain about names, help texts and labels."""
    found = []
    for name, kind, about in names:
        match = re.fullmatch(r"cityops_([a-z]+)(_[a-z]+)*", name)
        if match is None or match[1] not in AREAS or name == f"cityops_{match[1]}":
            found.append(f"{name}: not cityops_<area>_<thing>")
        if (kind == "counter") != name.endswith("_total"):
            found.append(f"{name}: only counters end in _total")
        if not re.fullmatch(r"[A-Z0-9][^\n]{8,}\.", about):
            found.append(f"{name}: help {about!r} is no sentence")
        found += [f"{name}: label {label!r} has no bound" for label in sorted(labels.get(name, set()) & UNBOUNDED)]
    return found


def idle(attributes: Iterable[str], sources: Iterable[str]) -> list[str]:
    """Complain about metrics that no code ever touches."""
    text = "\n".join(sources)
    return [f"nothing counts {a}" for a in attributes if not re.search(rf"\b{a}\b", text)]
