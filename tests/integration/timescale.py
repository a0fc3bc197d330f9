"""TimescaleDB without Docker: PostgreSQL 17 of Debian trixie in a folder of its own, for the time of a test session.

Needs root and debootstrap. The folder (about 700 MB) is kept for later sessions; mounts live in a mount
namespace of the server alone, so that nothing stays mounted whatever kills the session.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psycopg

from cityops.place import free_port
from cityops.process import Process

SUITE = "trixie"
PACKAGES = "postgresql-17,postgresql-17-timescaledb"
BIN = "/usr/lib/postgresql/17/bin"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Unavailable(Exception):  # noqa: N818 - a verdict on this machine
    """TimescaleDB cannot run here; the message says why."""


def cache() -> Path:
    """Folder that holds the Debian system."""
    return Path(os.environ.get("CITYOPS_TEST_TIMESCALE_DIR", "~/.cache/cityops/timescale-trixie")).expanduser()


def mirror(apt: Path = Path("/etc/apt")) -> tuple[str, Path]:
    """Give the host's own Debian mirror and its keyring, as apt is configured here."""
    for file in sorted([*apt.glob("sources.list.d/*.sources"), *apt.glob("sources.list"), *apt.glob("sources.list.d/*.list")]):
        text = file.read_text(encoding="utf-8", errors="replace")
        stanzas = text.split("\n\n") if file.suffix == ".sources" else text.splitlines()
        for stanza in stanzas:
            found = _deb822(stanza) if file.suffix == ".sources" else _one_line(stanza)
            if found is not None:
                return found
    raise Unavailable(f"no Debian mirror configured in {apt}")


def _deb822(stanza: str) -> tuple[str, Path] | None:
    fields = dict(re.findall(r"^([A-Za-z-]+):\s*(.+)$", stanza, re.MULTILINE))
    uri = fields.get("URIs", "").split(" ")[0]
    if "main" not in fields.get("Components", "").split() or not uri.rstrip("/").endswith("/debian"):
        return None
    return uri, Path(fields.get("Signed-By", str(KEYRING)))


def _one_line(line: str) -> tuple[str, Path] | None:
    match = re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+/debian)/?\s+\S+\s+.*\bmain\b", line)
    return (match[1], KEYRING) if match else None


def ensure_system(folder: Path) -> None:
    """Fill the folder by debootstrap unless it is complete."""
    if (folder / "complete").exists():
        return
    if shutil.which("debootstrap") is None:
        raise Unavailable("debootstrap is not installed")
    uri, keyring = mirror()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", f"--keyring={keyring}", SUITE, str(folder), uri]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise Unavailable(f"debootstrap failed: {(done.stderr or done.stdout).strip()[-400:]}")
    (folder / "complete").touch()


class Timescale:
    """A TimescaleDB server with a cluster of its own, gone when stopped."""

    def __init__(self, work: Path) -> None:
        if os.geteuid() != 0:
            raise Unavailable("TimescaleDB in a Debian folder needs root (chroot)")
        self._root = cache()
        ensure_system(self._root)
        self._inside = f"/var/lib/cityops-{os.getpid()}-{secrets.token_hex(3)}"
        self.cluster = self._root / self._inside.lstrip("/")
        self.port = free_port()
        self._password = secrets.token_urlsafe(18)
        self._process = Process(
            "timescale", self._command(), run=work, logs=work, stop_signal=signal.SIGINT, death_signal=signal.SIGINT
        )

    def _as_postgres(self, program: str) -> list[str]:
        """Arguments that run a shell line in the folder as its user postgres, with proc and dev of its own."""
        root = self._root
        inner = f"setpriv --reuid=postgres --regid=postgres --clear-groups --pdeathsig=INT {program}"
        line = f"mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev && cd / && exec chroot {root} {inner}"
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", line]

    def _command(self) -> list[str]:
        options = (
            f"-c listen_addresses=127.0.0.1 -c unix_socket_directories={self._inside} -c shared_preload_libraries=timescaledb"
        )
        options += " -c timescaledb.telemetry_level=off -c shared_buffers=256MB -c timezone=UTC"
        return self._as_postgres(f"{BIN}/postgres -D {self._inside}/cluster -p {self.port} {options}")

    @property
    def url(self) -> str:
        """Connection string of the administrator's database."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Create the cluster and return when it takes connections."""
        self.cluster.mkdir(parents=True)
        owner = (self._root / "var/lib/postgresql").stat()
        os.chown(self.cluster, owner.st_uid, owner.st_gid)
        password = self.cluster / "password"
        password.write_text(self._password, encoding="ascii")
        os.chown(password, owner.st_uid, owner.st_gid)
        program = f"{BIN}/initdb -D {self._inside}/cluster -U postgres --auth=scram-sha-256 --pwfile={self._inside}/password"
        program += " --encoding=UTF8 --locale=C.UTF-8"
        done = subprocess.run(self._as_postgres(program), capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            self.stop()
            raise Unavailable(f"initdb in {self._root} failed: {done.stderr.strip()[-400:]}")
        self._process.start()
        deadline = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                words = self._process.tail()
                self.stop()
                raise Unavailable(f"TimescaleDB did not start: {words}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Stop the server and remove its cluster."""
        self._process.stop(20)
        shutil.rmtree(self.cluster, ignore_errors=True)
