"""Fuzzing: every input gives a result or a documented error.

    uv run python -m tests.stress.fuzz [TARGET ...] [--inputs N] [--seed N]

`targets.py` lists the targets, `mutations.py` makes inputs, `runner.py` tries them.
"""
