"""The numbers of an experiment, and the files that show them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.errors import UserError
from benchmarks.files import write_whole
from benchmarks.report.reading import MEASURES, Experiment, Run, read_experiment
from benchmarks.report.statistics import mean_interval, paired_difference

SYNTHETIC_NOTE = (
    "SYNTHETIC IMAGES: drawn by code, not photographs. These numbers say nothing about real "
    "cats and dogs."
)


def summarise(directory: Path) -> dict[str, Any]:
    """The numbers of the experiment in `directory`, as summary.json holds them.

    Accuracies and their differences are fractions. Accuracy is that of the final epoch, never of
    the best one. Only finished runs count; the others are named under `unfinished_runs`.

    Raises:
        UserError: a file is missing or unreadable, or no run has finished.
    """
    return summarise_experiment(read_experiment(directory))


def summarise_experiment(experiment: Experiment) -> dict[str, Any]:
    """As `summarise`, of an experiment already read."""
    about, finished = experiment.about, experiment.finished
    by_loss: dict[str, list[Run]] = {}
    for run in finished:
        by_loss.setdefault(run.loss, []).append(run)
    reference = _accuracies(by_loss.get("cross-entropy", []))
    return {
        "experiment": about.get("name", experiment.directory.name),
        "synthetic": experiment.synthetic,
        "note": SYNTHETIC_NOTE if experiment.synthetic else None,
        "start": about["config"].get("start", "normal"),
        "epochs": experiment.epochs,
        "chance": _chance(about.get("data", {})),
        "test_images": about.get("data", {}).get("test"),
        "seeds": sorted({run.seed for run in finished}),
        "finished_runs": len(finished),
        "unfinished_runs": [
            {"loss": run.loss, "seed": run.seed, "epoch": run.epoch}
            for run in experiment.runs
            if not run.finished
        ],
        "losses": {name: _summarise_loss(name, runs, reference) for name, runs in by_loss.items()},
    }


def write_summary(directory: Path) -> dict[str, Any]:
    """Writes summary.json, summary.md, report.html and the pictures beside the results.

    Each file appears whole or not at all: it is written under another name and then renamed.

    Returns:
        What `summarise` returns, and summary.json holds.

    Raises:
        UserError: as `summarise` does, or a file cannot be written.
    """
    from benchmarks.report.page import html_page, markdown_page
    from benchmarks.report.plots import draw_pictures

    experiment = read_experiment(directory)
    summary = summarise_experiment(experiment)
    pictures = draw_pictures(experiment, summary)
    files = {
        **pictures,
        "summary.md": markdown_page(experiment, summary, pictures).encode(),
        "report.html": html_page(experiment, summary, pictures).encode(),
        # Last, so that whoever sees it finds the others up to date.
        "summary.json": (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode(),
    }
    for name, content in files.items():
        try:
            write_whole(directory / name, content)
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"cannot write {directory / name}: {reason}") from None
    return summary


def _summarise_loss(name: str, runs: list[Run], reference: dict[int, float]) -> dict[str, Any]:
    accuracies = _accuracies(runs)
    difference = None
    shared = [seed for seed in accuracies if seed in reference]
    if name != "cross-entropy" and shared:
        difference = paired_difference(
            [accuracies[seed] for seed in shared], [reference[seed] for seed in shared]
        ).as_dict()
    return {
        "test_accuracy": {
            **mean_interval(list(accuracies.values())).as_dict(),
            "per_seed": {str(run.seed): run.last("test_accuracy") for run in runs},
        },
        "gradient": {
            measure: {
                "first": _mean(run.first(measure) for run in runs),
                "last": _mean(run.last(measure) for run in runs),
            }
            for measure in MEASURES
        },
        "minus_cross_entropy": difference,
        "seconds": _mean(run.last("seconds") for run in runs),
        "images_per_second": _mean(
            # Before the first step nothing has been trained, at whatever speed.
            _mean(row.values["images_per_second"] for row in run.rows if row.step > 0)
            for run in runs
        ),
    }


def _accuracies(runs: list[Run]) -> dict[int, float]:
    """Final test accuracy by seed, of the runs that have one."""
    final = {run.seed: run.last("test_accuracy") for run in runs}
    return {seed: value for seed, value in final.items() if value is not None}


def _mean(values: Iterable[float | None]) -> float | None:
    return mean_interval([value for value in values if value is not None]).mean


def _chance(data: dict[str, Any]) -> float | None:
    """The accuracy of always naming the class that has more test images."""
    test, cats = data.get("test"), data.get("test_cats")
    if not test or cats is None:
        return None
    return float(max(cats, test - cats) / test)
