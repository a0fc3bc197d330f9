"""The shape of the repository: sizes, names, paths that documents name, and what must never be written."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

FILE_LINES, FUNCTION_LINES = 400, 40
CODE = {".py", ".ts", ".tsx"}
GENERATED = "src/generated/"
VAGUE = {"utils", "util", "common", "core", "helpers", "helper", "misc", "manager"}
PACKAGE_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("maven", "org"),
        ("maven", "apache", "org"),
        ("crates", "io"),
        ("golang", "org"),
        ("debian", "org"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
        ("gcr", "io"),
        ("mcr", "microsoft", "com"),
    )
]
"""Put together here, so that this file does not name them."""
HOST = re.compile(r"(?<![\w@-])(?:[\w-]+\.)*(?:" + "|".join(map(re.escape, PACKAGE_HOSTS)) + r")(?![\w.-]*\w)")
MACHINE = re.compile(r"(?<![\w.<>/{}*-])/(?:" + "|".join(["wo" + "rk", "ro" + "ot", "ho" + "me", "tm" + "p"]) + r")/[\w.]")
LEFT_OVER = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|(?<!\.)XX" + r"X(?!\.\w))\b")
"""The formats of DL/T 645 are written in the letter of the last of these, with a point."""
TABLE_PATH = re.compile(r"`([^`\s]+)`")


def tracked(root: Path) -> list[str]:
    """Give the paths git knows or would take up."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return sorted(p for p in listed.split("\0") if p and (root / p).is_file())


def text_of(path: Path) -> str | None:
    """Give a file's text, or None for one that is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def size_complaints(name: str, text: str) -> list[str]:
    """Complain about a file or a function of code that is too long."""
    if Path(name).suffix not in CODE or GENERATED in name:
        return []
    lines = len(text.splitlines())
    found = [f"{name}: {lines} lines"] if lines > FILE_LINES else []
    spans = python_functions(text) if name.endswith(".py") else script_functions(text)
    return found + [f"{name}:{at} {function} has {size} lines" for function, at, size in spans if size > FUNCTION_LINES]


def python_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Give (name, first line, lines) of every function."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1


SKIPPED = re.compile(r"//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|`(?:\\.|[^`\\])*`", re.DOTALL)
NAMED = re.compile(r"\bfunction\b\s*\*?\s*(\w*)\s*(?:<[^()]*>)?\(")
ARROW = re.compile(r"=>\s*\{")
SUITE = re.compile(r"\bdescribe(?:\.\w+)?\(")
"""A group of tests is no function to read at once."""


def script_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Give (name, first line, lines) of every TypeScript function with a body, by its braces."""
    bare = SKIPPED.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    for match in NAMED.finditer(bare):
        body = bare.find("{", closing(bare, match.end() - 1, "()"))
        if body >= 0:
            yield match[1] or "function", *span(bare, match.start(), body)
    for match in ARROW.finditer(bare):
        line = bare[bare.rfind("\n", 0, match.start()) + 1 : match.start()]
        if not SUITE.search(line):
            yield line.strip()[:40] + " =>", *span(bare, match.start(), match.end() - 1)


def span(text: str, start: int, body: int) -> tuple[int, int]:
    """Give first line and number of lines of a function that starts at ``start`` and whose body opens at ``body``."""
    return text.count("\n", 0, start) + 1, text.count("\n", start, closing(text, body, "{}")) + 1


def closing(text: str, at: int, pair: str) -> int:
    """Give where the bracket that opens at ``at`` closes."""
    depth = 0
    for end in range(at, len(text)):
        depth += (text[end] == pair[0]) - (text[end] == pair[1])
        if depth == 0:
            return end
    return len(text) - 1


def name_complaints(name: str) -> list[str]:
    """Complain about a folder or file whose name says nothing."""
    words = {Path(part).stem.lower() for part in Path(name).parts}
    return [f"{name}: {w!r} names nothing" for w in sorted(words & VAGUE)]


def word_complaints(name: str, text: str) -> list[str]:
    """Complain about package registries, paths of somebody's machine, and work left over."""
    found = [f"{name}: names the package registry {h}" for h in sorted({m[0] for m in HOST.finditer(text)})]
    found += [f"{name}: machine path {m[0]!r}" for m in MACHINE.finditer(text)]
    return found + [f"{name}: {m[0]}" for m in LEFT_OVER.finditer(text)]


def pin_complaints(name: str, text: str) -> list[str]:
    """Complain about addresses in a list of pins: where packages come from is the machine's business."""
    return [f"{name}:{i}: {line.strip()[:60]}" for i, line in enumerate(text.splitlines(), 1) if re.search(r"\w+://", line)]


def path_complaints(name: str, text: str, root: Path) -> list[str]:
    """Complain about paths in a document's tables, and targets of its links, that do not exist; ``build/`` is made later."""
    named = [p for p in table_paths(text) if not p.startswith("build/")]
    found = [f"{name}: {p} does not exist" for p in named if not list(root.glob(p.rstrip("/")))]
    links = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", text)
    return found + [f"{name}: link to {p} leads nowhere" for p in links if not (root / name).parent.joinpath(p).exists()]


def table_paths(text: str) -> Iterable[str]:
    """Give what looks like a path in the tables of a document: it has a slash or ends like a file, and no placeholder."""
    for line in text.splitlines():
        if line.startswith("|"):
            for word in TABLE_PATH.findall(line):
                looks = "/" in word or re.fullmatch(r"[\w.-]+\.(md|toml|yml|py|json|txt)", word)
                if looks and not re.search(r"[<>{}$=:]|^/", word):
                    yield word
