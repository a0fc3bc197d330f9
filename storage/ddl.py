"""The SQL that a kind's table must be made of; the author of a new kind commits its text as the next migration.

``python -m storage.ddl KIND...`` prints it. Nothing calls this at run time: what runs is the reviewed file.
"""

from __future__ import annotations

import sys

from schemas.derive import TIMES, Field, fields
from schemas.kinds import kind as kind_by_name
from storage.tables import quoted, table_of, time_of

KEYS = {"window": ("kind", "metric", "size", "dimension", "source", "ts", "part")}
"""Primary keys of the kinds that are replaced rather than appended."""


def comment(field: Field) -> str:
    """Give a column's comment: Chinese, English, unit."""
    unit = f" [{field.unit}]" if field.unit and field.name not in TIMES else ""
    return f"{field.zh} / {field.en}{unit}"


def table_comment(kind: str) -> str:
    """Give a table's comment: the kind's Chinese and English name."""
    zh, en = kind_by_name(kind).labels
    return f"{zh} / {en}"


def create_table(kind: str) -> str:
    """Give the statements that make the table of a kind, with its time index and comments."""
    table, time = table_of(kind), time_of(kind)
    lines = [f'    "{f.name}" {f.sql}{"" if f.nullable else " NOT NULL"}' for f in fields(kind, "clean")]
    if kind in KEYS:
        lines.append(f"    PRIMARY KEY ({quoted(KEYS[kind])})")
    made = f"CREATE TABLE {table} (\n" + ",\n".join(lines) + "\n);\n"
    made += f"SELECT cityops_hypertable('{table}', '{time}');\n"
    made += f"CREATE INDEX {table}_{time} ON {table} USING brin ({time}) WITH (pages_per_range = 32, autosummarize = on);\n"
    made += f"COMMENT ON TABLE {table} IS '{_text(table_comment(kind))}';\n"
    for field in fields(kind, "clean"):
        made += f"COMMENT ON COLUMN {table}.\"{field.name}\" IS '{_text(comment(field))}';\n"
    return made


def _text(words: str) -> str:
    return words.replace("'", "''")


if __name__ == "__main__":
    sys.stdout.write("\n".join(create_table(name) for name in sys.argv[1:]))
