"""The commands of `lossbench` and their arguments, a dataclass each. The docstrings are --help.

Help keeps the line breaks of a field's docstring, so each of its lines is a sentence.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from .config import KERNELS, CompareConfig, Start, Workers, option

PROGRAM = ["uv", "run", "lossbench"] if "UV" in os.environ else ["lossbench"]
"""The command as the user types it: under `uv run` it is not on the PATH."""

MovedData = Annotated[str | None, option("SOURCE", "where they were")]
Names = tyro.conf.Positional[tuple[str, ...]]


@dataclass(frozen=True)
class EvidenceCommand:
    """Examine the claims of the argument for cross-entropy, each by experiment.

    Without a name it lists the claims, with the verdicts that are known. A claim is tested after
    each of 5, 8, 12, 18, 27 and 40 seeds, until it is decided. Its cost is listed before anything
    is trained. Writes runs/evidence/<name>/ for each: a report with its measurements and the
    verdict computed from them. Networks that were trained before are not trained again, so an
    interrupted examination continues where it stopped.
    """

    names: Annotated[Names, option("[NAME ...]")] = ()
    """Claims to examine, or all."""
    looks: Annotated[int | None, option("N", "until it is decided")] = None
    """Stop after N interim analyses; the same command without it continues."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA if there is a GPU."""
    workers: Workers = None
    """Networks trained at a time, each with one thread on the CPU."""
    kernels: bool = KERNELS
    """Compute losses by their kernels, where there are any; they are built if need be."""
    runs: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs")
    """Directory in which evidence/ is made."""


@dataclass(frozen=True)
class CompareCommand(CompareConfig):
    """Comparison settings plus the flags that only the command line takes."""

    # Wider than in one experiment, which has one start.
    start: Literal["both", Start] = "both"  # type: ignore[assignment]
    """confidently-wrong: the initial model gives 'dog' the probability 0.9997 for every image.
    both: one experiment from each start, and one page for the two.
    More than two classes have the normal start alone, and so has a preset by default."""
    resume: Annotated[Path | None, option("DIR")] = None
    """Resume this experiment with its own settings, from its checkpoints.
    Allowed: --executor, --workers, and --data if the images have moved."""
    executor: Literal["local", "ray"] = "local"
    """local: this machine.
    ray: each run is a task of a Ray cluster, that of RAY_ADDRESS or `ray start`.
    Without one, Ray starts here, with one run per core."""
    workers: Workers = None
    """Runs at a time on this machine, on the CPU in a process each."""


CompareCommand.__doc__ = CompareConfig.__doc__


@dataclass(frozen=True)
class PresetFlag:
    """The flag `--preset` alone, which is read first: it sets the defaults of the other flags."""

    preset: str | None = None


@dataclass(frozen=True)
class PlanCommand(CompareConfig):
    """Prepare a comparison whose runs are trained separately, on any machines.

    Makes runs/<name>/ and prints one line per run, the command that trains it, for a job array or
    xargs. `lossbench collect` writes the report of the finished runs. The machines need to share
    the directory and to have the images.
    """


@dataclass(frozen=True)
class RunOneCommand:
    """Train one run of a comparison that `lossbench plan` prepared, from its last checkpoint.

    Other processes may train other runs at the same time. A finished run is left unchanged.
    """

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the comparison."""
    number: Annotated[tyro.conf.Positional[int], tyro.conf.arg(metavar="N")]
    """Number of the run, counted from 0."""
    data: MovedData = None
    """Where the images are now, if they are not where `lossbench plan` found them."""


@dataclass(frozen=True)
class CollectCommand:
    """Write the report of a comparison whose runs are trained separately."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the comparison."""
    data: MovedData = None
    """Where the images are now, if they are not where `lossbench plan` found them."""


@dataclass(frozen=True)
class ReportCommand:
    """Rewrite the reports of finished experiments and claims.

    Several directories also get one combined page, as do the two starts of a comparison.
    """

    directories: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="RUN [RUN ...]", help_behavior_hint="(required)"),
    ]
    """Directories that compare or evidence wrote."""
    output: Annotated[Path | None, option("DIR", "the working directory")] = None
    """Directory of the combined page: report.html and report.md."""


@dataclass(frozen=True)
class ViewCommand:
    """Open TensorBoard on one experiment: the newest, or the one named.

    A finished experiment shows one line per loss with its band over seeds, a running one the first
    seed of each loss. Prints the address of the charts, unsmoothed. Of a comparison from both
    starts it opens the normal one, and prints the command for the other.
    """

    runs: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs")
    """An experiment, or a directory of experiments, whose newest is opened."""
    losses: Annotated[tuple[str, ...] | None, option("LOSS [LOSS ...]", "the first seven")] = None
    """Losses to show. TensorBoard has seven colours, so at most seven.
    Of more losses, the commands for the others are printed, each with cross-entropy."""
    all: bool = False
    """Overlay all experiments below DIR. Beyond seven lines colours repeat."""
    every_seed: bool = False
    """Also load the runs of every seed; the seeds of a loss share its colour."""
    port: int = 6006
    """Port of TensorBoard on this machine."""


@dataclass(frozen=True)
class SpeedCommand:
    """Measure speed and memory of losses, and speed of training, relative to other implementations.

    Prints a table of ratios with their targets. A ratio is of two times, measured alternately in
    one process: a loss relative to torch's, or to the plain expression in torch. All rows take
    about half an hour. Run nothing else on the machine meanwhile. Writes
    runs/speed/<date>/.
    """

    only: Annotated[str | None, option("TEXT", "all")] = None
    """Measure only rows with this text in their name or group.
    Dtypes and targets: float32, bfloat16, float16, float64, float64 targets, soft targets.
    Other groups: channels_last, no compiler, compiled, memory, training, start, growth, cuda."""
    against: Annotated[str | None, option("REV", "none")] = None
    """Instead time the losses beside those of another commit of this clone, such as HEAD~1.
    The exit code is 1 if one is slower now, by more than 2 %. Writes nothing."""
    seconds: Annotated[float | None, option("S", "0.2; 10 with --against")] = None
    """Minimum time per row; slow rows take longer."""
    runs: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs")
    """Directory in which speed/ is made."""


@dataclass(frozen=True)
class CatalogueCommand:
    """Write the catalogue of losses: one page with formula, curve and numerical error of each."""

    output: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("losses")
    """Directory of README.md and catalogue.png."""


@dataclass(frozen=True)
class ArticleCommand:
    """Write the page that follows the article sentence by sentence, with numbers and figures."""

    output: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("docs")
    """Directory of article.md and article.png."""
    evidence: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs/reference/evidence")
    """Directory of the examined claims that the page shows."""
