"""What comes from outside, mutated: whatever it is, the answer is a result or a documented error.

    uv run python -m tests.stress.fuzz [TARGET ...] [--inputs N] [--seed N]

`targets.py` has what is asked, `mutations.py` how inputs are made, `running.py` how they are put.
"""
