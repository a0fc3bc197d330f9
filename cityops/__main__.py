"""``python -m cityops``."""

from cityops.cli import main

main()
