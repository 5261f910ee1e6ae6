"""`lossbench view`: TensorBoard on finished experiments by loss and on others by seed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

from lossbench.benchmarks.config import RESERVED_NAMES
from lossbench.benchmarks.errors import UserError

BOARD = "tensorboard"
MAX_DEPTH = 3
"""Levels of directories that are searched for experiments."""
POLL_SECONDS = 5.0
"""Seconds between two searches for new or finished experiments; TensorBoard's own default."""
MAX_SELECTED_RUNS = 40
"""Number of runs up to which TensorBoard selects all of them."""


def view(runs: Path, port: int, every_seed: bool = False) -> int:
    """Run TensorBoard until it ends, and return its exit code.

    A finished experiment shows one line per loss with its band over seeds. An unfinished one shows
    the runs of every seed.

    Args:
        runs: an experiment, or a directory of experiments.
        port: port of TensorBoard on this machine.
        every_seed: also load the runs of every seed.

    Raises:
        UserError: the directory does not exist or holds no experiment, or the port is invalid or in
            use.
    """
    if not runs.is_dir():
        raise UserError(
            f"{runs} is no directory: run 'lossbench compare' first, or name one with --runs"
        )
    if not 0 < port < 65536:
        raise UserError(f"--port {port}: must be from 1 to 65535")
    directories = list(experiments(runs))
    if not directories:
        raise UserError(
            f"{runs} holds no experiment: run 'lossbench compare' first, or name another "
            "directory with --runs"
        )
    check_free(port)
    print(*addresses(directories, port), sep="\n", flush=True)
    if every_seed:
        return serve(runs, port)
    if directories == [runs]:
        return serve(log_directory(runs), port)
    # A tree of links, because --logdir_spec, TensorBoard's option for many directories, turns off
    # its fast loading.
    with tempfile.TemporaryDirectory(prefix="lossbench-") as tree:
        link_experiments(Path(tree), runs)
        return serve(Path(tree), port, lambda: link_experiments(Path(tree), runs))


def check_free(port: int) -> None:
    """Raise UserError if another program listens on the port."""
    with socket.socket() as listener:
        # As TensorBoard binds it: connections of a server that has just ended do not block it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("localhost", port))
        except OSError as error:
            raise UserError(f"--port {port}: {error.strerror}; choose another") from None


def experiments(runs: Path, levels: int = MAX_DEPTH) -> Iterator[Path]:
    """Yield the directories of experiments: `runs` itself or those below it, sorted by name."""
    if (runs / "experiment.json").exists():
        yield runs
    elif levels:
        for path in sorted(runs.iterdir()):
            hidden = path.name.startswith(".") or (
                levels == MAX_DEPTH and path.name in RESERVED_NAMES
            )
            if path.is_dir() and not hidden:
                yield from experiments(path, levels - 1)


def log_directory(experiment: Path) -> Path:
    """Return the directory that TensorBoard loads: that of the losses if finished, else of the
    seeds."""
    board = experiment / BOARD
    return board if board.is_dir() else experiment


def addresses(directories: list[Path], port: int) -> list[str]:
    """Return lines for the terminal: what there is to see and its URL, and a hint if need be."""
    home = f"http://localhost:{port}/"
    if not any((experiment / BOARD).is_dir() for experiment in directories):
        tags = "accuracy|logit_(mean|when)|parameter_norm"
        query = urlencode({"runFilter": "seed0", "tagFilter": tags})
        return [f"One seed of each loss  {home}?{query}#timeseries"]
    lines = [
        f"Losses, with bands over seeds  {home}#custom_scalars",
        f"One row per loss               {home}#hparams",
    ]
    runs = sum(1 for experiment in directories for _ in log_directory(experiment).glob("*/"))
    if runs > MAX_SELECTED_RUNS:
        lines.append(
            f"There are more than {MAX_SELECTED_RUNS} runs, so TensorBoard selects none: "
            "select some, or name one experiment with --runs"
        )
    return lines


def serve(directory: Path, port: int, refresh: Callable[[], None] = lambda: None) -> int:
    """Run TensorBoard on a directory and return its exit code.

    TensorBoard ends with this process. `refresh` is called every few seconds meanwhile.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tensorboard.main"),
            # TensorBoard's default, stated because other machines must not see the page.
            *("--logdir", str(directory), "--host", "localhost", "--port", str(port)),
        ]
    )
    try:
        while True:
            try:
                return process.wait(timeout=POLL_SECONDS)
            except subprocess.TimeoutExpired:
                refresh()
    finally:
        process.terminate()
        process.wait()


def link_experiments(tree: Path, runs: Path) -> None:
    """Link each experiment below `runs` into `tree`, at the same relative path."""
    links = {
        tree / experiment.relative_to(runs): log_directory(experiment).resolve()
        for experiment in experiments(runs)
    }
    for directory, names, _ in os.walk(tree):
        for path in (Path(directory) / name for name in names):
            if path.is_symlink() and links.get(path) != path.readlink():
                path.unlink()
    for path, target in links.items():
        if not path.is_symlink():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target, target_is_directory=True)
