"""What the trained networks say of the test images: precision and recall, the worst mistakes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.pr_curve import metadata
from tensorboard.util import tensor_util

from lossbench.benchmarks.data import ImageSet
from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.records.files import read_arrays

THRESHOLDS = 201
SHOWN = 16
# In characters: a caption in full size, and a name that is shown whole.
CAPTION_LENGTH = 15
NAME_LENGTH = 24


@dataclass(frozen=True)
class Said:
    """What the networks of one loss say of the test images.

    Attributes:
        probabilities: (seeds, N, classes).
        labels: int64 (N,).
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]


def read_predictions(runs: Iterable[Path]) -> Said | None:
    """Of all runs that have a predictions.npz; None if none has. A network that has diverged says
    nothing and is left out.

    Raises UserError if a file cannot be read, or is of other test images than the one before.
    """
    said, labels = [], None
    for run in runs:
        path = run / "predictions.npz"
        if not path.exists():
            continue
        try:
            probabilities, own = read_arrays(path, "probabilities", "labels").values()
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path}: {one_line(error)}; run again") from None
        if labels is not None and not np.array_equal(own, labels):
            raise UserError(f"{path} is of other test images than the runs beside it; run again")
        labels = own
        if np.isfinite(probabilities).all():
            said.append(probabilities)
    return Said(np.stack(said), labels) if said and labels is not None else None


def pr_curves(said: Said, classes: Sequence[str]) -> list[Summary.Value]:
    """Precision against recall on the test images, one class against the rest: of two classes the
    second, of more each. The answers of all seeds are taken together."""
    shown = [1] if len(classes) == 2 else range(len(classes))
    labels = np.tile(said.labels, len(said.probabilities))
    return [
        pr_curve(f"test/{classes[k]}", labels == k, said.probabilities[:, :, k].ravel())
        for k in shown
    ]


def pr_curve(tag: str, truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> Summary.Value:
    """A curve over `THRESHOLDS` thresholds from 0 to 1, evenly spaced: an example counts as found
    if its score is at least the threshold. Precision is 0 where nothing is found."""
    last = THRESHOLDS - 1
    bins = np.floor(scores.astype(np.float64).clip(0, 1) * last).astype(int)

    def at_least(which: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(bins[which], minlength=THRESHOLDS)[::-1].cumsum()[::-1]

    right, wrong = at_least(truth), at_least(~truth)
    precision = right / np.maximum(right + wrong, 1)
    recall = right / max(truth.sum(), 1)
    rows = [right, wrong, wrong[0] - wrong, right[0] - right, precision, recall]
    return Summary.Value(
        tag=tag,
        metadata=metadata.create_summary_metadata(tag, "", THRESHOLDS),
        tensor=tensor_util.make_tensor_proto(np.array(rows, dtype=np.float32)),
    )


class Mistake(NamedTuple):
    """A test image that is taken for another class: its row, and the mean probability of that."""

    row: int
    truth: int
    said: int
    probability: float


def worst_mistakes(said: Said, count: int = SHOWN) -> list[Mistake]:
    """The images with the highest probability of a wrong class, mean over seeds, that one first;
    only those for which it is higher than that of the right class."""
    mean = said.probabilities.mean(axis=0, dtype=np.float64)
    rows = np.arange(len(mean))
    right = mean[rows, said.labels].copy()
    mean[rows, said.labels] = -1
    wrong, height = mean.argmax(axis=1), mean.max(axis=1)
    order = [int(i) for i in np.argsort(-height, kind="stable") if height[i] > right[i]]
    return [Mistake(i, int(said.labels[i]), int(wrong[i]), float(height[i])) for i in order[:count]]


def mistakes_picture(loss: str, seeds: int, mistakes: list[Mistake], images: ImageSet) -> bytes:
    """The pictures with their names, what they show and what they are taken for, as a JPEG."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    from lossbench.benchmarks.plots.canvas import RC, stamp_synthetic

    columns = 4
    rows = -(-len(mistakes) // columns)
    count = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    title = f"{loss}: surest wrong answers\nwhat it is → what it is taken for, {count}"
    with matplotlib.rc_context(RC):
        # TensorBoard shows it at less than half its size, hence the large type.
        figure = Figure(figsize=(9, 1.2 + 2.8 * rows), dpi=100, layout="constrained")
        figure.suptitle(title, fontsize=19)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in panels:
            axes.set_axis_off()
        for axes, mistake in zip(panels, mistakes, strict=False):
            axes.imshow(images.test.images[mistake.row], interpolation="bicubic")
            truth, said = images.classes[mistake.truth], images.classes[mistake.said]
            caption = f"{truth} → {said} {floored(mistake.probability)}"
            size = min(16.5, 16.5 * CAPTION_LENGTH / len(caption))
            axes.set_title(caption, fontsize=size, loc="center")
            name = images.test.names[mistake.row].rpartition("/")[2]
            if len(name) > NAME_LENGTH:
                name = "…" + name[1 - NAME_LENGTH :]
            below = {"transform": axes.transAxes, "ha": "center", "va": "top", "fontsize": 10.5}
            axes.text(0.5, -0.02, name, **below)
        if images.synthetic:
            stamp_synthetic(figure)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        extent = canvas.get_width_height()
        pixels = Image.frombuffer("RGBA", extent, canvas.buffer_rgba()).convert("RGB")  # type: ignore[no-untyped-call]
    buffer = io.BytesIO()
    pixels.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def floored(probability: float) -> str:
    """Two digits, rounded down, so that only certainty is 1.00."""
    return f"{np.floor(probability * 100) / 100:.2f}"


def picture(tag: str, encoded: bytes) -> Summary.Value:
    """A PNG or JPEG for TensorBoard's page of images."""
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as opened:
        width, height = opened.size
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encoded)
    return Summary.Value(tag=tag, image=image)
