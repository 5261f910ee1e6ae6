"""Predictions on the test images: precision-recall curves and the most confident mistakes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.pr_curve import metadata
from tensorboard.util import tensor_util

from lossbench.benchmarks.data import ImageSet
from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.plots.canvas import RC, rasterise, stamp_synthetic
from lossbench.benchmarks.records.files import read_arrays

THRESHOLDS = 201
MAX_MISTAKES = 16
COLUMNS = 4  # images in a row
CAPTION_LENGTH = 15  # characters of a caption in full font size
NAME_LENGTH = 24  # characters of a file name that is not cut


@dataclass(frozen=True)
class SeedPredictions:
    """Predictions of the networks of one loss on the test images.

    Attributes:
        probabilities: (seeds, N, classes).
        labels: int64 (N,).
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]


def read_predictions(runs: Iterable[Path]) -> SeedPredictions | None:
    """Read the test predictions of the runs of a loss, without diverged networks.

    Args:
        runs: directories of the runs.

    Returns:
        The predictions stacked over the runs; None if no run has any.

    Raises:
        UserError: a predictions.npz cannot be read, or is of other test images than the one before.
    """
    finite, labels = [], None
    for run in runs:
        path = run / "predictions.npz"
        if not path.exists():
            continue
        try:
            probabilities, run_labels = read_arrays(path, "probabilities", "labels").values()
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path}: {one_line(error)}; run again") from None
        if labels is not None and not np.array_equal(run_labels, labels):
            raise UserError(f"{path} is of other test images than the runs beside it; run again")
        labels = run_labels
        if np.isfinite(probabilities).all():
            finite.append(probabilities)
    return SeedPredictions(np.stack(finite), labels) if finite and labels is not None else None


def pr_curves(predictions: SeedPredictions, classes: Sequence[str]) -> list[Summary.Value]:
    """Return a precision-recall curve per class against the rest, over all seeds together.

    Of two classes only the second has a curve.
    """
    indices = [1] if len(classes) == 2 else range(len(classes))
    labels = np.tile(predictions.labels, len(predictions.probabilities))
    return [
        pr_curve(f"test/{classes[k]}", labels == k, predictions.probabilities[:, :, k].ravel())
        for k in indices
    ]


def pr_curve(tag: str, truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> Summary.Value:
    """Return precision and recall at THRESHOLDS evenly spaced thresholds from 0 to below 1.

    A last point, at the threshold 1, has recall 0, where every curve begins. The precision there,
    and wherever no positive is found, is that of the next lower threshold that finds one: a
    precision of 0 would draw a line to the origin. TensorBoard drops points at the end without a
    count, so the last point repeats the counts of that threshold.

    Args:
        tag: tag of the curve.
        truth: (N,), whether each example is of the class.
        scores: (N,); an example is predicted positive if its score is at least the threshold.
    """
    bins = np.floor(scores.astype(np.float64).clip(0, 1) * THRESHOLDS).astype(int)
    bins = bins.clip(max=THRESHOLDS - 1)

    def count_at_least(selected: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(bins[selected], minlength=THRESHOLDS)[::-1].cumsum()[::-1]

    true, false = count_at_least(truth), count_at_least(~truth)
    finding = np.flatnonzero(true)
    highest = int(finding[-1]) if len(finding) else 0
    true, false = np.append(true, true[highest]), np.append(false, false[highest])
    precision = true / np.maximum(true + false, 1)
    recall = true / max(truth.sum(), 1)
    precision[highest:], recall[highest + 1 :] = precision[highest], 0
    rows = [true, false, false[0] - false, true[0] - true, precision, recall]
    return Summary.Value(
        tag=tag,
        metadata=metadata.create_summary_metadata(tag, "", THRESHOLDS + 1),
        tensor=tensor_util.make_tensor_proto(np.array(rows, dtype=np.float32)),
    )


class Mistake(NamedTuple):
    """A misclassified test image: index, label, predicted class and its mean probability."""

    image: int
    label: int
    predicted: int
    probability: float


def worst_mistakes(predictions: SeedPredictions, count: int = MAX_MISTAKES) -> list[Mistake]:
    """Return the misclassified images by falling probability of the wrong class, mean over seeds.

    Args:
        predictions: of the networks of one loss.
        count: how many images to return at most.
    """
    mean, labels = predictions.probabilities.mean(axis=0, dtype=np.float64), predictions.labels
    images = np.arange(len(mean))
    correct = mean[images, labels].copy()
    mean[images, labels] = -1
    wrong, highest = mean.argmax(axis=1), mean.max(axis=1)
    order = [int(i) for i in np.argsort(-highest, kind="stable") if highest[i] > correct[i]]
    return [Mistake(i, int(labels[i]), int(wrong[i]), float(highest[i])) for i in order[:count]]


def draw_mistakes(loss: str, seeds: int, mistakes: list[Mistake], images: ImageSet) -> bytes:
    """Draw misclassified images with label, predicted class and file name, as a JPEG."""
    rows = -(-len(mistakes) // COLUMNS)
    count = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    title = f"{loss}: most confident mistakes\nlabel → prediction, {count}"
    height = 1.0 + 2.7 * rows
    with matplotlib.rc_context(RC):
        # TensorBoard shows it at less than half its size, hence the large font.
        figure = Figure(figsize=(9, height), dpi=100)
        figure.suptitle(title, fontsize=19, y=1 - 0.08 / height, va="top")
        # All images share one axes, in units of an image with its margins: axes of their own would
        # take ten times as long.
        axes = figure.add_axes((0, 0, 1, 2.7 * rows / height))
        axes.set_axis_off()
        for place, mistake in enumerate(mistakes):
            row, column = divmod(place, COLUMNS)
            _draw_mistake(axes, row, column, mistake, images)
        axes.set(xlim=(0, COLUMNS), ylim=(rows, 0), aspect="auto")
        if images.synthetic:
            stamp_synthetic(figure)
        image = rasterise(figure)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _draw_mistake(axes: Axes, row: int, column: int, mistake: Mistake, images: ImageSet) -> None:
    """Draw one image between its caption and its file name."""
    left, right, top, bottom = column + 0.03, column + 0.97, row + 0.13, row + 0.913
    axes.imshow(
        images.test.images[mistake.image],
        interpolation="bicubic",
        extent=(left, right, bottom, top),
    )
    label, predicted = images.classes[mistake.label], images.classes[mistake.predicted]
    caption = f"{label} → {predicted} {round_down(mistake.probability)}"
    size = min(16.5, 16.5 * CAPTION_LENGTH / len(caption))
    place: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": size, "fontweight": "bold"}
    axes.text(column + 0.5, top - 0.01, caption, **place)
    name = images.test.names[mistake.image].rpartition("/")[2]
    if len(name) > NAME_LENGTH:
        name = "…" + name[1 - NAME_LENGTH :]
    axes.text(column + 0.5, bottom + 0.01, name, fontsize=10.5, ha="center", va="top")


def round_down(probability: float) -> str:
    """Format with two digits, rounded down, so that only certainty is 1.00."""
    return f"{np.floor(probability * 100) / 100:.2f}"


def image_summary(tag: str, encoded: bytes) -> Summary.Value:
    """Return an event of a PNG or JPEG."""
    with Image.open(io.BytesIO(encoded)) as opened:
        width, height = opened.size
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encoded)
    return Summary.Value(tag=tag, image=image)
