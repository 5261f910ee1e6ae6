import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import (
    EventFileLoader,
    RawEventFileLoader,
)
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import HistogramProto

from lossbench.benchmarks.records.events import (
    BINS,
    EventFile,
    bucket_counts,
    make_histogram,
    scalar_values,
)

from ..samples import gradient_stats, read_events

NAN = float("nan")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    with EventFile(tmp_path) as events:
        events.training(3, gradient_stats())
        events.evaluation(4, 0.6, 0.75)
        events.speed(4, 1234.5)
        events.test(5, 0.65, 0.7)
    scalars = {
        tag: [(e.step, e.value) for e in read_events(tmp_path).Scalars(tag)]
        for tag in read_events(tmp_path).Tags()["scalars"]
    }
    assert scalars["gradient/layer/head.weight"] == [(3, 1.5)]
    assert scalars["accuracy/validation"] == [(4, 0.75)]
    assert scalars["loss/validation"] == [(4, pytest.approx(0.6))]
    assert scalars["accuracy/test"] == [(5, pytest.approx(0.7))]
    assert scalars["loss/test"] == [(5, pytest.approx(0.65))]
    assert scalars["speed/images_per_second"] == [(4, 1234.5)]
    assert scalars["loss/train"] == [(3, pytest.approx(0.7))]


def test_every_tag_says_what_it_is(tmp_path: Path) -> None:
    with EventFile(tmp_path) as events:
        events.training(0, gradient_stats())
        events.evaluation(4, 0.6, 0.75)
        events.speed(4, 1234.5)
        events.test(5, 0.65, 0.7)
        events.warning(5, "vanished")
    found = read_events(tmp_path)
    tags = [tag for kind in ("scalars", "histograms", "tensors") for tag in found.Tags()[kind]]
    assert len(tags) == 15
    for tag in tags:
        metadata = found.SummaryMetadata(tag)
        assert len(metadata.summary_description) > 30
        # Without it TensorBoard's server infers both, and drops the description.
        assert metadata.data_class or tag == "warnings"
        assert metadata.plugin_data.plugin_name in ("scalars", "histograms", "text")
    layer = found.SummaryMetadata("gradient/layer/head.weight").summary_description
    assert "`head.weight`" in layer


def test_a_description_is_written_once_per_file(tmp_path: Path) -> None:
    with EventFile(tmp_path) as events:
        events.speed(1, 2.0)
        events.speed(2, 2.0)
    (file,) = tmp_path.iterdir()
    described = [
        value.metadata.summary_description != ""
        for event in map(Event.FromString, RawEventFileLoader(str(file)).Load())
        for value in event.summary.value
    ]
    assert described == [True, False]


def test_a_run_begun_without_descriptions_goes_on(tmp_path: Path) -> None:
    with EventFile(tmp_path, describe=lambda _: "") as events:
        events.speed(1, 2.0)
    with EventFile(tmp_path, since=2) as events:
        events.speed(2, 3.0)
    found = read_events(tmp_path).Scalars("speed/images_per_second")
    assert [(point.step, point.value) for point in found] == [(1, 2.0), (2, 3.0)]


def test_the_scalars_of_a_step_are_one_event(tmp_path: Path) -> None:
    with EventFile(tmp_path) as events:
        events.training(0, gradient_stats())
    (file,) = tmp_path.iterdir()
    sizes = [len(e.summary.value) for e in EventFileLoader(str(file)).Load()]
    assert sorted(sizes) == [0, 9]  # the file's version, then six means, two layers, a histogram


def test_what_has_no_value_is_not_written(tmp_path: Path) -> None:
    with EventFile(tmp_path) as events:
        events.training(0, gradient_stats(logit_when_wrong=NAN, vanished_fraction=NAN))
    tags = read_events(tmp_path).Tags()["scalars"]
    assert "gradient/logit_mean_abs" in tags
    assert not {"gradient/logit_when_wrong", "gradient/vanished_fraction"} & set(tags)


def test_without_validation_images_there_is_no_event(tmp_path: Path) -> None:
    with EventFile(tmp_path) as events:
        events.evaluation(3, NAN, NAN)
    (file,) = tmp_path.iterdir()
    assert [len(e.summary.value) for e in EventFileLoader(str(file)).Load()] == [0]  # its version


def test_an_alarm_is_a_warning_at_its_step(tmp_path: Path) -> None:
    with EventFile(tmp_path) as events:
        events.warning(20, "nll seed 0: the gradient of head.bias vanished")
        events.warning(20, "nll seed 0: the gradient of head.weight exploded")
    found = [
        (e.step, e.tensor_proto.string_val[0]) for e in read_events(tmp_path).Tensors("warnings")
    ]
    assert found == [
        (20, b"nll seed 0: the gradient of head.bias vanished"),
        (20, b"nll seed 0: the gradient of head.weight exploded"),
    ]


def test_an_event_can_have_a_time_of_its_own(tmp_path: Path) -> None:
    with EventFile(tmp_path) as events:
        events.write(1, [], wall_time=5.0)
        events.write(2, scalar_values({"a": 1.0}), wall_time=7.0)
    (event,) = read_events(tmp_path).Scalars("a")
    assert (event.step, event.wall_time) == (2, 7.0)


def test_a_note_is_a_text(tmp_path: Path) -> None:
    with EventFile(tmp_path) as events:
        events.note("images", "SYNTHETIC IMAGES")
    (event,) = read_events(tmp_path).Tensors("images")
    assert event.tensor_proto.string_val[0] == b"SYNTHETIC IMAGES"


def written_histogram(directory: Path, values: torch.Tensor) -> HistogramProto:
    """Return the histogram of log10 gradients as it is in the event file."""
    with EventFile(directory) as events:
        events.training(0, gradient_stats(logit_log10=values))
    (file,) = directory.iterdir()
    written = [
        v for e in RawEventFileLoader(str(file)).Load() for v in Event.FromString(e).summary.value
    ]
    return written[-1].histo


@pytest.mark.parametrize(
    "values",
    [[-12.0], [2.0], [-3.3, -3.2, 0.0], np.linspace(-12, 2, 500), [-50.0, 9.0], []],
    ids=["floor", "ceiling", "few", "all bins", "outside", "none"],
)
def test_a_histogram_counts_every_value_in_its_bin(tmp_path: Path, values) -> None:
    values = torch.tensor(np.array(values))
    histogram = written_histogram(tmp_path, values)
    assert sum(histogram.bucket) == histogram.num == len(values)
    assert len(histogram.bucket) == len(histogram.bucket_limit)
    counts, _ = np.histogram(values.numpy().clip(BINS[0], BINS[-1]), BINS)
    expected = dict(zip(BINS[1:], counts, strict=True))
    for limit, count in zip(histogram.bucket_limit, histogram.bucket, strict=True):
        assert count == expected[limit]
    assert histogram.min == histogram.bucket_limit[0] - 0.25
    assert histogram.max == histogram.bucket_limit[-1]


@pytest.mark.parametrize("used", [[], [0], [55], [3, 9], range(56)])
def test_counts_are_found_again_in_a_histogram(used) -> None:
    counts = np.zeros(len(BINS) - 1)
    counts[list(used)] = 1 + np.arange(len(used))
    histogram = make_histogram(counts, 0.0, 0.0)
    assert bucket_counts(histogram.bucket_limit, histogram.bucket).tolist() == counts.tolist()


def test_values_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    histogram = written_histogram(tmp_path, torch.tensor([NAN, math.inf, -1.0]))
    assert histogram.num == 1
    assert histogram.sum == -1
