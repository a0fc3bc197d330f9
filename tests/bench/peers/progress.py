"""Tells the benchmark when the first and the last reading were taken in; the benchmark measures from outside."""

import os

_left = 0
_begun = False


def expect(readings):
    """Say how many readings there are."""
    global _left  # noqa: PLW0603 - one count per process
    _left = readings


def begin():
    """Say that the first readings are about to be taken in; only the first call counts."""
    global _begun  # noqa: PLW0603 - as above
    if not _begun:
        _begun = True
        os.write(1, b"\nbegin\n")


def seen(readings=1):
    """Count readings taken in; says ``begin`` at the first and ``end`` at the last."""
    global _left  # noqa: PLW0603 - as above
    if not _begun:
        begin()
    _left -= readings
    if _left <= 0 < _left + readings:
        os.write(1, b"\nend\n")
