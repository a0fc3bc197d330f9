"""Which faults strike when: read from TOML, or drawn from a seed."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PROCESSES = ("connect", "stream-0", "stream-1", "store", "kafka", "postgres")
KINDS: dict[tuple[str, str], tuple[int, int]] = {
    **{(target, "kill"): (0, 0) for target in PROCESSES},
    **{(target, "freeze"): (20, 20) for target in PROCESSES},
    ("kafka", "stop"): (6, 15),
    ("postgres", "stop"): (6, 15),
    ("connect", "stop"): (3, 8),
    ("stream-1", "stop"): (12, 15),
    ("store", "stop"): (3, 8),
    ("network", "cut"): (12, 25),
    ("spool", "fill"): (20, 30),
    ("devices", "clock_ahead"): (20, 40),
    ("devices", "clock_back"): (20, 40),
    ("devices", "twice"): (30, 60),
    ("devices", "late"): (30, 60),
}
"""Every (target, fault), and between which bounds its seconds are drawn; 0 is a blow without duration."""
DEVICES = "devices"
"""Faults of this target are part of the input: they come in the run without faults as well."""
CALM_S = 12
"""Before the first fault, so that every part has taken up its work."""
EVERY_S = 13
"""One fault in so many seconds, on average."""
BETWEEN_S = 4
"""Between two faults of one target."""
WEIGHTS = {"kill": 6, "freeze": 1, "stop": 2, "cut": 4, "fill": 2}
DEFAULT_SEED, DEFAULT_FAULTS = 4, 48


class Flawed(Exception):  # noqa: N818 - a verdict on a schedule
    """A schedule that cannot be run; the message says which fault and why."""


@dataclass(frozen=True, order=True)
class Fault:
    """What happens to a target ``at`` seconds (steps of the input) from the start, ``lasts`` seconds long."""

    at: int
    target: str
    fault: str
    lasts: int = 0

    @property
    def is_input(self) -> bool:
        """Whether it is the devices' own: then it is in both runs."""
        return self.target == DEVICES


@dataclass(frozen=True)
class Schedule:
    """All faults of a run in the order of their times; ``steps`` is how long devices report."""

    seed: int
    steps: int
    faults: tuple[Fault, ...]

    def to_toml(self) -> str:
        """Write it as ``load`` reads it."""
        lines = [f"seed = {self.seed}", f"steps = {self.steps}"]
        for f in self.faults:
            lines += ["", "[[fault]]", f"at = {f.at}", f'target = "{f.target}"', f'fault = "{f.fault}"']
            lines += [f"for = {f.lasts}"] if f.lasts else []
        return "\n".join(lines) + "\n"


def load(path: Path) -> Schedule:
    """Read a schedule; ``Flawed`` says what in it cannot be run."""
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
        faults = tuple(sorted(Fault(f["at"], f["target"], f["fault"], f.get("for", 0)) for f in read["fault"]))
        found = Schedule(int(read["seed"]), int(read["steps"]), faults)
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        msg = f"{path}: {error!r}; give seed, steps and [[fault]] tables with at, target, fault and for"
        raise Flawed(msg) from error
    check(found)
    return found


def check(schedule: Schedule) -> None:
    """Raise ``Flawed`` for an unknown fault, one that outlasts the input, or two of one target at a time."""
    free: dict[str, int] = {}
    for f in schedule.faults:
        where = f"{f.fault} of {f.target} at {f.at} s"
        if (f.target, f.fault) not in KINDS:
            raise Flawed(f"{where}: no such fault; there are {', '.join(f'{f} of {t}' for t, f in KINDS)}")
        if f.at < 0 or f.at + f.lasts > schedule.steps:
            raise Flawed(f"{where}: lasts until {f.at + f.lasts} s, the input {schedule.steps} s")
        if KINDS[f.target, f.fault][1] and f.lasts <= 0:
            raise Flawed(f"{where}: needs its seconds, for = n")
        for target in () if f.is_input else resources(f):
            if f.at < free.get(target, 0):
                raise Flawed(f"{where}: the fault of {target} before it lasts until {free[target]} s")
            free[target] = f.at + f.lasts


def resources(fault: Fault) -> tuple[str, ...]:
    """Name what a fault takes hold of: filling the spool needs Kafka away as well."""
    return ("spool", "kafka") if fault.fault == "fill" else (fault.target,)


def generate(seed: int = DEFAULT_SEED, count: int = DEFAULT_FAULTS) -> Schedule:
    """Draw ``count`` faults; from as many as there are kinds on, each kind comes at least once."""
    rng = random.Random(seed)  # noqa: S311 - a schedule, no secret
    kinds = list(KINDS)
    drawn = rng.sample(kinds, min(count, len(kinds)))
    weights = [0 if t == DEVICES else WEIGHTS[f] for t, f in kinds]
    drawn += rng.choices(kinds, weights, k=count - len(drawn))
    rng.shuffle(drawn)
    placed: list[Fault] = []
    free: dict[str, int] = {}
    for number, (target, fault) in enumerate(drawn):
        lasts = rng.randint(*KINDS[target, fault])
        wished = CALM_S + number * EVERY_S + rng.randrange(EVERY_S)
        held = () if target == DEVICES else resources(Fault(0, target, fault))
        at = max([wished, *(free.get(name, 0) for name in held)])
        free |= dict.fromkeys(held, at + lasts + BETWEEN_S)
        placed.append(Fault(at, target, fault, lasts))
    found = Schedule(seed, _end(placed) + CALM_S, tuple(sorted(placed)))
    check(found)
    return found


def _end(faults: Iterable[Fault]) -> int:
    return max((f.at + f.lasts for f in faults), default=CALM_S)
