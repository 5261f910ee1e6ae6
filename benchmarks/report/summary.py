"""The numbers of a comparison, as summary.json holds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lossbench.benchmarks.format import plural
from lossbench.benchmarks.records.reading import (
    Experiment,
    Run,
    read_experiment,
)
from lossbench.benchmarks.records.results import GRADIENT_COLUMNS, GradientWarning
from lossbench.benchmarks.stats.intervals import mean_interval

from .differences import minus_cross_entropy
from .document import SYNTHETIC_NOTE


def summarise(directory: Path) -> dict[str, Any]:
    """Summarise the experiment in `directory`.

    Accuracies and their differences are fractions. Accuracy is that on the test images, which are
    used once, after the last epoch. Only finished runs count; the others are listed under
    `unfinished_runs`. A run that has diverged counts as chance; its seed stands under `diverged`.
    Losses that are a multiple of another are not compared: they stand under `identities`, not under
    `losses`.

    Raises:
        UserError: a file is missing or unreadable, or no run has finished.
    """
    return summarise_experiment(read_experiment(directory))


def summarise_experiment(experiment: Experiment) -> dict[str, Any]:
    """Summarise an experiment, see `summarise`."""
    about, finished = experiment.about, experiment.finished
    data, config = about.get("data", {}), about["config"]
    by_loss = experiment.compared
    accuracies = {loss: _accuracies(experiment, runs) for loss, runs in by_loss.items()}
    diverged = {(run.loss, run.seed) for run in finished if run.diverged}
    differences = minus_cross_entropy(experiment.directory, accuracies, diverged)
    return {
        "experiment": about.get("name", experiment.directory.name),
        "synthetic": experiment.synthetic,
        "note": SYNTHETIC_NOTE if experiment.synthetic else None,
        "start": config.get("start", "normal"),
        "epochs": experiment.epochs,
        "tuned": bool(config.get("tuned", False)),
        "learning_rates": config.get("learning_rates", {}),
        "classes": list(experiment.classes),
        "chance": experiment.chance,
        "test_images": data.get("test"),
        "curve": "validation_accuracy" if experiment.held_out else "train_accuracy",
        "seeds": sorted({run.seed for runs in by_loss.values() for run in runs}),
        "finished_runs": len(finished),
        "unfinished_runs": [
            {"loss": run.loss, "seed": run.seed, "epoch": run.epoch, "failure": run.failure}
            for run in experiment.runs
            if not run.finished
        ],
        "losses": {
            name: _summarise_loss(runs, accuracies[name], differences.get(name))
            for name, runs in by_loss.items()
        },
        "identities": {
            run.loss: _summarise_identity(experiment, run)
            for run in finished
            if run.loss in experiment.identities
        },
        "warnings": [*data.get("warnings", []), *warning_lines(experiment.warnings)],
    }


def warning_lines(warnings: Sequence[GradientWarning]) -> list[str]:
    """Return one line per loss and kind of warning: the first, and how many more there are."""
    groups: dict[tuple[str, str], list[GradientWarning]] = {}
    for warning in warnings:
        groups.setdefault((warning.loss, warning.kind), []).append(warning)
    lines = []
    for first, *others in groups.values():
        text = f"{first.text.rstrip('.')}."
        if others:
            seeds = sorted({each.seed for each in others})
            text += (
                f" {plural(len(others), 'more such warning')}, with "
                f"seed{'s'[: len(seeds) != 1]} {', '.join(map(str, seeds))}."
            )
        lines.append(text)
    return lines


def _summarise_loss(
    runs: list[Run], accuracies: dict[int, float], difference: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "test_accuracy": {
            **mean_interval(list(accuracies.values())).as_dict(),
            "per_seed": {str(run.seed): accuracies.get(run.seed) for run in runs},
            "diverged": [run.seed for run in runs if run.diverged],
        },
        "validation_accuracy": _mean(run.last("validation_accuracy") for run in runs),
        "gradient": {
            measure: {
                "first": _mean(run.first(measure) for run in runs),
                "last": _mean(run.last(measure) for run in runs),
            }
            for measure in GRADIENT_COLUMNS
        },
        "minus_cross_entropy": difference,
        "seconds": _mean(run.last("seconds") for run in runs),
        "images_per_second": _mean(
            # The evaluation before the first step has no training speed.
            _mean(row.measured("images_per_second") for row in run.rows if row.step > 0)
            for run in runs
        ),
    }


def _summarise_identity(experiment: Experiment, run: Run) -> dict[str, Any]:
    """Summarise a run of a loss that is a multiple of another, beside that loss's run."""
    identity = experiment.identities[run.loss]
    other = [r for r in experiment.compared.get(identity.of, ()) if r.seed == run.seed]
    rates = experiment.about["config"].get("learning_rates", {})
    return asdict(identity) | {
        "seed": run.seed,
        "learning_rate": rates.get(run.loss),
        "learning_rate_of_other": rates.get(identity.of),
        "test_accuracy": experiment.test_accuracy(run),
        "test_accuracy_of_other": experiment.test_accuracy(other[0]) if other else None,
        "diverged": run.diverged,
    }


def _accuracies(experiment: Experiment, runs: list[Run]) -> dict[int, float]:
    """Return the final test accuracy by seed, of the runs that have one."""
    final = {run.seed: experiment.test_accuracy(run) for run in runs}
    return {seed: value for seed, value in final.items() if value is not None}


def _mean(values: Iterable[float | None]) -> float | None:
    return mean_interval([value for value in values if value is not None]).mean
