"""Tracing of formulas: what the closed forms compute, as a graph that a backend can read."""
