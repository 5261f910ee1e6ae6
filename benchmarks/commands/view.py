"""`lossbench view`: TensorBoard on an experiment, a line per loss."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlencode

from lossbench.benchmarks.config import REFERENCE, RESERVED_NAMES, Start
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.reading import read_description
from lossbench.benchmarks.records.results import run_directory
from lossbench.benchmarks.records.schema import schema_error
from lossbench.benchmarks.subcommands import PROGRAM, ViewCommand

BOARD = "tensorboard"
MAX_DEPTH = 3
"""Levels of directories that are searched for experiments."""
POLL_SECONDS = 5.0
"""Seconds between two searches for new or finished experiments; TensorBoard's own default."""
COLOURS = 7
"""TensorBoard's colours. Runs get them in the order of their start; the eighth has the first."""
MAX_SELECTED_RUNS = 40
"""Number of runs up to which TensorBoard selects all of them."""
TAGS = "accuracy|logit_(mean|when)|parameter_norm"
"""Tags of single runs that are shown first."""


def run(command: ViewCommand) -> int:
    """Run TensorBoard until it ends, and return its exit code.

    Raises:
        UserError: the directory does not exist or holds no experiment, a loss is not in it or
            there are too many, or the port is invalid or in use.
    """
    runs = command.runs
    if not runs.is_dir():
        raise UserError(
            f"{runs} is no directory: run 'lossbench compare' first, or name one with --runs"
        )
    if not 0 < command.port < 65536:
        raise UserError(f"--port {command.port}: must be from 1 to 65535")
    directories = list(experiments(runs))
    if not directories:
        raise UserError(
            f"{runs} holds no experiment: run 'lossbench compare' first, or name another "
            "directory with --runs"
        )
    shown = directories if command.all else [newest(directories)]
    check_losses(command.losses or (), shown)
    check_free(command.port)
    first, *more = parts_of(losses_of(shown[0]))

    def links() -> dict[Path, Path]:
        found: dict[Path, Path] = {}
        for each in experiments(runs) if command.all else shown:
            losses = command.losses or (losses_of(each) if command.all else first)
            place = each.relative_to(runs) if command.all else Path()
            for name, target in run_links(each, losses, command.every_seed).items():
                found[place / name] = target
        return found

    opened = runs if command.all else shown[0]
    lines = [f"Experiment    {opened}", *addresses(shown, command.port, command.every_seed)]
    if not command.all:
        lines += others(opened, directories, [] if command.losses else more)
    print(*lines, *hints(len(links()), command.every_seed), sep="\n", flush=True)
    # A tree of links, because --logdir_spec, TensorBoard's option for many directories, turns off
    # its fast loading.
    with tempfile.TemporaryDirectory(prefix="lossbench-") as scratch:
        # TensorBoard's page shows the path.
        tree = Path(scratch, *opened.resolve().parts[-2:])
        tree.mkdir(parents=True)
        update_links(tree, links())
        return serve(tree, command.port, lambda: update_links(tree, links()))


def check_free(port: int) -> None:
    """Raise UserError if another program listens on the port."""
    with socket.socket() as listener:
        # As TensorBoard binds it: connections of a server that has just ended do not block it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("localhost", port))
        except OSError as error:
            raise UserError(f"--port {port}: {error.strerror}; choose another") from None


def check_losses(losses: Sequence[str], shown: Sequence[Path]) -> None:
    """Raise UserError for more losses than colours, or one that no experiment has."""
    if len(losses) > COLOURS:
        raise UserError(
            f"--losses {' '.join(losses)}: TensorBoard has {COLOURS} colours; name at most "
            f"{COLOURS}"
        )
    there = [loss for each in shown for loss in losses_of(each)]
    if missing := [loss for loss in losses if loss not in there]:
        raise UserError(
            f"--losses {' '.join(missing)}: not among those shown of {shown[0]}: {', '.join(there)}"
        )


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


def newest(directories: Sequence[Path]) -> Path:
    """Return the experiment that was begun or resumed last; of two starts the normal one."""
    found = max(directories, key=last_date)
    starts = [found.with_name(start) for start in get_args(Start)]
    return next((each for each in starts if found in starts and each in directories), found)


def last_date(experiment: Path) -> datetime:
    """Return when an experiment was begun or last resumed, from experiment.json."""
    about = description(experiment)
    try:
        date = (about.get("resumed") or [about])[-1]["date"]
        return datetime.fromisoformat(date).astimezone(UTC)
    except (KeyError, OverflowError, TypeError, ValueError):
        return datetime.min.replace(tzinfo=UTC)


