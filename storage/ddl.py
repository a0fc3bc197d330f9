"""The SQL that a kind's table must be made of; the author of a new kind commits its text as the next migration.

``python -m storage.ddl KIND...`` prints it. Nothing calls this at run time: what runs is the reviewed file.
"""

from __future__ import annotations

import sys
from collections.abc import Collection

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


def create_table(kind: str, later: Collection[str] = ()) -> str:
    """Give the statements that make the table of a kind, with its time index and comments, but for columns added later."""
    table, time = table_of(kind), time_of(kind)
    found = [f for f in fields(kind, "clean") if f.name not in later]
    lines = [f'    "{f.name}" {f.sql}{"" if f.nullable else " NOT NULL"}' for f in found]
    if kind in KEYS:
        lines.append(f"    PRIMARY KEY ({quoted(KEYS[kind])})")
    made = f"CREATE TABLE {table} (\n" + ",\n".join(lines) + "\n);\n"
    made += f"SELECT cityops_hypertable('{table}', '{time}');\n"
    made += f"CREATE INDEX {table}_{time} ON {table} USING brin ({time}) WITH (pages_per_range = 32, autosummarize = on);\n"
    made += f"COMMENT ON TABLE {table} IS '{_text(table_comment(kind))}';\n"
    return made + "".join(_comment_column(table, field) for field in found)


def add_column(kind: str, field: Field) -> tuple[str, str]:
    """Give the statements that add a column to the table of a kind and comment it."""
    table = table_of(kind)
    return f'ALTER TABLE {table} ADD COLUMN "{field.name}" {field.sql};\n', _comment_column(table, field)


def _comment_column(table: str, field: Field) -> str:
    return f"COMMENT ON COLUMN {table}.\"{field.name}\" IS '{_text(comment(field))}';\n"


def _text(words: str) -> str:
    return words.replace("'", "''")


if __name__ == "__main__":
    sys.stdout.write("\n".join(create_table(name) for name in sys.argv[1:]))
