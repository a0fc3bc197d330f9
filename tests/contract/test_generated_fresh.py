"""What can be generated is committed as it would be generated now."""

from __future__ import annotations

import re

from cityops import reference
from schemas import generate
from tests.contract.checks import REPO, fresh


def test_generated_files_are_fresh() -> None:
    wanted = generate.files() | reference.files()
    assert len(wanted) >= 12
    assert fresh.complaints(wanted, REPO) == []


def test_every_connector_has_a_readme_with_its_settings() -> None:
    made = reference.files()
    assert [n for n in reference.own_connectors() if f"connectors/{n}/README.md" not in made] == []


def test_nothing_else_claims_to_be_generated() -> None:
    wanted = (generate.files() | reference.files()).keys()
    folders = [REPO / "docs/reference", REPO / "dashboard/src/generated"]
    assert [str(p.relative_to(REPO)) for f in folders for p in f.iterdir() if str(p.relative_to(REPO)) not in wanted] == []


def test_the_table_of_an_alerts_life_agrees_with_its_own_commands() -> None:
    rows = [line for line in reference.alerts_md().splitlines() if re.match(r"\| (无|`)", line)]
    assert len(rows) == 5 + 4
    assert rows[0].startswith("| 无 none | open (`opened`) | — | — | `refused`")
