"""Tables for people."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

PLAIN_WIDTH = 120
"""Columns where the output is no terminal."""


def show(table: Table) -> None:
    """Print a table to stdout."""
    Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH).print(table)
