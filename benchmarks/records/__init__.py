"""The records of runs and experiments, and how they are written and read."""
