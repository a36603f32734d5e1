"""Measurements against peers that do the same work in the same run; `run.py` is the way in,
docs/benchmarks.md the outcome.
"""
