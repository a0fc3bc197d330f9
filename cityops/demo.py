"""The whole city on one machine: embedded parts, every process, simulated devices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import structlog
from rich.console import Console

from cityops import settings
from cityops.embedded import Embedded
from cityops.parts import now
from cityops.place import Place
from cityops.shown import show
from cityops.supervisor import Part, Supervisor
from cityops.workers import CONNECT, DEVICES, OUTWARD, process, start_workers
from schemas.config import Config
from schemas.errors import Fatal

log = structlog.get_logger()

READY_S = 180.0
LISTENING_S = 60.0
"""How long the simulated devices may take to listen; then the connectors dial them all the same, again and again."""
DRAIN_S = 180.0
LOOK_S = 0.2
UNBALANCED = 1
INTERRUPTED = 130


def run(*, seconds: float | None, headless: bool, port: int | None, fresh: bool, as_json: bool, data_dir: Path | None) -> int:
    """Run the demo until Ctrl-C or for ``seconds``; gives the exit status.

    0: stopped as asked, and with ``seconds`` the ledger balances. 1: it does not. 130: ended early by a
    signal. A part that cannot start raises ``Fatal``.
    """
    place = Place(data_dir or Path(os.environ.get(settings.DATA) or Config().data_dir))
    place.lock()
    previous = signal.signal(signal.SIGTERM, _interrupt)
    city = Demo(place, port)
    try:
        if fresh:
            place.wipe()
        city.start()
        city.wait_ready()
        city.announce(headless=headless, as_json=as_json)
        if seconds is None:
            city.watch(float("inf"))
        city.watch(seconds or 0.0)
        return city.settle(as_json=as_json)
    except KeyboardInterrupt:
        return 0 if seconds is None else INTERRUPTED
    finally:
        city.stop()
        place.unlock()
        signal.signal(signal.SIGTERM, previous)


class Demo:
    """The running demo."""

    def __init__(self, place: Place, port: int | None) -> None:
        self._place = place
        self._port = port
        self._supervisor = Supervisor()
        self._embedded: Embedded | None = None
        self.config = Config()
        self._account = ("", "")
        self._say = Console(stderr=True)

    def start(self) -> None:
        """Start broker, database and every process."""
        kafka, database = os.environ.get(settings.KAFKA), os.environ.get(settings.DATABASE)
        self._embedded = Embedded(self._place, kafka=not kafka, postgres=not database)
        with self._status("启动 Kafka 和数据库 / starting Kafka and the database"):
            self._embedded.start()
        bootstrap, url = kafka or self._embedded.bootstrap, database or self._embedded.database_url
        self.config = settings.demo(self._place, bootstrap=bootstrap, database=url, port=self._port)
        write_roads(self._place)
        if "opcua" not in self.config.connectors:
            self._say.print(
                "未安装 asyncua，演示不含 OPC UA / no package asyncua: the demo goes on without OPC UA; install cityops[opcua]"
            )
        with self._status("创建主题和数据表，启动各进程 / creating topics and tables, starting processes"):
            path = start_workers(self.config, self._place, self._embedded, self._supervisor)
            self._account = asyncio.run(ensure_account(self._place, self.config))
            asyncio.run(lay_layers(self.config))
            for name, arguments, grace_s in OUTWARD:
                if name == CONNECT:
                    self._wait_listening()
                self._supervisor.add(Part(process(name, arguments, path, self._place), grace_s=grace_s))

    def _wait_listening(self) -> None:
        """Return when the devices that connectors dial or poll are there: a first look at the logs finds nothing refused."""
        last = urlsplit(str(self.config.connectors["gbfs"]["url"])).port or 0
        deadline = time.monotonic() + LISTENING_S
        while not answers(last) and time.monotonic() < deadline:
            self._look()

    def wait_ready(self) -> None:
        """Return when a browser would see data; ``Fatal`` after a while, with the last words of what failed."""
        with self._status("等待第一批数据 / waiting for the first readings"):
            deadline = time.monotonic() + READY_S
            while not ready(self.url):
                if time.monotonic() > deadline:
                    raise Fatal(f"not ready after {READY_S:.0f} s; {self._complaints()}")
                self._look()

    def _complaints(self) -> str:
        ended = [p for p in self._supervisor.parts if p.restarts or p.again_at]
        words = [f"{p.name} ended {p.restarts + (p.again_at is not None)} times: {p.process.tail(1)}" for p in ended]
        return "; ".join(words) or f"every process runs; see {self._place.logs}"

    @property
    def url(self) -> str:
        """The page."""
        return f"http://{self.config.gateway.host}:{self.config.gateway.port}/"

    def announce(self, *, headless: bool, as_json: bool) -> None:
        """Print the line that tells where to look and how to log in."""
        user, password = self._account
        if as_json:
            sys.stdout.write(json.dumps({"ready": {"url": self.url, "user": user, "password": password}}) + "\n")
        else:
            sys.stdout.write(f"ready {self.url} {user} {password}\n")
        sys.stdout.flush()
        if not headless and sys.stdout.isatty() and desktop():
            webbrowser.open(self.url)

    def watch(self, seconds: float) -> None:
        """Keep everything running for so long."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self._look()

    def _look(self) -> None:
        self._supervisor.check()
        time.sleep(LOOK_S)

    def settle(self, *, as_json: bool) -> int:
        """Stop devices and connectors, wait until everything is stored, print the ledger; 0 if it balances."""
        from cityops.ledger import settled, table, wait_until

        with self._status("停止设备并等待入库 / stopping devices, waiting until all is stored"):
            self._stop_input()
            book = wait_until(self.config, settled, DRAIN_S, look=self._look)
        if as_json:
            sys.stdout.write(json.dumps({"ledger": book.as_dict()}, ensure_ascii=False) + "\n")
        else:
            show(table(book))
        return 0 if book.balances else UNBALANCED

    def stop(self) -> None:
        """Stop every process in order: devices and connectors first, the broker and the database last."""
        with self._status("正在停止 / stopping"):
            self._stop_input()
            self._supervisor.stop_all()
            if self._embedded is not None:
                self._embedded.stop()
        self._place.runtime_file.unlink(missing_ok=True)

    def _stop_input(self) -> None:
        running = {part.name for part in self._supervisor.parts}
        for name in (DEVICES, CONNECT):
            if name in running:
                self._supervisor.stop(name)

    def _status(self, text: str) -> contextlib.AbstractContextManager[object]:
        return self._say.status(text) if self._say.is_terminal else contextlib.nullcontext()


