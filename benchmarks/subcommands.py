"""What can be asked of the command `lossbench`, beside a comparison and a search: a dataclass a
subcommand, whose docstrings are its help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from .config import CompareConfig

Names = tyro.conf.Positional[tuple[str, ...]]


@dataclass(frozen=True)
class Evidence:
    """Examine the claims of the argument for cross-entropy, each by experiment.

    Without a name it lists them. Writes runs/evidence/<name>/ for each: a report with the verdict,
    which is computed from measured intervals, and what it rests on. Networks that were trained
    before are not trained again, so that what was interrupted goes on where it was.
    """

    names: Annotated[Names, tyro.conf.arg(metavar="[NAME ...]")] = ()
    """Claims to examine, or all."""
    budget: Literal["quick", "standard", "full"] = "quick"
    """quick: some minutes a claim on two cores; standard: more seeds and longer training, an
    hour or two for all; full: as much as it takes."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is one."""
    workers: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="N", help_behavior_hint="(default: one a core; what fits in a GPU's memory)"
        ),
    ] = None
    """Networks trained at a time, each with one thread on the CPU."""
    runs: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs")
    """Directory that evidence/ is made in."""


@dataclass(frozen=True)
class Compare(CompareConfig):
    resume: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: none)")
    ] = None
    """Continue the experiment in this directory, with the settings that it was begun with: runs
    that are finished are kept, all others go on from their last checkpoint. No other flag beside
    it but --executor."""
    executor: Literal["here", "ray"] = "here"
    """here: one run after the other, on CUDA side by side. ray: each a task of the Ray cluster that
    RAY_ADDRESS or `ray start` names, else of one on this machine with a run a core."""


Compare.__doc__ = CompareConfig.__doc__


@dataclass(frozen=True)
class Plan(CompareConfig):
    """Prepare a comparison whose runs are trained each by itself, on whatever machines.

    Makes runs/<name>/ and prints one line a run, the command that trains it: for a job array, or
    xargs. `lossbench collect` writes the report of those that are finished. The machines have to
    share the directory, and to have the images.
    """


@dataclass(frozen=True)
class RunOne:
    """Train one run of a comparison that `lossbench plan` prepared, from its last checkpoint.

    Other processes may train other runs meanwhile. A run that is finished is left as it is.
    """

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the comparison."""
    number: Annotated[tyro.conf.Positional[int], tyro.conf.arg(metavar="N")]
    """Which of its runs, counted from 0."""


@dataclass(frozen=True)
class Collect:
    """Write the report of a comparison whose runs are trained each by itself."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the comparison."""


@dataclass(frozen=True)
class Report:
    """Write the report of finished experiments and claims again, and of several one page."""

    directories: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")
    ]
    """Directories that compare or evidence wrote."""
    output: Annotated[
        Path | None,
        tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: the working directory)"),
    ] = None
    """Directory of the page of several: report.html and report.md."""


@dataclass(frozen=True)
class View:
    """Open TensorBoard on finished and running experiments.

    Of a finished experiment it shows one line a loss with its band over seeds.
    """

    runs: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs")
    """Directory of the experiments, or one experiment."""
    port: int = 6006
    """Port on this machine that TensorBoard answers on."""
    every_seed: bool = False
    """Load the runs of every seed as well."""


@dataclass(frozen=True)
class Speed:
    """Measure how fast it is beside the alternatives: one table with the targets, in some minutes.

    Every figure is a ratio of times taken in turns in one process. Nothing else should run beside
    it. Writes runs/speed/<date>/.
    """

    only: Annotated[
        str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="(default: all)")
    ] = None
    """The rows with this in their group (losses, memory, training, start, growth, cuda) or
    name."""
    seconds: float = 1.0
    """Time spent on a row, at least; slow rows take longer."""
    runs: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs")
    """Directory that speed/ is made in."""


@dataclass(frozen=True)
class Catalogue:
    """Write the catalogue of losses: a page from the registry, its picture, measured errors."""

    output: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("losses")
    """Directory that README.md and catalogue.png are written to."""
