"""Run all benchmarks, or one: prints a table, writes build/bench.json and the figures of docs/benchmarks.md."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import re
import sys
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests import bench
from tests.bench.result import Result

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- figures: written by make bench -->", "<!-- end of figures -->"


def names() -> list[str]:
    """Give the benchmarks there are: modules of this folder with a ``run``."""
    return sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if m.name.startswith("bench_"))


def main(argv: list[str]) -> int:
    """Run what was asked for; give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one benchmark: " + ", ".join(n.removeprefix("bench_") for n in names()))
    parser.add_argument("--seconds", type=float, default=20.0, help="roughly how long each measurement may take")
    chosen = parser.parse_args(argv)
    console = Console()
    wanted = [n for n in names() if chosen.only in (None, n.removeprefix("bench_"))]
    if not wanted:
        console.print(f"no benchmark {chosen.only!r}; there are {', '.join(n.removeprefix('bench_') for n in names())}")
        return 2
    results: dict[str, Result] = {}
    failed: list[str] = []
    for name in wanted:
        begun = time.monotonic()
        try:
            with console.status(f"{name.removeprefix('bench_')} ..."):
                for result in importlib.import_module(f"tests.bench.{name}").run(chosen.seconds):
                    results[result.name] = result
                    console.print(f"[bold]{result.name}[/] {result.value:,.0f} {result.unit} {ratios(result)}")
        except Exception as error:  # noqa: BLE001 - the others are still worth measuring
            failed.append(name.removeprefix("bench_"))
            console.print(f"[bold red]{failed[-1]} FAILED[/]: {error!r}", highlight=False, soft_wrap=True)
        console.print(f"{name.removeprefix('bench_')}: {time.monotonic() - begun:.0f} s")
    write(results)
    console.print(table(results))
    if failed:
        console.print(f"[bold red]failed: {', '.join(failed)}[/]")
    return 1 if failed else 0


def ratios(result: Result) -> str:
    """Give the comparisons of a figure as text."""
    return "; ".join(f"{ratio:.3g} × {other}" for other, ratio in result.against.items())


def table(results: dict[str, Result]) -> Table:
    """Give the figures as a table for the terminal."""
    shown = Table("what", "figure", "unit", "against", "rows/frame", "cores")
    for r in results.values():
        shown.add_row(r.name, f"{r.value:,.0f}", r.unit, ratios(r), str(r.rows_per_frame or ""), f"{r.cores:g}")
    return shown


def write(results: dict[str, Result]) -> None:
    """Write build/bench.json (figures of other runs of it are kept) and the table of docs/benchmarks.md."""
    path = ROOT / "build" / "bench.json"
    path.parent.mkdir(exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    known |= {name: {k: v for k, v in asdict(r).items() if k != "name"} for name, r in results.items()}
    path.write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n")
    page = ROOT / "docs" / "benchmarks.md"
    rows = "".join(
        f"| {name} | {f['value']:,.0f} {f['unit']} | {'<br>'.join(f'{v:.3g} × {o}' for o, v in f['against'].items())} "
        f"| {f['rows_per_frame'] or ''} | {f['cores']:g} | `{f['command']}` | {f['note']} |\n"
        for name, f in sorted(known.items())
    )
    head = "| what | figure | ratio in the same run | rows a frame | cores | command | what differs |\n|---|---|---|---|---|---|---|\n"
    text = page.read_text(encoding="utf-8")
    new = re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: f"{BEGIN}\n{head}{rows}{END}", text, flags=re.DOTALL)
    page.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
