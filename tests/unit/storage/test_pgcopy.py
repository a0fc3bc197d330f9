"""Arrow rows as COPY bytes, read back by a reader that follows PostgreSQL's manual and shares no code."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.kinds import all_kinds
from storage import pgcopy
from tests.unit.storage.rows import batches, clean, plain, random_buses, read_copy, read_value


def back(batch: pa.RecordBatch) -> list[list[object]]:
    content = b"".join(pgcopy.stream(batch))
    return [[read_value(v, t) for v, t in zip(row, batch.schema.types, strict=True)] for row in read_copy(content)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_every_value_of_every_kind_comes_back(draw: st.DataObject) -> None:
    batch = draw.draw(batches(draw.draw(st.sampled_from(sorted(all_kinds())))))
    assert back(batch) == plain(batch)


def test_rows_beyond_one_slice_keep_their_order() -> None:
    batch = random_buses(pgcopy.SLICE + 7, seed=3)
    assert back(batch) == plain(batch)


def test_texts_of_many_lengths_take_the_other_path() -> None:
    texts = ["x" * i for i in range(60)] + [None, "", "晋"]
    batch = pa.RecordBatch.from_arrays([pa.array(texts), pa.array(range(63))], names=["text", "n"])
    assert back(batch) == plain(batch)


def test_without_rows_only_head_and_tail_remain() -> None:
    assert b"".join(pgcopy.stream(clean("bus_position", []))) == pgcopy.HEAD + pgcopy.TAIL


def test_nul_in_text_becomes_the_replacement_character_and_in_bytes_stays() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(["a\x00b", "abc"]), pa.array([b"a\x00", None])], names=["text", "bytes"])
    assert back(batch) == [["a\ufffdb", b"a\x00"], ["abc", None]]


def test_a_type_of_no_kind_is_refused_by_name() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([1], pa.int8())], names=["n"])
    with pytest.raises(TypeError, match="int8"):
        b"".join(pgcopy.stream(batch))
