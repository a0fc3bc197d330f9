"""The repository keeps its shape: small files and functions, telling names, living paths, layers, nothing of a machine."""

from __future__ import annotations

import subprocess
import sys
from itertools import chain

import pytest

from tests.contract.checks import REPO, layout

FILES = layout.tracked(REPO)
TEXTS = {name: text for name in FILES if (text := layout.text_of(REPO / name)) is not None}
READMES = [name for name in ("README.md", "README.zh-CN.md") if name in TEXTS]


def test_files_and_functions_are_small_enough_to_read_at_once() -> None:
    assert len(TEXTS) > 100
    assert list(chain.from_iterable(layout.size_complaints(n, t) for n, t in TEXTS.items())) == []


def test_names_of_files_and_folders_say_something() -> None:
    assert list(chain.from_iterable(map(layout.name_complaints, FILES))) == []


def test_no_file_names_a_package_registry_or_a_machine_or_leaves_work_over() -> None:
    assert list(chain.from_iterable(layout.word_complaints(n, t) for n, t in TEXTS.items())) == []


@pytest.mark.parametrize("name", ["constraints.txt", "cityops/kafka.lock"])
def test_pins_name_no_addresses(name: str) -> None:
    assert layout.pin_complaints(name, TEXTS[name]) == []


def test_the_dashboards_lock_file_names_no_download_addresses() -> None:
    assert '"resolved": "http' not in TEXTS["dashboard/package-lock.json"]
    assert layout.pin_complaints("dashboard/package-lock.json", TEXTS["dashboard/package-lock.json"]) == []


def test_paths_and_links_of_documents_lead_somewhere() -> None:
    documents = [n for n in TEXTS if n.endswith(".md")]
    assert documents
    assert list(chain.from_iterable(layout.path_complaints(n, TEXTS[n], REPO) for n in documents if n in READMES)) == []
    links = (
        layout.path_complaints(n, "\n".join(line for line in TEXTS[n].splitlines() if "](" in line), REPO) for n in documents
    )
    assert [c for c in chain.from_iterable(links) if "leads nowhere" in c] == []


def test_both_readmes_say_where_things_are() -> None:
    assert set(READMES) == {"README.md", "README.zh-CN.md"}
    english, chinese = (set(layout.table_paths(TEXTS[n])) for n in ("README.md", "README.zh-CN.md"))
    assert len(english) >= 10
    assert english == chinese


def test_imports_follow_the_layers() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
