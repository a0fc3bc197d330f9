"""GB/T 32960.3 built and read back: every block of both editions, every command."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.gb32960 import encoder, messages, records
from connectors.gb32960.framing import Framing
from connectors.gb32960.layouts import NEVER, Layout, Run, layout
from connectors.gb32960.packet import FORM, Edition, parse
from schemas.errors import Fatal

VIN = "LTEST00000BUS0001"
TS = 1_793_448_030 * 1_000_000
BLOCKS = [(edition, code) for edition, blocks in records.BLOCKS.items() for code in blocks]
TEXT = st.text("ABCDEFGH0123456789", min_size=1, max_size=12)


def read_back(frame: bytes) -> dict[str, Any]:
    (packet,) = Framing({}).feed(frame)
    assert isinstance(packet, bytes)
    return messages.decode(parse(packet), packet[FORM.size :])


@st.composite
def contents(draw: st.DrawFn, form: Layout) -> bytes:
    """Bytes of a layout: any numbers, invalid and abnormal ones too."""
    raw = b""
    for part in form.parts:
        if isinstance(part, Run):
            raw += draw(st.binary(min_size=part.form.size, max_size=part.form.size) | st.just(b"\xff" * part.form.size))
            continue
        top = part.scale.top if part.scale.top < NEVER else 256**part.size
        numbers = draw(st.lists(st.integers(0, top - 1) | st.sampled_from([min(top + 1, 256**part.size - 1)]), max_size=4))
        raw += part.prefix.pack(len(numbers)) + b"".join(n.to_bytes(part.size) for n in numbers)
    return raw


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_every_block_is_written_as_it_was_read(data: st.DataObject) -> None:
    edition, code = data.draw(st.sampled_from(BLOCKS))
    block = records.BLOCKS[edition][code]
    if block.many:
        groups = data.draw(st.lists(contents(block.layout), max_size=3))
        raw = bytes((code, len(groups))) + b"".join(groups)
    else:
        raw = bytes((code,)) + data.draw(contents(block.layout))
    checked: Edition = "2025" if edition == "2025" else "2016"
    values = records.read(checked, raw, 0)
    assert records.write(checked, values) == raw


@given(st.sampled_from([0xFE, 0xFF]))
def test_counts_that_are_none_come_back(count: int) -> None:
    for raw in (bytes((0x02, count)), bytes((0x09, 1, 1, 0xFF, count))):
        values = records.read("2016", raw, 0)
        assert records.write("2016", values) == raw


def test_a_signed_record_with_custom_blocks_comes_back() -> None:
    blocks = {
        "position": {"status": 0, "coordinate_system": 1, "longitude": 121.5, "latitude": 31.2},
        "custom": [{"type": 0x80, "content": b"\1\2"}, {"type": 0x80, "content": b""}],
        "signature": {"type": 1, "r": b"\1\2\3", "s": b"\4"},
    }
    frame = encoder.record(VIN, TS, blocks, edition="2025")
    assert read_back(frame) == {"time": "2026-10-31 20:00:30", **blocks}


@given(serial=st.integers(0, 0xFFFF), codes=st.lists(TEXT, max_size=3), edition=st.sampled_from(["2016", "2025"]))
def test_logins_come_back(serial: int, codes: list[str], edition: Edition) -> None:
    found = read_back(encoder.login(VIN, TS, serial, "89860000000000000017", codes, edition=edition))
    assert (found["serial"], found["iccid"], found["codes"]) == (serial, "89860000000000000017", codes)
    assert read_back(encoder.logout(VIN, TS, serial, edition=edition)) == {"time": "2026-10-31 20:00:30", "serial": serial}
    platform = read_back(encoder.platform_login("P", TS, serial, "user", "密码", edition=edition))
    assert (platform["user"], platform["password"], platform["serial"]) == ("user", "密码", serial)


@given(st.integers(946_684_800, 4_102_444_799))
def test_times_come_back(seconds: int) -> None:
    raw = messages.from_instant(seconds * 1_000_000 - 8 * 3_600_000_000)
    assert messages.instant(raw) == seconds * 1_000_000 - 8 * 3_600_000_000
    assert messages.time_bytes(messages.time_text(raw)) == raw


@pytest.mark.parametrize(
    "blocks",
    [
        {"vehicle": {"speed": 1e9}},
        {"vehicle": {"speed": -1}},
        {"storage_temperatures": [{"subsystem": 1, "temperatures": [-41]}]},
        {"motors": [{}] * 300},
    ],
)
def test_what_does_not_fit_is_a_value_error(blocks: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        encoder.record(VIN, TS, blocks)


@pytest.mark.parametrize("line", ["speed:u", "speed:u24", "speed:u16*10", "speed:u16-10/10", "codes:u32*u8"])
def test_a_layout_of_another_form_stops_the_start(line: str) -> None:
    with pytest.raises(Fatal, match=r"field .*:u"):
        layout([line])
