"""One child process: its log, its pid file, and that it never outlives us."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from schemas.errors import Fatal

PR_SET_PDEATHSIG = 1
LOG_BYTES = 16 << 20
"""A log larger than this is set aside (once) before the process starts again."""
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Process:
    """A program we run: ``start`` it, ``poll`` it, ``stop`` it.

    On Linux the kernel sends it ``death_signal`` when the thread that started it ends, also after our own
    kill -9: start it from the main thread. It gets its own session, so that Ctrl-C reaches only us and
    the parts stop in order.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        run: Path,
        logs: Path,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = logs / f"{name}.log"
        self.pid_file = run / f"{name}.pid"
        self._env = None if env is None else dict(env)
        self.user: str | None = None
        """System user to run as; our own while absent."""
        self.enter: Callable[[], None] | None = None
        """Step of the child before it runs the program."""
        self._stop_signal = stop_signal
        self._death_signal = death_signal
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> None:
        """Run the program, its output appended to its log; an absent program raises ``Fatal``."""
        self._set_aside()
        with self.log.open("ab") as log:
            try:
                self._child = subprocess.Popen(  # noqa: S603 - our own argument list, no shell
                    self.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    user=self.user,
                    group=self.user,
                    extra_groups=[] if self.user else None,
                    start_new_session=True,
                    preexec_fn=_before(self.enter, self._death_signal),  # noqa: PLW1509 - only system calls, no lock is taken
                )
            except OSError as error:
                msg = f"cannot run {self.argv[0]}: {error.strerror}"
                raise Fatal(msg) from error
        self.pid_file.write_text(f"{self._child.pid}\n", encoding="ascii")

    def poll(self) -> int | None:
        """Give the exit status, negative for a signal; ``None`` while it runs or was never started."""
        return None if self._child is None else self._child.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process if it still runs."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(number)

    def stop(self, grace_s: float) -> int | None:
        """Ask it to stop, wait up to ``grace_s`` seconds, then kill it; gives the exit status."""
        if self._child is None:
            return None
        self.signal(self._stop_signal)
        try:
            self._child.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self.pid_file.unlink(missing_ok=True)
        return self._child.returncode

    def end_leftover(self, mark: str, grace_s: float = 20.0) -> None:
        """End a process that an earlier, killed run left behind: the pid file names it and ``mark`` is in its arguments."""
        try:
            left = psutil.Process(int(self.pid_file.read_text(encoding="ascii")))
            ours = any(mark in part for part in left.cmdline())
        except (OSError, ValueError, psutil.Error):
            return
        if not ours:
            return
        with contextlib.suppress(psutil.Error):
            left.send_signal(self._stop_signal)
            try:
                left.wait(grace_s)
            except psutil.TimeoutExpired:
                left.kill()
                left.wait(grace_s)

    def tail(self, lines: int = 12) -> str:
        """Give the last lines of the log, for an error message."""
        try:
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def _set_aside(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))


def _before(enter: Callable[[], None] | None, number: signal.Signals) -> Callable[[], None] | None:
    """Give the child's steps before it runs the program; the death signal comes last, a change of user would clear it."""
    if _LIBC is None:
        return enter
    parent, libc = os.getpid(), _LIBC

    def arrange() -> None:
        if enter is not None:
            enter()
        libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the line above
            os._exit(1)

    return arrange
