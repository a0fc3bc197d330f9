"""Writing every generated file of the repository."""

from __future__ import annotations

from pathlib import Path

from cityops import kafka

ROOT = Path(__file__).resolve().parent.parent


def run(*, kafka_lock: bool) -> list[str]:
    """Write what is out of date and give those paths; the lock of Kafka's jars only when asked for."""
    from cityops import reference
    from schemas import generate

    wanted = generate.files() | reference.files()
    if kafka_lock:
        wanted[str(kafka.LOCK.relative_to(ROOT))] = kafka.lock_text(kafka.digests(kafka.resolve()))
    written = []
    for name, text in wanted.items():
        path = ROOT / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(name)
    return written
