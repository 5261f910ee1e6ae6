import pytest
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata
from tensorboard.util import tensor_util

from lossbench.benchmarks.report.board_layout import (
    CHARTS,
    HPARAMS,
    METRICS,
    hparams_of,
    layout,
    metrics_of,
    table_heading,
    table_row,
)

ABOUT = {
    "config": {
        "learning_rate": 0.1,
        "learning_rates": {"mse": 0.03},
        "model": "convnet",
        "epochs": 2,
        "batch_size": 64,
        "optimizer": "adam",
        "schedule": "cosine",
        "start": "normal",
    },
    "data": {"name": "cifar10"},
}


def summary_of(low=0.7, high=0.8, difference=-0.05):
    return {
        "test_accuracy": {"mean": 0.75, "low": low, "high": high},
        "minus_cross_entropy": None if difference is None else {"mean": difference},
        "gradient": {"vanished_fraction": {"last": 0.25}},
    }


def page() -> layout_pb2.Layout:
    return layout_pb2.Layout.FromString(tensor_util.make_ndarray(layout().tensor).item())


def test_every_chart_is_one_quantity_with_its_band() -> None:
    first, second = page().category
    assert [c.title for c in first.chart] == [c.title for c in reversed(CHARTS)]
    assert len(second.chart) == sum(c.log for c in CHARTS)
    for category in (first, second):
        for chart in category.chart:
            (series,) = chart.margin.series
            names = {series.value, series.lower, series.upper}
            assert {n.rpartition("/")[2] for n in names} == {"mean", "low", "high"}
            assert len({n.rpartition("/")[0] for n in names}) == 1


def test_no_tag_of_a_chart_is_the_beginning_of_another() -> None:
    # TensorBoard sends everything that begins with one, and the page throws it away again.
    tags = [
        tag
        for category in page().category
        for chart in category.chart
        for series in chart.margin.series
        for tag in (series.value, series.lower, series.upper)
    ]
    assert len(set(tags)) == len(tags)
    assert not any(a != b and b.startswith(a) for a in tags for b in tags)


def test_the_row_of_a_loss_has_its_own_learning_rate() -> None:
    values = hparams_of(ABOUT, "mse")
    assert set(values) == {column.name for column in HPARAMS}
    assert values["learning_rate"] == 0.03
    assert hparams_of(ABOUT, "nll")["learning_rate"] == 0.1


def test_a_number_that_there_is_not_is_left_out() -> None:
    assert set(metrics_of(summary_of())) == set(METRICS)
    half = metrics_of(summary_of())["final/test_accuracy_half_interval"]
    assert half == pytest.approx(0.05)
    few = metrics_of(summary_of(low=None, high=None, difference=None))
    assert set(few) == {"final/test_accuracy", "final/vanished_fraction"}


def test_a_row_can_be_read_as_tensorboard_reads_it() -> None:
    start, end = table_row("normal/mse", hparams_of(ABOUT, "mse"))
    info = metadata.parse_session_start_info_plugin_data(start.metadata.plugin_data.content)
    assert info.group_name == "normal/mse"
    assert info.hparams["loss"].string_value == "mse"
    assert info.hparams["epochs"].number_value == 2
    assert metadata.parse_session_end_info_plugin_data(end.metadata.plugin_data.content).status
    heading = metadata.parse_experiment_plugin_data(table_heading().metadata.plugin_data.content)
    assert {h.name for h in heading.hparam_infos} == set(info.hparams)
    assert [m.name.tag for m in heading.metric_infos] == list(METRICS)
