"""Every kind of reading is declared completely, travels unchanged, and is in the database as declared."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import derive, frame
from schemas.derive import TIMES, Field, Stage, arrow_schema, fields
from schemas.errors import Reject
from schemas.kinds import all_kinds
from storage.migrate import files
from storage.tables import table_of
from tests.contract.checks import kinds

KINDS = sorted(all_kinds())
STAGES: tuple[Stage, ...] = ("raw", "clean")
MADE = kinds.tables(text for _, text in files())
DAY = 86_400_000_000
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
LETTERS = st.characters(exclude_categories=["Cs"])


def values(field: Field) -> st.SearchStrategy[Any]:
    """Give a strategy for the values a field may have."""
    made: st.SearchStrategy[Any]
    if field.name in TIMES:
        made = st.integers(10_000 * DAY, 40_000 * DAY)
    elif pa.types.is_boolean(field.type):
        made = st.booleans()
    elif pa.types.is_string(field.type):
        made = st.text(LETTERS, min_size=field.name == "source", max_size=min(field.max_length or 24, 24))
    elif pa.types.is_binary(field.type):
        made = st.binary(max_size=32)
    elif pa.types.is_floating(field.type):
        made = st.floats(field.ge, field.le, allow_nan=False, allow_infinity=False)
    else:
        low, high = (-(2**31), 2**31 - 1) if pa.types.is_int32(field.type) else (-(2**63), 2**63 - 1)
        made = st.integers(int(field.ge if field.ge is not None else low), int(field.le if field.le is not None else high))
    return st.none() | made if field.nullable else made


def batches(kind: str, stage: Stage, least: int = 1) -> st.SearchStrategy[pa.RecordBatch]:
    """Give a strategy for frames' rows of a kind."""
    rows = st.lists(st.fixed_dictionaries({f.name: values(f) for f in fields(kind, stage)}), min_size=least, max_size=6)
    schema = arrow_schema(kind, stage)
    return rows.map(
        lambda found: pa.RecordBatch.from_arrays([pa.array([r[f.name] for r in found], f.type) for f in schema], schema=schema)
    )


def header(batch: pa.RecordBatch, kind: str, stage: Stage) -> frame.Header:
    made = frame.make_header(batch, kind, seen_at=1, connector="c", run="r", bucket=0, seq=1, total=batch.num_rows)
    return msgspec.structs.replace(made, stage=stage, fingerprint=derive.fingerprint(kind, stage))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_declared_completely(kind: str) -> None:
    columns = fields(kind, "clean")
    found = [*kinds.kind_complaints(kind, all_kinds()[kind], columns)]
    assert [*found, *chain.from_iterable(kinds.field_complaints(kind, f) for f in columns)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_kinds_columns_are_in_the_migrations(kind: str) -> None:
    assert kinds.table_complaints(table_of(kind), fields(kind, "clean"), MADE) == []


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_comes_out_as_it_went_in(kind: str, stage: Stage) -> None:
    @QUICK
    @given(batches(kind, stage), batches(kind, stage))
    def prove(one: pa.RecordBatch, two: pa.RecordBatch) -> None:
        value, headers = frame.encode(one, header(one, kind, stage))
        read = frame.decode_header(headers)
        assert read == header(one, kind, stage)
        assert frame.decode(value, read).equals(one)
        again = [
            frame.decode(v, frame.decode_header(h)) for v, h in (frame.encode(b, header(b, kind, stage)) for b in (one, two))
        ]
        assert frame.concat(again).equals(frame.concat([one, two]))

    prove()


@pytest.mark.parametrize("kind", KINDS)
def test_a_reading_comes_out_of_json_and_of_a_frame_as_it_went_in_and_is_within_its_bounds(kind: str) -> None:
    cls = all_kinds()[kind]

    @QUICK
    @given(st.lists(st.fixed_dictionaries({f.name: values(f) for f in fields(kind)}), min_size=1, max_size=4))
    def prove(rows: list[dict[str, Any]]) -> None:
        readings = [cls(**row) for row in rows]
        assert [msgspec.json.decode(msgspec.json.encode(r), type=cls) for r in readings] == readings
        batch = frame.from_readings(readings, kind)
        plain = [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in batch.columns]
        assert [
            dict(zip(batch.schema.names, found, strict=True)) for found in zip(*(c.to_pylist() for c in plain), strict=True)
        ] == rows
        assert derive.violations(batch, kind) == {}

    prove()


@pytest.mark.parametrize(("kind", "field"), [(k, f) for k in KINDS for f in fields(k) if f.le is not None or f.ge is not None])
def test_a_value_outside_its_bounds_is_found_in_its_row(kind: str, field: Field) -> None:
    bad = field.le * 2 + 1 if field.le is not None else (field.ge or 0) - 1
    cast = int if pa.types.is_integer(field.type) else float
    column = pa.array([None if field.nullable else cast(field.ge or 0), cast(bad)], field.type)
    found = derive.violations(pa.RecordBatch.from_arrays([column], names=[field.name]), kind)
    assert list(found) == [field.name]
    assert np.array_equal(found[field.name], [False, True])


def changes(columns: tuple[Field, ...]) -> dict[str, tuple[Field, ...]]:
    """Give every way in which one column of a kind can change."""
    found = {"a column more": (*columns, Field("more", pa.float64(), True, "", ""))}
    for i, f in enumerate(columns):
        other = pa.string() if f.type != pa.string() else pa.int64()
        parts = {
            "name": replace(f, name=f.name + "_"),
            "type": replace(f, type=other),
            "null": replace(f, nullable=not f.nullable),
        }
        found |= {f"{f.name}: {what}": (*columns[:i], changed, *columns[i + 1 :]) for what, changed in parts.items()}
        found[f"{f.name}: gone"] = (*columns[:i], *columns[i + 1 :])
    return found


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_any_change_of_a_column_changes_the_fingerprint(kind: str, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = fields(kind, stage)
    seen = {derive.fingerprint(kind, stage): "as it is"}
    for what, changed in changes(columns).items():
        monkeypatch.setattr(derive, "fields", lambda _kind, _stage, changed=changed: changed)
        mark = derive.fingerprint.__wrapped__(kind, stage)
        assert mark not in seen, f"{what} has the fingerprint of {seen.get(mark)}"
        seen[mark] = what


@pytest.mark.parametrize("kind", KINDS)
def test_an_older_frame_without_a_nullable_column_is_read_and_any_other_difference_is_refused(kind: str) -> None:
    batch = frame.from_readings([], kind)
    nullable = next(f.name for f in fields(kind) if f.nullable)
    head = header(batch, kind, "raw")
    older, _ = frame.encode(batch.drop_columns([nullable]), head)
    assert frame.decode(older, head).schema.equals(arrow_schema(kind, "raw"))
    for wrong in (batch.drop_columns(["source"]), batch.append_column("more", pa.array([], pa.int64()))):
        value, _ = frame.encode(wrong, head)
        with pytest.raises(Reject, match="bad_schema"):
            frame.decode(value, head)
