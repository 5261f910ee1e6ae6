"""`lossbench view`: TensorBoard on experiments, finished ones by loss and others by seed."""

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
DEEPEST = 3
"""Levels below the directory of the runs that experiments are looked for in."""
EVERY = 5.0
"""Seconds between two looks for experiments that are new or have been finished, like
TensorBoard's own."""
TICKED = 40
"""With more runs than this TensorBoard shows none until some are ticked."""


def view(runs: Path, port: int, every_seed: bool = False) -> int:
    """Run TensorBoard until it is ended, and return its exit code.

    Of a finished experiment it opens one run a loss, with bands over seeds, which is quick however
    many seeds there are; of one that still goes on, the runs of every seed.

    Args:
        runs: an experiment, or a directory of experiments.
        port: on this machine, that TensorBoard answers on.
        every_seed: open everything there is, the runs of every seed beside those of the losses.

    Raises:
        UserError: there is no such directory, no experiment in it, or no such port.
    """
    if not runs.is_dir():
        raise UserError(
            f"{runs} is no directory: run 'lossbench compare' first, or name one with --runs"
        )
    if not 0 < port < 65536:
        raise UserError(f"--port {port}: must be from 1 to 65535")
    found = list(experiments(runs))
    if not found:
        raise UserError(
            f"{runs} holds no experiment: run 'lossbench compare' first, or name another "
            "directory with --runs"
        )
    check_free(port)
    print(*addresses(found, port), sep="\n", flush=True)
    if every_seed:
        return serve(runs, port)
    if found == [runs]:
        return serve(shown(runs), port)
    # TensorBoard's other way to be given many directories, --logdir_spec, turns off its fast
    # loading, which follows links.
    with tempfile.TemporaryDirectory(prefix="lossbench-") as tree:
        link(Path(tree), runs)
        return serve(Path(tree), port, lambda: link(Path(tree), runs))


def check_free(port: int) -> None:
    """Raise UserError where another program answers on a port of this machine."""
    with socket.socket() as here:
        # As TensorBoard binds it: what a server that has just ended left behind is in nobody's way.
        here.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            here.bind(("localhost", port))
        except OSError as error:
            raise UserError(f"--port {port}: {error.strerror}; choose another") from None


def experiments(runs: Path, levels: int = DEEPEST) -> Iterator[Path]:
    """The directories of experiments: `runs` itself, or those below it, sorted by name."""
    if (runs / "experiment.json").exists():
        yield runs
    elif levels:
        for path in sorted(runs.iterdir()):
            hidden = path.name.startswith(".") or (
                levels == DEEPEST and path.name in RESERVED_NAMES
            )
            if path.is_dir() and not hidden:
                yield from experiments(path, levels - 1)


def shown(experiment: Path) -> Path:
    """What is opened of an experiment: the runs of its losses if it is finished, else of seeds."""
    board = experiment / BOARD
    return board if board.is_dir() else experiment


def addresses(found: list[Path], port: int) -> list[str]:
    """What to open in a browser, and what for."""
    home = f"http://localhost:{port}/"
    if not any((experiment / BOARD).is_dir() for experiment in found):
        tags = "accuracy|logit_(mean|when)|parameter_norm"
        query = urlencode({"runFilter": "seed0", "tagFilter": tags})
        return [f"One seed of each loss  {home}?{query}#timeseries"]
    lines = [
        f"Losses, with bands over seeds  {home}#custom_scalars",
        f"A row a loss                   {home}#hparams",
    ]
    runs = sum(1 for experiment in found for _ in shown(experiment).glob("*/"))
    if runs > TICKED:
        lines.append(
            f"There are more than {TICKED} runs, of which TensorBoard ticks none by itself: tick "
            "some, or name one experiment with --runs"
        )
    return lines


def serve(directory: Path, port: int, look: Callable[[], None] = lambda: None) -> int:
    """Run TensorBoard on a directory, calling `look` now and then; returns its exit code. It ends
    with this process, however that is ended."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tensorboard.main"),
            # Said although it is TensorBoard's default: nobody else is to see what is shown.
            *("--logdir", str(directory), "--host", "localhost", "--port", str(port)),
        ]
    )
    try:
        while True:
            try:
                return process.wait(timeout=EVERY)
            except subprocess.TimeoutExpired:
                look()
    finally:
        process.terminate()
        process.wait()


def link(tree: Path, runs: Path) -> None:
    """Make `tree` hold a link for each experiment, at its place below `runs`, to what is shown."""
    wanted = {
        tree / experiment.relative_to(runs): shown(experiment).resolve()
        for experiment in experiments(runs)
    }
    for directory, names, _ in os.walk(tree):
        for path in (Path(directory) / name for name in names):
            if path.is_symlink() and wanted.get(path) != path.readlink():
                path.unlink()
    for path, target in wanted.items():
        if not path.is_symlink():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target, target_is_directory=True)
