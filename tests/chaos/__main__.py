"""Run the system under faults and once more without, compare, and write build/chaos.json.

Exit status 0 only if nothing was lost, doubled or different and the ledger balances.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from schemas.errors import Fatal
from tests.chaos import isolation, report
from tests.chaos.isolation import Network, Unavailable
from tests.chaos.run import Conditions, Look, Ran, run
from tests.chaos.schedule import DEFAULT_FAULTS, DEFAULT_SEED, HERE, Flawed, Schedule, generate, load
from tests.chaos.script import S, Script
from tests.integration.timescale import Unavailable as NoTimescale

BUILD = Path(__file__).parents[2] / "build"
PACE, FREE_PACE = 1.0, 2.5
"""Steps a second with faults, and without."""
HOUR = 3600 * S
FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="draw the schedule from this seed")
    parser.add_argument("--faults", type=int, help=f"draw so many faults (default {DEFAULT_FAULTS})")
    parser.add_argument("--schedule", type=Path, default=HERE / "default.toml", help="faults from this file")
    parser.add_argument("--terminals", type=int, default=500, help="vehicles, each reporting once a second")
    parser.add_argument("--out", type=Path, default=BUILD / "chaos.json")
    parser.add_argument("--print", action="store_true", help="only print the schedule")
    return parser.parse_args(argv)


def chosen(given: argparse.Namespace) -> Schedule:
    """Give the schedule: drawn if a seed or a number is given, else the file's."""
    if given.seed is None and given.faults is None:
        return load(given.schedule)
    seed = DEFAULT_SEED if given.seed is None else given.seed
    return generate(seed, DEFAULT_FAULTS if given.faults is None else given.faults)


def main(argv: list[str]) -> int:
    """Run what was asked for; give the exit status."""
    given, console = arguments(argv), Console(stderr=True)
    try:
        schedule = chosen(given)
    except Flawed as error:
        console.print(f"[red]{error}")
        return WRONG_USE
    if given.print:
        sys.stdout.write(schedule.to_toml())
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    with tempfile.TemporaryDirectory(prefix="cityops-chaos-", ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        work.chmod(0o755)  # the database may run as another user
        try:
            told = both(schedule, given, work, console)
        except KeyboardInterrupt:
            console.print("[yellow]中断 interrupted; everything started was ended")
            return INTERRUPTED
        except (Fatal, NoTimescale) as error:
            console.print(f"[red]{escape(str(error))}")
            return FAILED
    sys.stdout.write(report.line(told) + "\n")
    return 0 if told["passed"] else FAILED


def both(schedule: Schedule, given: argparse.Namespace, work: Path, console: Console) -> dict[str, object]:
    """Run with faults, then without, and give the report."""
    script = Script(
        schedule, start_of(schedule.steps, time.time_ns() // 1000), terminals=given.terminals, remote=max(1, given.terminals // 8)
    )
    with conditions(work, console) as (where, skipped), shown(console) as look:
        ran = asyncio.run(run(script, schedule.faults, where, work / "with-faults", PACE, look))
        free = asyncio.run(run(script, (), where, work / "fault-free", FREE_PACE, look))
    told = report.report(schedule, ran, free, skipped)
    report.write(told, given.out)
    for complaint in told["complaints"]:
        console.print(f"[red]{escape(complaint)}")
    if not told["passed"]:
        keep(work, given.out, ran, free)
    return told


def start_of(steps: int, now: int) -> int:
    """Give when the input begins: every hour it touches is over, so that both runs see all its windows closed.

    It begins ten minutes before an hour does, so that windows of every length end within it.
    """
    hours = -(-steps * S // HOUR)
    return now // HOUR * HOUR - hours * HOUR - HOUR // 6


def keep(work: Path, out: Path, ran: Ran, free: Ran) -> None:
    """Leave logs and differing rows beside the report."""
    report.write_differences(ran, free, out.with_suffix(".differences.txt"))
    for name in ("with-faults", "fault-free"):
        target = out.parent / f"chaos-{name}-logs"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(work / f"{name}-logs", target)


@contextmanager
def conditions(work: Path, console: Console) -> Iterator[tuple[Conditions, list[str]]]:
    """Give what this machine offers; what it does not is said loudly."""
    network: Network | None = None
    skipped: list[str] = []
    try:
        isolation.check()
        isolation.leave_mounts()
        network = Network(work)
        network.start()
    except Unavailable as error:
        skipped.append(f"network cut and full spool disk: {error}")
        console.print(f"[bold yellow]SKIPPED {skipped[0]}")
        network = None
    timescale = os.environ.get("CITYOPS_TEST_TIMESCALE") == "1"
    try:
        yield Conditions(network, small_disk=network is not None, timescale=timescale), skipped
    finally:
        if network is not None:
            network.stop()


@contextmanager
def shown(console: Console) -> Iterator[Look]:
    """Give what is told of the progress: a bar on a terminal, lines elsewhere."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=1.0)
        last = ""

        def look(text: str, share: float) -> None:
            nonlocal last
            if share < 0:
                console.print(text, highlight=False)
                return
            if share in (0.0, 1.0) and text != last and text.isalpha():
                console.print(text)
            last = text
            progress.update(task, description=text, completed=share)

        yield look


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