def answers(port: int) -> bool:
    """Tell whether somebody listens on a loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0):
            return True
    except OSError:
        return False


def ready(url: str) -> bool:
    """Tell whether the gateway is ready and shows at least one source."""
    try:
        with urllib.request.urlopen(f"{url}readyz", timeout=2.0) as answer:  # noqa: S310 - http to the loopback
            if answer.status != 200:
                return False
        with urllib.request.urlopen(f"{url}metrics", timeout=2.0) as answer:  # noqa: S310
            return entities(answer.read().decode()) > 0
    except (urllib.error.URLError, OSError, ValueError):
        return False


def entities(metrics: str) -> float:
    """Give how many sources the live map shows, from the gateway's metrics."""
    return sum(float(line.rpartition(" ")[2]) for line in metrics.splitlines() if line.startswith("cityops_gateway_entities{"))


def desktop() -> bool:
    """Tell whether there is a desktop that can open a page."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


async def ensure_account(place: Place, config: Config) -> tuple[str, str]:
    """Give the page's first user and password: made at the first start, kept in the data folder ever after.

    A password of ``-`` means that the database had users before and does not tell theirs.
    """
    from storage.accounts import ensure_admin
    from storage.connect import create_pool

    pool = await create_pool(config.database.url, config.database.schema, size=1)
    try:
        password = await ensure_admin(pool, now())
    finally:
        await pool.close()
    if password is not None:
        place.remember("admin", password)
    return "admin", place.recall("admin") or "-"


async def lay_layers(config: Config) -> None:
    """Put the simulated city's layers to use at the first start; a layer that has a version already stays as it is."""
    from cityops.city import reference_layers
    from storage import layers
    from storage.connect import create_pool

    pool = await create_pool(config.database.url, config.database.schema, size=1, timeout=layers.LOAD_S)
    try:
        known = {v.layer for v in await layers.versions(pool)}
        for name, features in reference_layers().items():
            if name not in known:
                version, _ = await layers.save(pool, name, features, title="模拟城市 / simulated city", note="", at=now())
                await layers.activate(pool, name, version, at=now())
    finally:
        await pool.close()


def write_roads(place: Place) -> None:
    """Lay the roads that the simulated vehicles drive on where the page looks for a basemap's roads."""
    from cityops.simulator.roads import roads_geojson

    (place.root / "roads.geojson").write_text(json.dumps(roads_geojson(), ensure_ascii=False), encoding="utf-8")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
