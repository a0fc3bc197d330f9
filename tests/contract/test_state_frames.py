"""State frames on the wire: these files are read by the page's own tests too, so both sides agree byte by byte.

``python -m tests.contract.test_state_frames`` writes the files anew; commit them only with a new frame version.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas import messages
from schemas.messages import ALARM, BUSY, DELTA, NO_U16, NORMAL, REMOVE, SNAPSHOT, UNKNOWN, WARNING

GOLDEN = Path(__file__).parent / "golden"
TS_MS = 1_764_000_000_123
COLUMNS: dict[str, list[int]] = {
    "slot": [0, 1, 2, 300, 70_000],
    "lon_e6": [112_853_123, -180_000_000, 180_000_000, 1, -1],
    "lat_e6": [35_501_987, -90_000_000, 90_000_000, -1, 1],
    "heading_cdeg": [0, 35_999, NO_U16, 9_000, 18_000],
    "value": [123, NO_U16, 0, NO_U16 - 1, 7],
    "age_s": [0, 65, NO_U16, 3_600, 1],
    "state": [NORMAL, BUSY, WARNING, ALARM, UNKNOWN],
}
CASES: dict[str, tuple[int, int, dict[str, list[int]]]] = {
    "snapshot": (SNAPSHOT, 0, COLUMNS),
    "delta": (DELTA, 4, {name: values[1:2] for name, values in COLUMNS.items()}),
    "remove": (REMOVE, 7, {"slot": [5, 4_294_967_295]}),
    "empty": (SNAPSHOT, 5, {name: [] for name in COLUMNS}),
}


def frame(name: str) -> bytes:
    kind, layer, columns = CASES[name]
    return messages.pack(kind, layer, TS_MS, {k: np.array(v, np.int64) for k, v in columns.items()})


def told(name: str) -> dict[str, Any]:
    kind, layer, columns = CASES[name]
    return {"kind": kind, "layer": layer, "ts_ms": TS_MS, "columns": columns}


@pytest.mark.parametrize("name", CASES)
def test_packing_gives_exactly_these_bytes(name: str) -> None:
    assert frame(name) == (GOLDEN / f"state_frame_{name}.bin").read_bytes()


@pytest.mark.parametrize("name", CASES)
def test_these_bytes_mean_exactly_that(name: str) -> None:
    expected = json.loads((GOLDEN / f"state_frame_{name}.json").read_text())
    assert expected == told(name)
    kind, layer, ts_ms, columns = messages.unpack((GOLDEN / f"state_frame_{name}.bin").read_bytes())
    assert {"kind": kind, "layer": layer, "ts_ms": ts_ms, "columns": {k: v.tolist() for k, v in columns.items()}} == expected


def test_the_snapshot_is_laid_out_as_documented() -> None:
    data = (GOLDEN / "state_frame_snapshot.bin").read_bytes()
    assert data[:16].hex() == "01000000" + "05000000" + TS_MS.to_bytes(8, "little").hex()
    assert len(data) == 16 + 5 * (4 + 4 + 4 + 2 + 2 + 2 + 1)
    assert int.from_bytes(data[16 + 20 : 16 + 24], "little", signed=True) == 112_853_123
    assert data[-5:] == bytes([NORMAL, BUSY, WARNING, ALARM, UNKNOWN])


def test_no_file_is_without_a_case() -> None:
    assert {p.name for p in GOLDEN.glob("state_frame_*")} == {f"state_frame_{n}.{e}" for n in CASES for e in ("bin", "json")}


def test_a_changed_byte_or_length_is_noticed() -> None:
    data = (GOLDEN / "state_frame_snapshot.bin").read_bytes()
    for cut in (1, 15, len(data) - 1):
        with pytest.raises(ValueError, match="state frame"):
            messages.unpack(data[:cut])
    _, _, _, columns = messages.unpack(data[:-1] + b"\x00")
    assert columns["state"].tolist() != COLUMNS["state"]


def write() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name in CASES:
        (GOLDEN / f"state_frame_{name}.bin").write_bytes(frame(name))
        (GOLDEN / f"state_frame_{name}.json").write_text(json.dumps(told(name)) + "\n")


if __name__ == "__main__":
    write()
