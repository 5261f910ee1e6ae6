"""Start-up time of the command and of the losses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from .interleaved import Ratio
from .target import SpeedTarget


def start_targets() -> Iterator[SpeedTarget]:
    """Yield all targets of start-up time."""
    yield SpeedTarget("start", "lossbench --help", help_seconds, 0.4, unit=" s")
    name = "import lossbench.losses, beyond torch"
    yield SpeedTarget("start", name, import_seconds, 0.030, unit=" s")


def run_python(*arguments: str) -> str:
    """Run Python with bytecode as an installed package has it, and return what it prints."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return done.stdout


def help_seconds(_seconds: float) -> Ratio:
    """Measure the seconds of a process that prints the help."""

    def once() -> float:
        start = time.perf_counter()
        run_python("-m", "lossbench", "--help")
        return time.perf_counter() - start

    once()
    return Ratio.of([once() for _ in range(9)])


def import_seconds(_seconds: float) -> Ratio:
    """Measure the seconds that importing the losses takes a process that has imported torch."""
    program = (
        "import time, torch; t = time.perf_counter(); import lossbench.losses; "
        "print(time.perf_counter() - t)"
    )
    run_python("-c", program)
    return Ratio.of([float(run_python("-c", program)) for _ in range(9)])
