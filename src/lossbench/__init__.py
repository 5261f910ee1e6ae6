"""Why classifiers are trained with cross-entropy, answered by experiment.

`lossbench.losses` and `lossbench.models` need torch and nothing else. `lossbench.benchmarks` is the
command `lossbench` and needs the extra `bench`.
"""