def description(experiment: Path) -> dict[str, Any]:
    """Return experiment.json, {} if it cannot be read: TensorBoard does not need it."""
    try:
        about = read_description(experiment)
    except UserError:
        return {}
    return {} if schema_error(about, {"config": {"losses": [str]}, "identities": dict}) else about


def losses_of(experiment: Path) -> list[str]:
    """Return the losses that have a line: cross-entropy, then the others by name.

    A loss that is a multiple of another has none.
    """
    board = experiment / BOARD
    if board.is_dir():
        names = {path.name for path in board.iterdir() if path.is_dir()}
    else:
        # From the settings, because runs that have not begun have no directory.
        about = description(experiment)
        names = {*about.get("config", {}).get("losses", ())} - {*about.get("identities", ())}
    return sorted(names, key=lambda name: (name != REFERENCE, name))


def parts_of(losses: Sequence[str]) -> list[list[str]]:
    """Return the losses in parts of at most `COLOURS`, each with cross-entropy if it is there."""
    first = [REFERENCE] if REFERENCE in losses else []
    rest, size = [loss for loss in losses if loss not in first], COLOURS - len(first)
    return [first + rest[k : k + size] for k in range(0, max(len(rest), 1), size)]


def run_links(experiment: Path, losses: Sequence[str], every_seed: bool) -> dict[Path, Path]:
    """Return what TensorBoard loads of an experiment: directories by the name of the run.

    They are the means over seeds if it is finished, else the first seed of each loss.

    Raises:
        UserError: the name of a loss leads elsewhere.
    """
    links, board = {}, experiment / BOARD
    for loss in losses:
        seeds = sorted(run_directory(experiment, loss, 0).parent.glob("seed*/"))
        if (board / loss).is_dir():
            links[Path(loss, "mean") if every_seed else Path(loss)] = board / loss
        elif not board.is_dir():
            links |= {Path(loss, seed.name): seed for seed in seeds[:1]}
        if every_seed:
            links |= {Path(loss, seed.name): seed for seed in seeds}
    return {name: target.resolve() for name, target in links.items()}


def addresses(shown: Sequence[Path], port: int, every_seed: bool) -> list[str]:
    """Return lines for the terminal: what there is to see and its URL, unsmoothed."""
    home = f"http://localhost:{port}/?"
    if every_seed:
        colours = {"runColorGroup": "regex:^([^/]+)/"}
        query = urlencode({"smoothing": 0, "tagFilter": TAGS} | colours)
        return [f"Every seed    {home}{query}#timeseries"]
    if not any((each / BOARD).is_dir() for each in shown):
        query = urlencode({"smoothing": 0, "tagFilter": TAGS})
        return [f"First seeds   {home}{query}#timeseries"]
    return [
        f"Charts        {home}smoothing=0#custom_scalars&_smoothingWeight=0",
        f"Time series   {home}smoothing=0#timeseries",
        f"Table         {home}smoothing=0#hparams",
    ]


def others(shown: Path, directories: Sequence[Path], parts: Sequence[Sequence[str]]) -> list[str]:
    """Return lines with the commands for the other start, and for losses that are not shown."""
    command = [*PROGRAM, "view", "--runs"]
    lines = [
        f"Other losses  {shlex.join([*command, str(shown), '--losses', *part])}" for part in parts
    ]
    starts = get_args(Start)
    if shown.name in starts:
        siblings = [shown.with_name(start) for start in starts if start != shown.name]
        lines += [
            f"Other start   {shlex.join([*command, str(each)])}"
            for each in siblings
            if each in directories
        ]
    return lines


def hints(runs: int, every_seed: bool) -> list[str]:
    """Return a line if there are too many runs for TensorBoard's colours, or for it to select."""
    if runs > MAX_SELECTED_RUNS:
        return [
            f"There are more than {MAX_SELECTED_RUNS} runs, so TensorBoard selects none: "
            "select some, or name an experiment with --runs or losses with --losses"
        ]
    if runs > COLOURS and not every_seed:
        return [f"{runs} runs share {COLOURS} colours: select some by the boxes beside their names"]
    return []


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


def update_links(tree: Path, links: dict[Path, Path]) -> None:
    """Make `tree` hold these links and no others.

    Args:
        tree: a directory.
        links: target of each, by its path in the tree.
    """
    wanted = {tree / path: target for path, target in links.items()}
    for directory, names, _ in os.walk(tree, topdown=False):
        for path in (Path(directory) / name for name in names):
            if path.is_symlink():
                if wanted.get(path) != path.readlink():
                    path.unlink()
            elif not any(path.iterdir()):
                # When an experiment is finished, <loss>/seed0 becomes <loss>.
                path.rmdir()
    for path, target in wanted.items():
        if not path.is_symlink():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target, target_is_directory=True)
