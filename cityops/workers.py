"""Starting the processes of a system under a supervisor: servers first, then those that read, then those that write."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cityops import settings
from cityops.embedded import Embedded
from cityops.place import Place
from cityops.process import Process
from cityops.supervisor import Part, Supervisor
from cityops.topics import ensure_topics
from schemas.config import Config

Command = tuple[str, list[str], float]
"""Command, arguments, and how long it may take to stop."""
DEVICES, CONNECT = "simulate", "connect"
READERS: tuple[Command, ...] = (("stream", ["--worker", "0"], 15.0), ("store", ["--worker", "0"], 15.0))
OUTWARD: tuple[Command, ...] = (("serve", [], 10.0), (DEVICES, [], 20.0), (CONNECT, [], 20.0))


def start_workers(config: Config, place: Place, embedded: Embedded, supervisor: Supervisor) -> Path:
    """Create topics and tables, publish the settings, watch the servers, start stream and store; gives the settings' path."""
    from storage.migrate import migrate

    if os.environ.get(settings.KAFKA):
        ensure_topics(config.kafka.bootstrap, config.kafka.partitions)
    else:
        embedded.topics(config.kafka.partitions)
    migrate(settings.database_url(config), config.database.schema)
    path = settings.publish(config, place)
    for server in embedded.parts:
        supervisor.add(Part(server.process, grace_s=30.0), running=True)
    for name, arguments, grace_s in READERS:
        supervisor.add(Part(process(name, arguments, path, place), grace_s=grace_s))
    return path


def process(name: str, arguments: list[str], settings_file: Path, place: Place) -> Process:
    """Give one of our own commands as a process with these settings."""
    argv = [sys.executable, "-m", "cityops", name, *arguments, "--config", str(settings_file)]
    return Process(name, argv, run=place.run, logs=place.logs)
