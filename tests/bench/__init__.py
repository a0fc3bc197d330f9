"""Benchmarks: figures as ratios within one run, on the real broker and database."""
