"""Every rule is understandable, founded, documented, and tried in a scenario where it raises."""

from __future__ import annotations

import pytest

from schemas.config import Config
from schemas.rules import Rule
from streams.worker import rules_of
from tests.contract.checks import REPO, rules

RULES = rules_of(Config())
SCENARIOS = {p.name: p.read_text(encoding="utf-8") for p in sorted((REPO / "tests/scenarios").glob("test_*.py"))}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_a_rule_tells_people_what_why_and_by_which_clause(rule: Rule) -> None:
    assert rules.complaints(rule) == []
    told = [r.format(value="1", limit="2", unit="km/h") for r in (rule.reason_zh, rule.reason_en)]
    assert not any("{" in words for words in told)


def test_every_rule_raises_in_a_scenario() -> None:
    assert len(RULES) >= 10
    assert rules.scenario_complaints(RULES, SCENARIOS) == []


def test_the_reference_lists_every_rule_with_its_clause() -> None:
    text = (REPO / "docs/reference/rules.md").read_text(encoding="utf-8")
    assert [r.id for r in RULES.values() if f"`{r.id}`" not in text or r.clause not in text] == []
