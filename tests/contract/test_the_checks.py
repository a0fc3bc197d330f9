"""A check that cannot fail is worse than none: each one is given an error it must find, and good input it must pass."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from cityops import reference
from schemas.config import Config
from schemas.derive import Field
from schemas.errors import Fatal
from schemas.kinds import kind as kind_by_name
from schemas.rules import Rule
from schemas.topics import Topic
from streams.worker import rules_of
from tests.contract.checks import REPO, compose, fresh, grafana, kinds, layout, metrics, rules, topics

Json = dict[str, Any]
# layout


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "x = 1\n" * 401),
        ("a.ts", "let x = 1;\n" * 401),
        ("a.py", "def f():\n" + "    x = 1\n" * 40),
        ("a.py", "class C:\n    async def f(self):\n" + "        x = 1\n" * 40),
        ("a.ts", "export function f(a: { b: number }): number {\n" + "  g();\n" * 40 + "}\n"),
        ("a.tsx", "const F = ({ a }: P) => {\n" + "  g('}');\n" * 40 + "};\n"),
        ("a.ts", "x.on('y', async (e) => {\n" + "  // }\n" * 40 + "});\n"),
    ],
)
def test_what_is_too_long_is_found(name: str, text: str) -> None:
    assert layout.size_complaints(name, text)
    shorter = "".join(text.splitlines(keepends=True)[:1] + text.splitlines(keepends=True)[3:])
    assert layout.size_complaints(name, shorter) == []


@pytest.mark.parametrize("name", ["streams/utils.py", "gateway/common/x.py", "dashboard/src/helpers/a.ts", "core/__init__.py"])
def test_a_name_that_says_nothing_is_found(name: str) -> None:
    assert layout.name_complaints(name)
    assert layout.name_complaints("streams/steps/window.py") == []


@pytest.mark.parametrize(
    "text",
    [
        f"index-url = https://{layout.PACKAGE_HOSTS[0]}/simple",
        f"see files.{layout.PACKAGE_HOSTS[1]}/x",
        "open('/wo" + "rk/main/x')",
        "path: /ro" + "ot/.cache",
        "# TO" + "DO later",
        "// FIX" + "ME",
    ],
)
def test_words_that_must_not_be_written_are_found(text: str) -> None:
    assert layout.word_complaints("a.md", text)


def test_words_that_only_look_alike_are_let_through() -> None:
    for text in ("mvn.organize(x)", "a/work/b", "https://example.org/rooted", "my-pypi." + "organic", "tmpfs: [/tmp]"):
        assert layout.word_complaints("a.md", text) == []


def test_addresses_among_pins_are_found() -> None:
    assert layout.pin_complaints("a.txt", "aiohttp==3.14 \\\n    --hash=sha256:00\n") == []
    assert layout.pin_complaints("a.txt", "x @ https://example.org/x.whl")


def test_dead_paths_of_a_document_are_found(tmp_path: Path) -> None:
    (tmp_path / "streams").mkdir()
    (tmp_path / "LICENSE").touch()
    good = "| `streams/` | steps |\n| `cityops demo` | `<folder>/x` |\n[licence](LICENSE) [web](https://example.org)\n"
    assert layout.path_complaints("README.md", good, tmp_path) == []
    assert layout.path_complaints("README.md", "| `streams/steps/` | x |", tmp_path) == [
        "README.md: streams/steps/ does not exist"
    ]
    assert layout.path_complaints("README.md", "[x](docs/gone.md)", tmp_path) == ["README.md: link to docs/gone.md leads nowhere"]


LAYERS = {
    "streams back into gateway": ("streams/a.py", "import gateway\n"),
    "schemas into storage": ("schemas/a.py", "import storage\n"),
    "connectors into storage": ("connectors/a.py", "import storage\n"),
    "a decoder that opens sockets": ("connectors/x/decoder.py", "import socket\n"),
    "a step that reads the clock": ("streams/steps/a.py", "import time\n"),
}


def plant(root: Path) -> None:
    """Lay out empty packages under our own import contracts."""
    config = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    for package in config["root_packages"]:
        (root / package).mkdir()
        (root / package / "__init__.py").touch()
    pure = ["connectors/x/decoder.py", "connectors/x/framing.py", "connectors/x/encoder.py", "connectors/x/__init__.py"]
    for name in [*pure, "streams/steps/__init__.py"]:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    roots = "\n    ".join(config["root_packages"])
    sections = [f"[importlinter]\nroot_packages =\n    {roots}\ninclude_external_packages = True\n"]
    for i, contract in enumerate(config["contracts"]):
        lines = [
            f"{k} =\n    " + "\n    ".join(v) if isinstance(v, list) else f"{k} = {v}" for k, v in contract.items() if v != []
        ]
        sections.append(f"[importlinter:contract:{i}]\n" + "\n".join(lines) + "\n")
    (root / ".importlinter").write_text("\n".join(sections), encoding="utf-8")


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-P",
        "-c",
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c()",
    ]
    return subprocess.run([*command, "--no-cache"], cwd=root, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("name", "text"), LAYERS.values(), ids=LAYERS.keys())
def test_an_import_against_the_layers_is_found(name: str, text: str, tmp_path: Path) -> None:
    plant(tmp_path)
    before = lint(tmp_path)
    assert before.returncode == 0, before.stdout + before.stderr
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert "BROKEN" in lint(tmp_path).stdout


# kinds


def field(**changed: Any) -> Field:
    return replace(Field("speed", pa.float64(), True, "速度", "Speed", "m/s", "public", 0, 100), **changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "Speed"},
        {"zh": "speed"},
        {"en": ""},
        {"unit": "mph"},
        {"grade": "secret"},
        {"type": pa.date32()},
        {"ge": 100.0, "le": 0.0},
        {"le": float("inf")},
        {"type": pa.int64(), "le": 2.0**70},
        {"type": pa.int64(), "ge": 0.5},
        {"type": pa.string()},
        {"type": pa.string(), "max_length": 0},
    ],
)
def test_a_badly_declared_field_is_found(changed: Json) -> None:
    assert list(kinds.field_complaints("k", field())) == []
    assert list(kinds.field_complaints("k", field(**changed)))


@pytest.mark.parametrize(
    "changed",
    [{"labels": ("Bus", "Bus")}, {"__doc__": ""}, {"interval_s": 0.0}, {"lateness_s": -1.0}, {"metrics": ("line",)}],
)
def test_a_badly_declared_kind_is_found(changed: Json) -> None:
    good = kind_by_name("bus_position")
    given = {n: getattr(good, n) for n in ("labels", "__doc__", "interval_s", "lateness_s", "retention_s", "metrics")}
    assert list(kinds.kind_complaints("k", type("K", (), given | {"metrics": ("speed",)}), [field()])) == []
    assert list(kinds.kind_complaints("k", type("K", (), given | {"metrics": ("speed",)} | changed), [field()]))
    assert list(kinds.kind_complaints("k", type("K", (), given | {"metrics": ("speed",)}), [field(grade="sensitive")]))


def test_a_column_that_migrations_make_otherwise_is_found() -> None:
    made = kinds.tables(
        [
            'CREATE TABLE bus (\n    "speed" double precision,\n    "line" text NOT NULL\n);\nALTER TABLE bus ADD COLUMN zone integer;\n'
        ]
    )
    assert made == {"bus": {"speed": ("double precision", False), "line": ("text", True), "zone": ("integer", False)}}
    line, zone = field(name="line", type=pa.string(), nullable=False), field(name="zone", type=pa.int32())
    assert kinds.table_complaints("bus", [field(), line, zone], made) == []
    for wrong in ([field(), line], [field(), line, zone, field(name="x")], [field(type=pa.int64()), line, zone]):
        assert kinds.table_complaints("bus", wrong, made)
    assert kinds.table_complaints("bus", [field(nullable=False), line, zone], made)
    assert kinds.table_complaints("tram", [field()], made)


# topics, rules, metrics, generated files


@pytest.mark.parametrize(
    "changed",
    [{"name": "Raw_bus"}, {"writers": ()}, {"readers": ()}, {"readers": ("nobody",)}, {"about": "x"}, {"retention_h": 0}],
)
def test_a_wrong_topic_is_found(changed: Json) -> None:
    good = Topic("raw-bus", "frames", "Buses.", ("connect",), ("clean",))
    assert topics.complaints([good]) == []
    assert topics.complaints([replace(good, **changed)])
    assert topics.reader_complaints([good], {"clean": {"raw-bus"}, "store": set()}) == []
    assert len(topics.reader_complaints([good], {"clean": set(), "store": {"raw-bus"}})) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"zh": "speed"},
        {"en": ""},
        {"clause": " "},
        {"reason_zh": "only English"},
        {"reason_en": "速度"},
        {"reason_en": "No value"},
        {"reason_zh": "{value}{limit}{unit}{plate}", "reason_en": "{value}{limit}{unit}{plate}"},
        {"kinds": []},
        {"version": 0},
        {"id": "bus_overspeed"},
    ],
)
def test_a_wrong_rule_is_found(changed: Json) -> None:
    good: Rule = rules_of(Config())["bus-overspeed"]
    assert rules.complaints(good) == []
    assert rules.complaints(msgspec.structs.replace(good, **changed))


def test_a_rule_that_no_scenario_tries_is_found() -> None:
    tried = "def test_a():\n    assert said('fast') == [('raise', 1)]\ndef test_b():\n    assert said('slow') == []\n"
    assert rules.scenario_complaints(["fast"], {"t.py": tried}) == []
    assert rules.scenario_complaints(["fast", "slow", "wet"], {"t.py": tried}) == [
        "wet: no scenario names it",
        "slow: it raises in no scenario",
    ]


@pytest.mark.parametrize(
    "given",
    [
        ("stream_rows_total", "counter", "Rows of agents."),
        ("cityops_other_rows_total", "counter", "Rows of agents."),
        ("cityops_stream", "gauge", "Rows of agents."),
        ("cityops_stream_rows", "counter", "Rows of agents."),
        ("cityops_stream_rows_total", "gauge", "Rows of agents."),
        ("cityops_stream_rows_total", "counter", "rows"),
        ("cityops_stream_sources_total", "counter", "Rows of agents."),
    ],
)
def test_a_wrong_metric_declaration_is_found(given: tuple[str, str, str]) -> None:
    labelled = {"cityops_stream_sources_total": {"source"}}
    assert metrics.complaints([("cityops_stream_rows_total", "counter", "Rows of agents.")], labelled) == []
    assert metrics.complaints([given], labelled)


def test_a_metric_that_nothing_counts_is_found() -> None:
    assert metrics.idle(["ROWS", "LAG"], ["metrics.ROWS.inc()", "STREAM_LAG = 1"]) == ["nothing counts LAG"]


def test_a_stale_or_absent_generated_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("a", encoding="utf-8")
    assert fresh.complaints({"a.md": "a"}, tmp_path) == []
    assert len(fresh.complaints({"a.md": "b", "c.md": "c"}, tmp_path)) == 2


@pytest.mark.parametrize("marks", ["", reference.BEGIN, reference.END])
def test_a_readme_without_the_marks_of_its_settings_is_refused(marks: str) -> None:
    declared = reference.manifest.read(REPO / "connectors/hj212/connector.toml")
    with pytest.raises(Fatal, match="generated part is absent"):
        reference.with_settings(f"# x\n{marks}", declared, "README.md")
    made = reference.with_settings(f"# x\n{reference.BEGIN}old\n{reference.END}after\n", declared, "README.md")
    assert "| `crc` |" in made
    assert "old" not in made
    assert made.endswith(f"{reference.END}after\n")


Checker = Callable[..., object]


def test_every_checker_is_tried_here() -> None:
    text = "".join(p.read_text(encoding="utf-8") for p in Path(__file__).parent.glob("test_the_checks*.py"))
    modules = (compose, fresh, grafana, kinds, layout, metrics, rules, topics)
    checkers = [
        f"{m.__name__.rpartition('.')[2]}.{n}" for m in modules for n in vars(m) if n.endswith("complaints") or n == "idle"
    ]
    parts = {"grafana.title_complaints", "grafana.panel_complaints", "kinds.bound_complaints"}
    assert [c for c in checkers if f"{c}(" not in text and c not in parts] == []
