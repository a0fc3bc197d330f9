"""Rules: understandable in both languages, founded on a clause, and tried in a scenario."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from string import Formatter

from schemas.rules import Rule

PLACEHOLDERS = {"value", "limit", "unit"}
HAN = re.compile(r"[\u4e00-\u9fff]")


def complaints(rule: Rule) -> list[str]:
    """Complain about what a person would miss in a rule."""
    found = []
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.id):
        found.append(f"{rule.id}: not lower-case words with hyphens")
    found += [f"{rule.id}: {n} is not Chinese" for n in ("zh", "reason_zh") if not HAN.search(getattr(rule, n))]
    found += [f"{rule.id}: {n} is not English" for n in ("en", "reason_en") if not plain(getattr(rule, n))]
    if not rule.clause.strip():
        found.append(f"{rule.id}: no clause says where its limit comes from")
    if not rule.kinds or rule.version < 1 or rule.hold_s < 0 or rule.clear_s < 0:
        found.append(f"{rule.id}: kinds {rule.kinds}, version {rule.version}, hold {rule.hold_s}, clear {rule.clear_s}")
    zh, en = placeholders(rule.reason_zh), placeholders(rule.reason_en)
    if zh != en:
        found.append(f"{rule.id}: reasons use {sorted(zh)} in Chinese and {sorted(en)} in English")
    return found + [f"{rule.id}: unknown placeholder {{{p}}}" for p in sorted((zh | en) - PLACEHOLDERS)]


def plain(text: str) -> bool:
    """Tell whether a text is English."""
    return bool(text.strip()) and not HAN.search(text)


def placeholders(text: str) -> set[str]:
    """Give the names in braces."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def scenario_complaints(rules: Iterable[str], scenarios: Mapping[str, str]) -> list[str]:
    """Complain about rules without a scenario in which they raise."""
    named: set[str] = set()
    raised: set[str] = set()
    for text in scenarios.values():
        for function in ast.walk(ast.parse(text)):
            if isinstance(function, ast.FunctionDef) and function.name.startswith("test_"):
                words = {n.value for n in ast.walk(function) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
                named |= words
                raised |= words if "raise" in words else set()
    found = [f"{rule}: no scenario names it" for rule in rules if rule not in named]
    return found + [f"{rule}: it raises in no scenario" for rule in rules if rule in named and rule not in raised]
