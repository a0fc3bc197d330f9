"""The data folder of an installation: where each part keeps its files, and the ports and secrets it remembers."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import secrets
import shutil
import socket
from pathlib import Path
from typing import IO, Any

from schemas.errors import Fatal

MARK = "cityops-data-dir"
"""File that tells a folder is ours; only such a folder is ever wiped."""
OWNED = ("kafka", "postgres", "spool", "memory", "run", "logs", "simulator", "remembered.json", "runtime.json")
"""Everything that ``wipe`` removes."""
LENT_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST_PORT, TRIES = 15_000, 200
_turn = itertools.count(secrets.randbelow(1 << 16))


class Place:
    """One data folder, created when absent; unreadable or foreign contents raise ``Fatal``."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            (self.root / MARK).touch(exist_ok=True)
            self.run = self._folder("run")
            self.logs = self._folder("logs")
        except OSError as error:
            msg = f"{self.root}: {error.strerror}; give a writable folder with --data-dir"
            raise Fatal(msg) from error
        self._lock: IO[str] | None = None

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def runtime_file(self) -> Path:
        """Tells other commands where the running system's broker and database are."""
        return self.root / "runtime.json"

    def lock(self) -> None:
        """Take the folder for this process; ``Fatal`` if another one runs on it."""
        handle = (self.root / "lock").open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            owner = handle.read().strip() or "?"
            handle.close()
            msg = f"{self.root}: already in use by process {owner}; stop it, or give another folder with --data-dir"
            raise Fatal(msg) from error
        handle.seek(0)
        handle.truncate()
        handle.write(str(os.getpid()))
        handle.flush()
        self._lock = handle

    def unlock(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def in_use(self) -> bool:
        """Tell whether a process runs on this folder now."""
        with (self.root / "lock").open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
            return False

    def wipe(self) -> None:
        """Forget all stored readings, ports and secrets; only files that CityOps made are removed."""
        for name in OWNED:
            path = self.root / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self.run = self._folder("run")
        self.logs = self._folder("logs")

    def port(self, name: str, wanted: int | None = None) -> int:
        """Give a free loopback port: ``wanted``, else the one used last time, else a new one (remembered)."""
        remembered = self._read()
        port = wanted or remembered.get("ports", {}).get(name)
        if wanted and not is_free(wanted):
            msg = f"port {wanted} of 127.0.0.1 is taken; choose another"
            raise Fatal(msg)
        if not port or not is_free(port):
            port = free_port()
        remembered.setdefault("ports", {})[name] = port
        self._write(remembered)
        return int(port)

    def secret(self, name: str) -> str:
        """Give a random secret, the same at every start."""
        known = self.recall(name)
        if known is None:
            known = secrets.token_urlsafe(24)
            self.remember(name, known)
        return known

    def recall(self, name: str) -> str | None:
        """Give a text kept with ``remember``."""
        value = self._read().get("secrets", {}).get(name)
        return None if value is None else str(value)

    def remember(self, name: str, value: str) -> None:
        """Keep a text for later starts, readable by this user only."""
        remembered = self._read()
        remembered.setdefault("secrets", {})[name] = value
        self._write(remembered)

    def _read(self) -> dict[str, Any]:
        try:
            loaded: dict[str, Any] = json.loads((self.root / "remembered.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            msg = f"{self.root / 'remembered.json'}: {error}; start with --fresh to make a new one"
            raise Fatal(msg) from error
        return loaded

    def _write(self, remembered: dict[str, Any]) -> None:
        write_private(self.root / "remembered.json", json.dumps(remembered, indent=1))


def write_private(path: Path, text: str) -> None:
    """Replace a file at once; only this user can read it."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def is_free(port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    """Tell whether a loopback port can be listened on."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Give a loopback port that nobody uses now, and that was not given here before.

    Any outgoing connection may take one of the ports the system lends before a listener does, so these are left out
    where there are others.
    """
    room = _lowest_lent() - LOWEST_PORT
    for _ in range(min(TRIES, room)):
        port = LOWEST_PORT + next(_turn) % room
        if is_free(port, kind):
            return port
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _lowest_lent() -> int:
    """Give the first port that the system lends to outgoing connections; where it does not say, the usual one."""
    try:
        return int(LENT_PORTS.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768
