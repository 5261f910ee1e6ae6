"""The TensorBoard of a finished experiment: one run per loss, averaged over seeds.

Time Series and Custom Scalars begin with accuracy and gradients, a line per loss, HParams has a row
per loss. There are histograms of the logit gradient, precision-recall curves, the most confident
mistakes, the curves of the loss functions, and the summary as text.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary

from lossbench.benchmarks.data import ImageSet
from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.records.events import EventFile, scalar_values
from lossbench.benchmarks.records.files import sync_directory, sync_tree
from lossbench.benchmarks.records.reading import Experiment, read_experiment
from lossbench.benchmarks.records.results import run_directory

from .board_descriptions import HISTOGRAM, ZERO_HISTOGRAM, describe
from .board_hparams import hparams_of, metrics_of, table_heading, table_row
from .board_layout import BY_LAYER, CHARTS, HIGH, LOW, MarginChart, layer_names, layout
from .board_predictions import (
    draw_mistakes,
    image_summary,
    pr_curves,
    read_predictions,
    worst_mistakes,
)
from .board_seeds import (
    RunEvents,
    gradient_is_zero,
    merged_histograms,
    norms_by_layer,
    over_seeds,
    positive_band,
    read_seed,
    share_band,
)
from .board_texts import sections

BOARD = "tensorboard"
"""Name of the directory in that of the experiment."""

PHOTOGRAPHS = ".photographs"
"""Suffix of event files with images of the data set and nothing else, which may be private."""


def write_board(directory: Path, images: ImageSet | None = None) -> None:
    """Write `<directory>/tensorboard/<loss>/` per loss, replacing an earlier board atomically.

    Args:
        directory: of an experiment with summary.json. Unfinished runs do not count.
        images: the data set; without it there are no images of mistakes.

    Raises:
        UserError: a file is missing or unreadable, no run has finished, or the board cannot be
            written.
    """
    experiment = read_experiment(directory)
    summary = read_summary(directory)
    scratch = directory / f".{BOARD}.{os.getpid()}.tmp"
    try:
        for loss in summary["losses"]:
            write_loss(scratch / loss, loss, experiment, summary, images)
        replace_directory(scratch, directory / BOARD)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write {directory / BOARD}: {reason}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read_summary(directory: Path) -> dict[str, Any]:
    """Read summary.json. Raise UserError if that fails."""
    path = directory / "summary.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: write it with `lossbench report {directory}` first"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {one_line(error)}") from None


def replace_directory(new: Path, old: Path) -> None:
    """Move the directory `new`, `.NAME.tmp`, to `old`, and delete what was there."""
    sync_tree(new)
    backup = new.with_suffix(".old.tmp")
    with suppress(FileNotFoundError):
        old.rename(backup)
    new.rename(old)
    sync_directory(old.parent)
    shutil.rmtree(backup, ignore_errors=True)


def write_loss(
    path: Path,
    loss: str,
    experiment: Experiment,
    summary: dict[str, Any],
    images: ImageSet | None,
) -> None:
    """Write the TensorBoard run of one loss: curves, histograms, figures and texts."""
    runs = [run for run in experiment.finished if run.loss == loss]
    directories = [run_directory(experiment.directory, loss, run.seed) for run in runs]
    seeds = [read_seed(directory) for directory in directories if directory.is_dir()]
    last = max(run.rows[-1].step for run in runs)
    layers = layer_names(list(seeds[0].scalars)) if seeds else []
    for seed in seeds:
        seed.scalars[BY_LAYER] = norms_by_layer(seed)
    times = {step: time for seed in reversed(seeds) for step, time in seed.times.items()}

    events: dict[int, list[Summary.Value]] = defaultdict(list)
    events[0] += table_row(
        f"{experiment.directory.name}/{loss}", hparams_of(experiment.about, loss)
    )
    # In every run, because any of them may be shown without the others; TensorBoard merges them.
    events[0] += [layout(layers), table_heading()]
    for step, values in curves(seeds, last):
        events[step] += values
    events[last] += scalar_values(metrics_of(summary["losses"][loss]))
    predictions = read_predictions(directories)
    if predictions:
        classes = experiment.about.get("data", {}).get("classes", ["dog", "cat"])
        events[last] += pr_curves(predictions, classes)
    closed_forms = experiment.directory / "closed_forms.png"
    if loss == main_loss(summary) and closed_forms.exists():
        image = image_summary("value and gradient of each loss", closed_forms.read_bytes())
        events[last].append(image)
    if predictions and images is not None and (mistakes := worst_mistakes(predictions)):
        jpeg = draw_mistakes(loss, len(predictions.probabilities), mistakes, images)
        with EventFile(path, PHOTOGRAPHS, describe=describe) as file:
            file.write(last, [image_summary("surest wrong answers", jpeg)])
    with EventFile(path, describe=describe) as file:
        for step in sorted(events):
            file.write(step, events[step], times.get(step))
        for tag, text in texts(loss, experiment, summary).items():
            file.note(tag, text, last)


def main_loss(summary: dict[str, Any]) -> str:
    """Return the loss whose run also holds the figure and summary of the experiment."""
    losses = list(summary["losses"])
    return "cross-entropy" if "cross-entropy" in losses else str(losses[0])


def curves(seeds: list[RunEvents], last: int) -> Iterator[tuple[int, list[Summary.Value]]]:
    """Yield by step: means over seeds of all scalars, bands, and histograms of dL/dz."""
    banded_tags = {chart.tag for chart in CHARTS}
    for tag in sorted(set().union(*(seed.scalars for seed in seeds))):
        steps, values = over_seeds(seeds, tag)
        if len(steps) == 1 and tag != BY_LAYER:
            # A single point is hard to see: draw it as a constant over all steps.
            steps, values = np.array([0, last]), np.repeat(values, 2, axis=1)
        if tag not in banded_tags and tag != BY_LAYER:
            yield from by_step({tag: (steps, np.nanmean(values, axis=0))})
        for chart in CHARTS:
            if chart.source == tag:
                yield from by_step(banded(chart, steps, values))
    tag = ZERO_HISTOGRAM if gradient_is_zero(seeds) else HISTOGRAM
    for step, histogram in merged_histograms(seeds).items():
        yield step, [Summary.Value(tag=tag, histo=histogram)]


def banded(chart: MarginChart, steps: Any, values: Any) -> dict[str, tuple[Any, Any]]:
    """Return steps and values of the mean and of both ends of the band, by tag."""
    band = share_band(steps, values) if chart.share else positive_band(steps, values)
    names = (chart.tag, LOW.format(chart.tag), HIGH.format(chart.tag))
    if not chart.log:
        return {name: (band.steps, part) for name, part in zip(names, band[1:], strict=True)}
    kept = band.mean > 0
    return {
        name: (band.steps[kept], np.log10(part[kept]))
        for name, part in zip(names, band[1:], strict=True)
    }


def by_step(curves: dict[str, tuple[Any, Any]]) -> Iterator[tuple[int, list[Summary.Value]]]:
    """Yield every value of the curves with its step."""
    for tag, (steps, values) in curves.items():
        for step, value in zip(steps, values, strict=True):
            yield int(step), scalar_values({tag: float(value)})


def texts(loss: str, experiment: Experiment, summary: dict[str, Any]) -> dict[str, str]:
    """Return Markdown by tag: warnings of the loss, and the summary of the experiment."""
    texts = {}
    if own := [warning.text for warning in experiment.warnings if warning.loss == loss]:
        texts["warnings"] = "\n".join(f"- {text}" for text in own)
    page = experiment.directory / "summary.md"
    if loss == main_loss(summary) and page.exists():
        texts |= sections(page.read_text(encoding="utf-8"))
    return texts
