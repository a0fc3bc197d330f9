"""Texts keep their numbers, however many are known and whatever they share a hash with."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.steps import text_index
from streams.steps.sources import SourceTable

TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=4), st.text("a车", min_size=60, max_size=90)), max_size=60)


@given(st.lists(TEXTS, max_size=8), st.integers(0, 5))
def test_numbers_are_those_of_a_dictionary(batches: list[list[str | None]], cut: int) -> None:
    table, wanted = SourceTable(), dict[str, int]()
    for number in range(100):  # more than any batch has: the index is what finds them
        wanted[f"known-{number}"] = table.code(f"known-{number}")
    for batch in batches:
        rows = batch[cut:]
        for text in rows:
            if text is not None:
                wanted.setdefault(text, len(wanted))
        column = pa.chunked_array([pa.array(batch, pa.string()).slice(cut)])
        assert table.codes(column).tolist() == [-1 if text is None else wanted[text] for text in rows]
    assert table.names == list(wanted)


def test_texts_that_share_a_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_index, "hashes", lambda texts: np.full(len(texts), 7, np.uint64))
    table = SourceTable()
    names = [f"s{n}" for n in range(40)]
    assert table.codes(pa.array(names)).tolist() == list(range(40))
    assert table.codes(pa.array(["s39", None, "s0", "new", "s7"])).tolist() == [39, -1, 0, 40, 7]


def test_a_hash_does_not_depend_on_the_batch() -> None:
    texts = ["", "a", "12345678", "123456789", "x" * 64, "x" * 65, "x" * 90 + "1", "x" * 90 + "2", "泽州县"]
    alone = [int(text_index.hashes(pa.array([t]))[0]) for t in texts]
    assert text_index.hashes(pa.array(["padding", *texts]).slice(1)).tolist() == alone
    assert len(set(alone)) == len(texts)
