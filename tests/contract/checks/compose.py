"""docker-compose.yml and Dockerfile: what can be known of them without Docker."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]

KEYS = set(
    [
        "build",
        "cap_add",
        "cap_drop",
        "command",
        "configs",
        "container_name",
        "cpus",
        "depends_on",
        "deploy",
        "devices",
        "dns",
        "entrypoint",
        "env_file",
        "environment",
        "expose",
        "extra_hosts",
        "group_add",
        "healthcheck",
        "hostname",
        "image",
        "init",
        "ipc",
        "labels",
        "logging",
        "mem_limit",
        "networks",
        "pid",
        "platform",
        "ports",
        "privileged",
        "profiles",
        "pull_policy",
        "read_only",
        "restart",
        "secrets",
        "security_opt",
        "shm_size",
        "stop_grace_period",
        "stop_signal",
        "sysctls",
        "tmpfs",
        "tty",
        "ulimits",
        "user",
        "volumes",
        "working_dir",
    ]
)
"""Keys of a service in the Compose Specification."""
TOP = {"name", "version", "services", "networks", "volumes", "configs", "secrets"}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
RESTARTS = {"no", "always", "on-failure", "unless-stopped"}
HEALTH = {"test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"}
PINNED = re.compile(r"[a-z0-9]+(?:/[a-z0-9-]+)?:v?\d+\.\d+(?:\.\d+)?(?:-[a-z0-9.]+)*")
VARIABLE = re.compile(r"\$\{(\w+)(:[-?][^}]*)?\}")
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY$")
DURATION = re.compile(r"(\d+(h|m|s|ms))+")


def read(path: Path) -> Json:
    """Read a compose file; anchors and merges are resolved."""
    found: Json = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def services(compose: Json) -> dict[str, Json]:
    """Give the services."""
    found: dict[str, Json] = compose["services"]
    return found


def one_shot(service: Json) -> bool:
    """Tell whether a service ends by itself."""
    return service.get("restart") == "no"


def complaints(compose: Json, root: Path) -> list[str]:
    """Complain about everything that Docker would refuse, or run in another way than meant."""
    found = [f"unknown key {k!r}" for k in compose if k not in TOP and not k.startswith("x-")]
    for name, service in services(compose).items():
        found += [f"{name}: unknown key {k!r}" for k in service if k not in KEYS]
        for check in (image, health, restart, starts_after, mounts, ports, memory, joined):
            found += [f"{name}: {text}" for text in check(service, compose, root)]
    return [*found, *unused(compose), *secrets(compose)]


def image(service: Json, _compose: Json, root: Path) -> Iterator[str]:
    """Complain about an image that is absent, not pinned, or names a registry."""
    wanted = service.get("image", "")
    if not PINNED.fullmatch(wanted):
        yield f"image {wanted!r} is not 'name:version'"
    if "build" in service and not (root / service["build"] / "Dockerfile").is_file():
        yield f"no Dockerfile in {service['build']!r}"


def health(service: Json, _compose: Json, _root: Path) -> Iterator[str]:
    """Complain about a lasting service nobody asks how it is."""
    asked = service.get("healthcheck", {})
    yield from (f"healthcheck: unknown key {k!r}" for k in asked if k not in HEALTH)
    if one_shot(service):
        return
    if asked.get("disable") or not asked.get("test"):
        yield "no healthcheck"
    elif asked["test"][0] not in ("CMD", "CMD-SHELL") or len(asked["test"]) < 2:
        yield "healthcheck.test must be CMD or CMD-SHELL with a command"
    for key in ("interval", "timeout", "start_period"):
        if not DURATION.fullmatch(str(asked.get(key, ""))):
            yield f"healthcheck.{key} is not a duration"


def restart(service: Json, _compose: Json, _root: Path) -> Iterator[str]:
    """Complain about a service that would stay down after a fault."""
    if service.get("restart") not in RESTARTS:
        yield f"restart: {service.get('restart')!r}"


def starts_after(service: Json, compose: Json, _root: Path) -> Iterator[str]:
    """Complain about a dependency that does not exist or cannot meet its condition."""
    for name, how in service.get("depends_on", {}).items():
        other = services(compose).get(name)
        condition = how.get("condition")
        if other is None:
            yield f"depends on {name!r}, which does not exist"
        elif condition not in CONDITIONS:
            yield f"depends on {name!r} with condition {condition!r}"
        elif (condition == "service_completed_successfully") != one_shot(other):
            yield f"waits for {name!r} with {condition}, which it never reaches"


def sources(service: Json) -> Iterator[tuple[str, str, bool]]:
    """Give (source, target, read-only) of every mount, with the defaults of variables."""
    for mount in service.get("volumes", []):
        if isinstance(mount, str):
            source, target, *mode = VARIABLE.sub(lambda m: (m[2] or "").removeprefix(":-"), mount).split(":")
            yield source, target, mode == ["ro"]
        else:
            yield (
                VARIABLE.sub(lambda m: (m[2] or "").removeprefix(":-"), mount["source"]),
                mount["target"],
                mount.get("read_only", False),
            )


def mounts(service: Json, compose: Json, root: Path) -> Iterator[str]:
    """Complain about mounts of what is neither a declared volume nor in the repository, and of files that can be written."""
    for source, _, read_only in sources(service):
        if source.startswith("."):
            if not (root / source).exists():
                yield f"mounts {source}, which is not in the repository"
            if not read_only:
                yield f"mounts {source} writable"
        elif source not in compose.get("volumes", {}):
            yield f"mounts the undeclared volume {source!r}"


def published(service: Json) -> Iterator[tuple[str, str, str]]:
    """Give (address, port outside, port inside) of what a service publishes."""
    for port in service.get("ports", []):
        parts = VARIABLE.sub(lambda m: (m[2] or "").removeprefix(":-"), port).split(":")
        yield (*([""] * (3 - len(parts))), *parts)  # type: ignore[misc] - three parts by construction


def ports(service: Json, _compose: Json, _root: Path) -> Iterator[str]:
    """Complain about ports that everybody can reach by default."""
    for address, outside, inside in published(service):
        if address != "127.0.0.1":
            yield f"port {outside or inside} is published on {address or 'every address'} by default"


def memory(service: Json, _compose: Json, _root: Path) -> Iterator[str]:
    """Complain about a lasting service without a bound on its memory."""
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    if not one_shot(service) and not limits.get("memory"):
        yield "no memory limit"


def joined(service: Json, compose: Json, _root: Path) -> Iterator[str]:
    """Complain about networks that are not declared, and ports published from a network without a way out."""
    names = service.get("networks", [])
    yield from (f"unknown network {n!r}" for n in names if n not in compose.get("networks", {}))
    inside = all((compose.get("networks", {}).get(n) or {}).get("internal") for n in names)
    if service.get("ports") and inside:
        yield "publishes a port and is on internal networks only"


def unused(compose: Json) -> list[str]:
    """Complain about volumes that no service mounts."""
    mounted = {source for service in services(compose).values() for source, _, _ in sources(service)}
    return [f"volume {v!r} is mounted nowhere" for v in compose.get("volumes", {}) if v not in mounted]


def secrets(compose: Json) -> list[str]:
    """Complain about secrets written into the file instead of coming from the environment, which must give them."""
    found = []
    for name, service in services(compose).items():
        for key, given in service.get("environment", {}).items():
            text = str(given)
            if SECRET.search(key) and not re.fullmatch(r"\$\{\w+:\?[^}]*\}", text):
                found.append(f"{name}: {key} is not a required variable")
            if re.search(r"://[^/@:]+:(?!\$\{\w+:\?)[^@]+@", text):
                found.append(f"{name}: {key} holds a password")
    return found


def ours(compose: Json) -> dict[str, Json]:
    """Give the services that run our own image."""
    return {n: s for n, s in services(compose).items() if s.get("image", "").startswith("cityops:")}


def command_complaints(compose: Json, commands: set[str], variables: set[str]) -> list[str]:
    """Complain about commands and environment variables that the command line does not know."""
    found = []
    for name, service in ours(compose).items():
        if service["command"][0] not in commands:
            found.append(f"{name}: no command {service['command'][0]!r}")
        given = set(service.get("environment", {}))
        found += [f"{name}: nothing reads {v}" for v in sorted(given - variables)]
        found += [f"{name}: {v} is not given" for v in sorted(variables - given)]
    return found


def target_complaints(prometheus: Json, compose: Json, metrics_ports: Mapping[str, int]) -> list[str]:
    """Complain about scrape targets that no service serves, and services that nobody scrapes."""
    targets = {t for job in prometheus["scrape_configs"] for s in job["static_configs"] for t in s["targets"]}
    wanted = {f"{name}:{port}" for name, port in metrics_ports.items()}
    found = [f"nothing serves {t}" for t in sorted(targets - wanted)] + [f"nobody scrapes {t}" for t in sorted(wanted - targets)]
    return found + [f"no service {n!r}" for n in metrics_ports if n not in ours(compose)]


def copies(dockerfile: str) -> list[str]:
    """Give the paths that a Dockerfile copies from the repository."""
    found: list[str] = []
    for line in re.sub(r"\\\n", " ", dockerfile).splitlines():
        words = line.split()
        if words[:1] in (["COPY"], ["ADD"]) and not any(w.startswith("--from") for w in words):
            found += [w for w in words[1:-1] if not w.startswith("--")]
    return found


def dockerfile_complaints(dockerfile: str, ignore: str, root: Path) -> list[str]:
    """Complain about a Dockerfile that copies what is not there, runs as root, or has no HEALTHCHECK."""
    allowed = {line[1:].strip("/") for line in ignore.splitlines() if line.startswith("!")}
    found = [f"copies {p}, which is not in the repository" for p in copies(dockerfile) if not (root / p).exists()]
    found += [f"copies {p}, which .dockerignore keeps out" for p in copies(dockerfile) if p.removeprefix("./") not in allowed]
    last = re.split(r"^FROM ", dockerfile, flags=re.MULTILINE)[-1]
    user = re.findall(r"^USER (\S+)", last, flags=re.MULTILINE)
    if not user or user[-1] in ("root", "0"):
        found.append("runs as root")
    if not re.search(r"^HEALTHCHECK ", last, flags=re.MULTILINE):
        found.append("no HEALTHCHECK")
    bases = re.findall(r"^FROM (\S+)", dockerfile, flags=re.MULTILINE)
    return found + [f"base image {b} is not pinned" for b in bases if not PINNED.fullmatch(b)]


def runtime_script(dockerfile: str) -> str:
    """Give the script by which the image picks its packages from constraints.txt."""
    match = re.search(r"<<'RUNTIME'[^\n]*\n(.*?)^RUNTIME$", dockerfile, flags=re.DOTALL | re.MULTILINE)
    assert match is not None, "Dockerfile has no RUNTIME script"
    return match[1]
