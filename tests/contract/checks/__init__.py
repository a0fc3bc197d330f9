"""The checkers behind the contract tests: each gives a list of complaints, empty when all is well.

They take what they look at as arguments, so that ``test_the_checks`` can hand each one a planted error.
"""

from __future__ import annotations

from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
