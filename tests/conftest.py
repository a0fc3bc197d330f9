"""What all tests share: the real recordings beside the repository, and the report of which parts were real."""

from __future__ import annotations

from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
REAL_PARTS = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REAL_PARTS] = {}


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Folder of real recordings; they are not part of the repository."""
    folder = REPO.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real recordings at {folder}")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    parts = config.stash[REAL_PARTS]
    if parts:
        terminalreporter.section("real parts")
        for name, what in sorted(parts.items()):
            terminalreporter.write_line(f"{name}: {what}")
