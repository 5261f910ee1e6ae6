"""Train a comparison of thousands of runs, and see what it holds and how long its pages take.

    uv run python -m tests.stress.load DIR [--seeds 100] [--losses 20]

Trains small networks on images of noise. Memory, open files and threads of the command and of its
workers are read every second: from the second to the last quarter of the runs they must not grow.
Then times the report, and the first screen of TensorBoard if there is a chromium.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from lossbench.benchmarks.training.identities import find_identities
from lossbench.losses import registry

from ..benchmarks.samples import SMALL
from ..browser.conftest import ARGUMENTS, serving
from .scenarios import make_images

MIBIBYTE = 2**20
FEWEST = 200
"""Runs in whose quarters something can be sampled."""


class Sample(NamedTuple):
    """What the processes of a command hold.

    Attributes:
        finished: runs that have ended.
        memory: bytes in memory, of all processes.
        files: open files, of all processes.
        threads: of all processes.
    """

    finished: int
    memory: int
    files: int
    threads: int


def family(process: int) -> list[Path]:
    """Return the directories in /proc of a process and its descendants."""
    found = [Path(f"/proc/{process}")]
    for task in (found[0] / "task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def take_sample(process: int, results: Path) -> Sample | None:
    """Read what a command and its workers hold; None if one of them has ended meanwhile."""
    try:
        processes = family(process)
        pages = sum(int((each / "statm").read_text().split()[1]) for each in processes)
        files = sum(len(os.listdir(each / "fd")) for each in processes)
        threads = sum(len(os.listdir(each / "task")) for each in processes)
    except OSError:
        return None
    rows = len(results.read_text().splitlines()) if results.exists() else 1
    return Sample((rows - 1) // 2, pages * os.sysconf("SC_PAGESIZE"), files, threads)


def train(directory: Path, losses: Sequence[str], seeds: int) -> list[Sample]:
    """Train a comparison and return what it held, second by second."""
    make_images(directory / "pets")
    command = [sys.executable, "-m", "lossbench", "compare", *SMALL, "--name", "load"]
    command += ["--data", str(directory / "pets"), "--runs", str(directory), "--device", "cpu"]
    command += ["--seeds", str(seeds), "--learning-rate", "0.05", "--losses", *losses]
    with (directory / "output.txt").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        samples = []
        while process.poll() is None:
            samples.append(take_sample(process.pid, directory / "load" / "results.csv"))
            time.sleep(1)
    if process.returncode:
        raise SystemExit(f"compare ended with {process.returncode}: see {output.name}")
    return [each for each in samples if each]


def growth(samples: list[Sample], runs: int) -> str:
    """Return a table of what was held in the second and in the last quarter of the runs."""
    quarters = [
        [each for each in samples if low <= 4 * each.finished / runs < low + 1] for low in (1, 3)
    ]
    lines = ["| | second quarter | last quarter |", "| --- | ---: | ---: |"]
    for name, unit in (("memory", MIBIBYTE), ("files", 1), ("threads", 1)):
        cells = [f"{median(getattr(each, name) for each in one) / unit:.0f}" for one in quarters]
        label = f"{name}, MiB" if unit > 1 else name
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def seconds_of_report(experiment: Path) -> float:
    """Return the seconds that `lossbench report` takes."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "lossbench", "report", str(experiment)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - begin


def seconds_of_first_screen(experiment: Path) -> float | None:
    """Return the seconds from opening TensorBoard's page to the lines of its first charts; None
    without a chromium."""
    path = shutil.which("chromium")
    if path is None:
        return None
    from playwright.sync_api import sync_playwright

    command = ["lossbench.benchmarks.cli", "view", "--runs", str(experiment)]
    with serving(command) as (_, printed), sync_playwright() as playwright:
        (address,) = (line.split()[-1] for line in printed if line.startswith("Charts"))
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        begin = time.perf_counter()
        page.goto(address)
        page.locator("path.line[d^=M]").locator("visible=true").first.wait_for(timeout=120_000)
        return time.perf_counter() - begin


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.load", description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR", help="new, for what is trained")
    parser.add_argument("--losses", type=int, default=20, help="number of losses")
    parser.add_argument("--seeds", type=int, default=100, help="runs per loss")
    given = parser.parse_args()
    if given.directory.exists():
        parser.error(f"{given.directory} exists: give a new directory")
    if given.losses * given.seeds < FEWEST:
        parser.error(f"give at least {FEWEST} runs: a quarter of fewer is over within a second")
    given.directory.mkdir(parents=True)
    os.environ["XDG_CACHE_HOME"] = str(given.directory / "cache")
    multiples = find_identities(registry.names(), num_classes=2)  # trained with one seed
    names = [name for name in registry.names() if name not in multiples][: given.losses]
    begin = time.perf_counter()
    samples = train(given.directory, names, given.seeds)
    runs = samples[-1].finished
    print(f"{runs} runs of {len(names)} losses in {time.perf_counter() - begin:.0f} s\n")
    print(growth(samples, runs))
    experiment = given.directory / "load"
    page = experiment / "report.html"
    print(
        f"\nreport: {seconds_of_report(experiment):.1f} s,",
        f"{page.stat().st_size / MIBIBYTE:.2f} MiB",
    )
    screen = seconds_of_first_screen(experiment)
    print(f"TensorBoard's first screen: {'no chromium' if screen is None else f'{screen:.1f} s'}")


if __name__ == "__main__":
    main()
