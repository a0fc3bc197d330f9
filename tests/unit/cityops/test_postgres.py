"""The embedded server's settings follow the machine."""

from __future__ import annotations

import pytest

from cityops.postgres import settings

GIB = 1 << 30


@pytest.mark.parametrize(
    ("memory", "buffers"), [(GIB // 2, "128MB"), (4 * GIB, "512MB"), (8 * GIB, "1024MB"), (64 * GIB, "2048MB")]
)
def test_buffers_take_an_eighth_of_memory_within_limits(memory: int, buffers: str) -> None:
    assert settings(memory)["shared_buffers"] == buffers


def test_what_does_not_depend_on_the_machine_is_kept() -> None:
    assert settings(GIB)["listen_addresses"] == "127.0.0.1"
    assert settings(GIB)["synchronous_commit"] == "on"
