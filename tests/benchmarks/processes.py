"""Context of multiprocessing whose processes start in milliseconds.

They are forked off one that has imported everything, including torch._dynamo, which an optimizer
imports.
"""

import multiprocessing

import scipy.stats  # noqa: F401
import torch._dynamo  # noqa: F401

import lossbench.benchmarks.commands.compare
import lossbench.benchmarks.report.figures  # noqa: F401

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])
