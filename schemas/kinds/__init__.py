"""Every kind of reading, one module per domain, found without a list."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from schemas.reading import Reading, kind_of


@cache
def all_kinds() -> dict[str, type[Reading]]:
    """Give every declared kind by name, in order of domain module and declaration."""
    found: dict[str, type[Reading]] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        loaded = importlib.import_module(f"{__name__}.{module}")
        for item in vars(loaded).values():
            if (
                isinstance(item, type)
                and issubclass(item, Reading)
                and item.__module__ == loaded.__name__
                and item.__struct_config__.tag
            ):
                found[kind_of(item)] = item
    return found


def kind(name: str) -> type[Reading]:
    """Give the kind of that name; unknown names raise ``KeyError`` naming those that exist."""
    kinds = all_kinds()
    if name not in kinds:
        msg = f"unknown kind {name!r}; known: {', '.join(sorted(kinds))}"
        raise KeyError(msg)
    return kinds[name]


@cache
def domains() -> tuple[str, ...]:
    """Give every domain that has a kind, sorted."""
    return tuple(sorted({k.domain for k in all_kinds().values()}))
