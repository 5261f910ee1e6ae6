"""Settings of pytest for tests and benchmarks: parallel runs, and names of packages."""

import os
import sys

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker has a core; torch reads this when it is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import lossbench.benchmarks.speed

# pytest names a file by its path from here, and would load the packages above the suites of
# benchmarks/speed a second time.
sys.modules["benchmarks"] = lossbench.benchmarks
sys.modules["benchmarks.speed"] = lossbench.benchmarks.speed


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="benchmarks: every dtype, kind of target, layout and shape, without a compiler and "
        "compiled, about half an hour; by default two minutes of float32 and bfloat16",
    )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run the whole suite on up to 8 cores, but named files and benchmarks in one process."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    config.option.dist = "loadfile"  # fixtures of a module are made once
    config.option.benchmark_disable = True
    config.option.maxprocesses = config.option.maxprocesses or 8
    return None
