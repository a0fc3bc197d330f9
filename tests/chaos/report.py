"""What both runs together say: the figures, the file, and one line for people."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos.outcome import LEFT_OUT, Difference, compare
from tests.chaos.run import Ran
from tests.chaos.schedule import Schedule

SHOWN = 5
KEPT = 2000


def differences(ran: Ran, reference: Ran) -> dict[str, Difference]:
    """Give the rows that are not in both runs."""
    return compare(reference.tables, ran.tables)


def report(schedule: Schedule, ran: Ran, reference: Ran, skipped: list[str]) -> dict[str, Any]:
    """Give the report; ``lost``, ``doubled`` and ``differs_from_fault_free`` must be 0."""
    found = differences(ran, reference)
    return {
        "seed": schedule.seed,
        "faults": [s.plain() for s in ran.struck],
        "lost": ran.accounts.lost,
        "doubled": ran.accounts.doubled,
        "differs_from_fault_free": sum(d.count for d in found.values()),
        "longest_stall_s": round(ran.stalls.seconds, 1),
        "load_average": [round(n, 1) for n in os.getloadavg()],
        "passed": not complaints(ran, reference, found),
        "complaints": complaints(ran, reference, found),
        "skipped": skipped,
        "rows_compared": {name: d.rows for name, d in found.items() if d.rows or d.count},
        "differing": {name: _shown(d) for name, d in found.items() if d.count},
        "left_out": dict(LEFT_OUT),
        "stalls": [{"seconds": round(s.seconds, 1), "at": round(s.at, 1), "partition": s.partition} for s in ran.stalls.longest],
        "with_faults": _run(ran),
        "fault_free": _run(reference),
    }


def _run(ran: Ran) -> dict[str, Any]:
    ledger = {k: v for k, v in ran.ledger.items() if k != "by"}
    return {
        "seconds": round(ran.seconds, 1),
        "messages": ran.messages,
        "sent_again": ran.repeated,
        "accounts": asdict(ran.accounts),
        "ledger": ledger,
        "restarts": ran.restarts,
        "refused_answers": len(ran.refused),
    }


def _shown(difference: Difference) -> dict[str, Any]:
    sides = {"only_fault_free": difference.only_without, "only_with_faults": difference.only_with}
    shown = {name: [row.decode("utf-8", "replace") for row in rows[:SHOWN]] for name, rows in sides.items()}
    return {"rows": difference.count, **shown}


def complaints(ran: Ran, reference: Ran, found: dict[str, Difference]) -> list[str]:
    """Give every reason why this is no success."""
    said: list[str] = []
    for name, one in (("fault-free run", reference), ("run with faults", ran)):
        said += [f"{name}: {what}" for what in one.amiss]
        figures = {"lost": one.accounts.lost, "doubled": one.accounts.doubled, "rows nobody sent": one.accounts.strange}
        said += [f"{name}: {n} {what}" for what, n in figures.items() if n]
        if one.refused:
            said.append(f"{name}: {len(one.refused)} answers were not 'done', such as {one.refused[:3]}")
        if (
            one.ledger.get("lost", 1)
            or one.ledger.get("in_flight", 1)
            or any(b["lost"] or b["in_flight"] for b in one.ledger["by"])
        ):
            said.append(f"{name}: the ledger does not balance: { {k: v for k, v in one.ledger.items() if k != 'by'} }")
    said += [f"{d.count} rows of {name} differ" for name, d in found.items() if d.count]
    return said


def line(told: dict[str, Any]) -> str:
    """Give the result in one line."""
    struck = [f for f in told["faults"] if not str(f.get("note", "")).startswith(("skipped", "SKIPPED"))]
    return (
        f"{'通过 passed' if told['passed'] else '未通过 FAILED'}: {len(struck)} 个故障 faults, seed {told['seed']}, "
        f"{sum(told['rows_compared'].values()):,} 行 rows; 丢失 lost {told['lost']}, 重复 doubled {told['doubled']}, "
        f"差异 differing {told['differs_from_fault_free']}, 最长停顿 longest stall {told['longest_stall_s']} s"
    )


def write(told: dict[str, Any], path: Path) -> None:
    """Write the report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_differences(ran: Ran, reference: Ran, path: Path) -> None:
    """Write the rows that differ, for whoever looks for the reason."""
    lines: list[str] = [*ran.accounts.examples, *reference.accounts.examples]
    for name, d in differences(ran, reference).items():
        for mark, rows in (("-", d.only_without), ("+", d.only_with)):
            lines += [f"{name} {mark} {row.decode('utf-8', 'replace')}" for row in rows[:KEPT]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
