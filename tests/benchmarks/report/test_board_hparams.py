import pytest
from tensorboard.plugins.hparams import metadata

from lossbench.benchmarks.report.board_hparams import (
    HPARAMS,
    METRICS,
    hparams_of,
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


def test_the_row_of_a_loss_has_its_own_learning_rate() -> None:
    values = hparams_of(ABOUT, "mse")
    assert set(values) == {column.name for column in HPARAMS}
    assert values["learning_rate"] == 0.03
    assert hparams_of(ABOUT, "nll")["learning_rate"] == 0.1


def test_what_losses_share_is_one_column_and_what_differs_is_first() -> None:
    shared = hparams_of(ABOUT, "mse")["training"]
    assert shared == "cifar10, convnet, 2 epochs, batches of 64, adam, cosine"
    assert hparams_of({"config": {}}, "mse") == {"loss": "mse", "training": ""}
    # TensorBoard sorts columns by this mark, then by name.
    heading = metadata.parse_experiment_plugin_data(table_heading().metadata.plugin_data.content)
    assert {h.name for h in heading.hparam_infos if h.differs} == {"loss", "learning_rate"}
    assert all(metric.description for metric in heading.metric_infos)


def test_a_number_that_there_is_not_is_left_out() -> None:
    assert set(metrics_of(summary_of())) == set(METRICS)
    half = metrics_of(summary_of())["table/test_accuracy_half_interval"]
    assert half == pytest.approx(0.05)
    few = metrics_of(summary_of(low=None, high=None, difference=None))
    assert set(few) == {"table/test_accuracy", "table/vanished_fraction"}


def test_a_row_can_be_read_as_tensorboard_reads_it() -> None:
    start, end = table_row("normal/mse", hparams_of(ABOUT, "mse"))
    info = metadata.parse_session_start_info_plugin_data(start.metadata.plugin_data.content)
    assert info.group_name == "normal/mse"
    assert info.hparams["loss"].string_value == "mse"
    assert info.hparams["learning_rate"].number_value == 0.03
    assert metadata.parse_session_end_info_plugin_data(end.metadata.plugin_data.content).status
    heading = metadata.parse_experiment_plugin_data(table_heading().metadata.plugin_data.content)
    assert {h.name for h in heading.hparam_infos} == set(info.hparams)
    assert [m.name.tag for m in heading.metric_infos] == list(METRICS)
