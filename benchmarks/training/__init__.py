"""Train one run, record it, and execute the runs of an experiment."""
