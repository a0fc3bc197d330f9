"""``cityops connector test``: the golden cases and the contract of one connector, or one packet tried on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from rich.markup import escape
from rich.table import Table

from cityops.connector_kit import conformance
from connectors._api.registry import Connector
from schemas.errors import Fatal


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one check: its name, Chinese label, and what is wrong, if anything is."""

    name: str
    label: str
    flaw: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.flaw

    def as_dict(self) -> dict[str, Any]:
        """Give it for JSON."""
        return {**asdict(self), "passed": self.passed}


def examine(connector: Connector) -> Iterator[Outcome]:
    """Try every golden case, then every other check, each as it is done; one that crashes is an outcome too."""
    for name, case in conformance.cases(connector).items():
        yield _outcome(f"golden/{name}", case.name, partial(conformance.check_golden, connector, name))
    for name, (label, check) in conformance.CHECKS.items():
        if name != "golden":
            yield _outcome(name, label, partial(check, connector))


def _outcome(name: str, label: str, check: Callable[[], None]) -> Outcome:
    try:
        check()
    except (conformance.Flaw, Fatal) as flaw:
        return Outcome(name, label, str(flaw) or repr(flaw))
    except Exception as error:  # noqa: BLE001 - a connector under test may do anything
        return Outcome(name, label, repr(error))
    return Outcome(name, label)


def table(outcomes: Iterable[Outcome], title: str) -> Table:
    """Give the outcomes for people."""
    shown = Table(title=escape(title))
    for head in ("", "检查 check", "内容 what", "不符 what is wrong"):
        shown.add_column(head, overflow="fold")
    for one in outcomes:
        mark = "[green]✓[/]" if one.passed else "[red]✗[/]"
        shown.add_row(mark, escape(one.name), escape(one.label), escape(one.flaw))
    return shown
