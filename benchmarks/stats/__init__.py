"""Intervals, tests, metrics and verdicts."""
