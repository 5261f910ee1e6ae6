"""TensorBoard event file of a run.

All scalars of a step are one event: an event of 20 scalars costs as much as one of a single scalar.
Every run writes the same tags, so TensorBoard draws the losses over each other.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import (
    DATA_CLASS_BLOB_SEQUENCE,
    DATA_CLASS_SCALAR,
    DATA_CLASS_TENSOR,
    HistogramProto,
    Summary,
)
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from .gradient_stats import FLOOR, GradientStats
from .tags import LAYER, LOGIT_HISTOGRAM, describe

PREFIX = "events.out.tfevents."
"""Start of the name of an event file; its creation time in seconds follows."""

PAGES = {
    "simple_value": ("scalars", DATA_CLASS_SCALAR),
    "histo": ("histograms", DATA_CLASS_TENSOR),
    "image": ("images", DATA_CLASS_BLOB_SEQUENCE),
}
"""TensorBoard's page and class of data for each kind of value, which its reader of event files
otherwise infers, dropping the description."""

# Four bins per power of ten, from `FLOOR` to 100.
BINS = np.arange(round(math.log10(FLOOR)), 2.25, 0.25)


class EventFile:
    """Event file of a run, and a context manager that closes it.

    Every event is written at once: nothing is buffered in memory or by a thread.

    Args:
        directory: directory of the run, made if it is missing. The new file sorts after its others.
        suffix: end of the file name.
        since: step that the run resumes from. TensorBoard then discards later steps of earlier
            files.
        describe: returns the description of a tag, "" for none. TensorBoard shows the one that
            it reads first, so a run begun without descriptions stays without them when it is
            resumed.

    Raises:
        OSError: the file cannot be written; all methods raise it.
    """

    def __init__(
        self,
        directory: Path,
        suffix: str = "",
        since: int | None = None,
        describe: Callable[[str], str] = describe,
    ) -> None:
        self.describe, self.described = describe, set[str]()
        directory.mkdir(parents=True, exist_ok=True)
        there = [int(path.name.split(".")[3]) for path in event_files(directory)]
        second = max([int(time.time()), *(1 + each for each in there)])
        name = f"{PREFIX}{second:010d}.{socket.gethostname()}.{os.getpid()}{suffix}"
        self.file = (directory / name).open("xb")
        self.records = RecordWriter(self.file)
        head = [Event(wall_time=time.time(), file_version="brain.Event:2")]
        if since is not None:
            start = SessionLog(status=SessionLog.START)
            head.append(Event(wall_time=time.time(), step=since, session_log=start))
        for event in head:
            self.records.write(event.SerializeToString())
        self.file.flush()

    def __enter__(self) -> EventFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def training(self, step: int, stats: GradientStats) -> None:
        """Write the statistics of a logging interval that ends with `step`: scalars, and a
        histogram of the logit gradient."""
        scalars = {
            "loss/train": stats.loss,
            "accuracy/train": stats.accuracy,
            "gradient/logit_mean_abs": stats.logit_mean_abs,
            "gradient/logit_when_wrong": stats.logit_when_wrong,
            "gradient/vanished_fraction": stats.vanished_fraction,
            "gradient/parameter_norm": stats.parameter_norm,
        }
        scalars |= {LAYER.format(name): norm for name, norm in stats.layers.items()}
        log10 = stats.logit_log10[stats.logit_log10.isfinite()].double().numpy()
        counts, _ = np.histogram(log10.clip(BINS[0], BINS[-1]), BINS)
        histogram = make_histogram(counts, float(log10.sum()), float((log10**2).sum()))
        values = [*scalar_values(scalars), Summary.Value(tag=LOGIT_HISTOGRAM, histo=histogram)]
        self.write(step, values)

    def evaluation(self, step: int, loss: float, accuracy: float) -> None:
        """Write loss and accuracy on the validation images; NaN is left out."""
        self.write(step, scalar_values({"loss/validation": loss, "accuracy/validation": accuracy}))

    def test(self, step: int, loss: float, accuracy: float) -> None:
        """Write loss and accuracy on the test images, once, after the last step."""
        self.write(step, scalar_values({"loss/test": loss, "accuracy/test": accuracy}))

    def speed(self, step: int, images_per_second: float) -> None:
        """Write the training speed since the last evaluation."""
        self.write(step, scalar_values({"speed/images_per_second": images_per_second}))

    def note(self, tag: str, text: str, step: int = 0) -> None:
        """Write Markdown for TensorBoard's text page."""
        self.write(step, text_pb(tag, text).value)

    def warning(self, step: int, text: str) -> None:
        """Write a warning for TensorBoard's text page."""
        self.note("warnings", text, step)

    def write(
        self, step: int, values: Iterable[Summary.Value], wall_time: float | None = None
    ) -> None:
        """Write one event of summaries, dated `wall_time` (seconds since 1970), by default now.

        The first value that the file has of a tag carries the tag's description.
        """
        summary = Summary(value=values)
        if not summary.value:
            return
        for value in summary.value:
            if value.tag not in self.described and (text := self.describe(value.tag)):
                value.metadata.summary_description = text
                if page := PAGES.get(value.WhichOneof("value")):
                    value.metadata.plugin_data.plugin_name, value.metadata.data_class = page
            self.described.add(value.tag)
        wall_time = time.time() if wall_time is None else wall_time
        event = Event(wall_time=wall_time, step=step, summary=summary)
        self.records.write(event.SerializeToString())
        self.file.flush()


def event_files(directory: Path) -> list[Path]:
    """Return the event files of a directory, in the order in which TensorBoard reads them."""
    return sorted(directory.glob(f"{PREFIX}*"))


def scalar_values(scalars: dict[str, float]) -> list[Summary.Value]:
    """Return the summaries of scalars. NaN is left out: TensorBoard draws it at a wrong place."""
    return [
        Summary.Value(tag=tag, simple_value=value)
        for tag, value in scalars.items()
        if not math.isnan(value)
    ]


def make_histogram(counts: NDArray[Any], total: float, squares: float) -> HistogramProto:
    """Return a histogram of counts over `BINS`, without the empty bins at both ends.

    Minimum and maximum are edges of bins, not the extreme values: TensorBoard does not draw a
    histogram whose ends coincide, as when all gradients are zero.

    Args:
        counts: values per bin.
        total, squares: sum of the values and of their squares.
    """
    used = np.flatnonzero(counts)
    first, last = (used[0], used[-1] + 1) if len(used) else (0, 1)
    return HistogramProto(
        min=BINS[first],
        max=BINS[last],
        num=counts.sum(),
        sum=total,
        sum_squares=squares,
        bucket_limit=BINS[first + 1 : last + 1],
        bucket=counts[first:last],
    )


def bucket_counts(limits: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Return the counts over `BINS` from the bucket limits and counts of a histogram."""
    found = np.zeros(len(BINS) - 1)
    found[np.searchsorted(BINS, limits) - 1] = counts
    return found
