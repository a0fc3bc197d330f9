"""Other stream processors, each in an environment of its own, measured from outside."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cityops.kafka import digests, java, locked
from schemas.errors import Fatal

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
HOMES = ROOT / "build" / "bench-venvs"
STREAMS = "org.apache.kafka:kafka-streams:4.3.0+org.slf4j:slf4j-nop:1.7.36"
STREAMS_LOCK = PEERS / "kafka-streams.lock"


class Absent(Exception):  # noqa: N818 - a verdict on this machine
    """This peer cannot run here; the text says why."""


def python(peer: str) -> list[str]:
    """Give the interpreter of a peer's environment, made from its pinned list where it is absent or another one."""
    pins = PEERS / f"{peer}.txt"
    home = HOMES / peer
    stamp, wanted = home / "pins", hashlib.sha256(pins.read_bytes()).hexdigest()
    HOMES.mkdir(parents=True, exist_ok=True)
    with (HOMES / f"{peer}.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(home, ignore_errors=True)
            _make(home, pins)
            stamp.write_text(wanted)
    return [str(home / "bin" / "python")]


def _make(home: Path, pins: Path) -> None:
    """Make an environment with uv where it is installed, otherwise with pip."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    interpreter = str(home / "bin" / "python")
    install = (
        [uv, "pip", "install", "-q", "--system-certs", "--python", interpreter]
        if uv
        else [interpreter, "-m", "pip", "install", "-q"]
    )
    for command in ([sys.executable, "-m", "venv", *(["--without-pip"] if uv else []), str(home)], [*install, "-r", str(pins)]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise Absent(f"{home.name} could not be installed: {(done.stderr or done.stdout).strip()[-300:]}")


def kafka_streams() -> list[str]:
    """Give the command of our Kafka Streams program: jars as the broker's, compiled by the JDK of this machine."""
    compiler = shutil.which("javac")
    if compiler is None:
        raise Absent("Kafka Streams needs a JDK: there is no javac")
    source = PEERS / "KafkaStreamsWindows.java"
    jars = _jars()
    classpath = os.pathsep.join(str(j) for j in jars)
    classes = HOMES / "kafka-streams" / hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    if not (classes / "KafkaStreamsWindows.class").exists():
        classes.mkdir(parents=True, exist_ok=True)
        command = [compiler, "--release", "17", "-cp", classpath, "-d", str(classes), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise Absent(f"{source.name} does not compile: {done.stderr.strip()[-300:]}")
    return [
        str(java()),
        "-Xmx1g",
        "--enable-native-access=ALL-UNNAMED",
        "-cp",
        f"{classes}{os.pathsep}{classpath}",
        "KafkaStreamsWindows",
    ]


def _jars() -> list[Path]:
    """Give the jars of Kafka Streams, each proved against the committed lock file."""
    from jgo.env import EnvironmentBuilder
    from jgo.maven import MavenContext

    cache = Path.home() / ".cache" / "cityops"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "jars.lock").open("a") as handle:  # two starts at once would write the same files
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            found = EnvironmentBuilder(MavenContext(), cache_dir=cache / "jars").from_endpoint(STREAMS).all_jars
        except Exception as error:
            raise Absent(f"the jars of Kafka Streams cannot be had: {error}") from error
    jars = [Path(j) for j in found]
    if digests(jars) != locked(STREAMS_LOCK.read_text(encoding="utf-8")):
        raise Fatal(f"the jars of Kafka Streams differ from {STREAMS_LOCK.name}; delete ~/.cache/cityops/jars and start again")
    return jars


@dataclass
class Running:
    """A peer at work: what it said, and how much CPU it had used by then."""

    process: subprocess.Popen[bytes]
    log: Path
    marks: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By word: wall clock, and CPU seconds of user and system together."""

    def listen(self) -> None:
        """Note the moment of every word until the peer ends."""
        assert self.process.stdout is not None
        own = psutil.Process(self.process.pid)
        for line in self.process.stdout:
            word = line.strip().decode(errors="replace")
            if word in ("begin", "end") and word not in self.marks:
                try:
                    self.marks[word] = (time.monotonic(), sum(own.cpu_times()[:2]))
                except psutil.NoSuchProcess:
                    return

    def until(self, what: str, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition; a peer that ended, or too long a wait, raises ``RuntimeError`` with its last words."""
        limit = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None or time.monotonic() > limit:
                state = (
                    f"ended with {self.process.returncode}" if self.process.poll() is not None else f"{seconds:.0f} s are over"
                )
                raise RuntimeError(f"{self.log.stem}: {what}: {state}\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    @property
    def spent(self) -> tuple[float, float]:
        """Wall and CPU seconds between the first reading and the last."""
        begin, end = self.marks["begin"], self.marks["end"]
        return end[0] - begin[0], end[1] - begin[1]


@contextmanager
def peer(name: str, command: list[str], folder: Path) -> Iterator[Running]:
    """Run a peer until the end of the block."""
    log = folder / f"{name}.log"
    state = folder / f"{name}-state"
    state.mkdir()
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=state, stdout=subprocess.PIPE, stderr=errors, env={**os.environ, "PYTHONWARNINGS": "ignore"}
        )
    found = Running(process, log)
    ear = threading.Thread(target=found.listen, daemon=True)
    ear.start()
    try:
        yield found
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)
        ear.join(timeout=5)
