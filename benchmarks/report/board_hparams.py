"""TensorBoard's HParams page: a row per loss."""

from __future__ import annotations

from typing import Any, NamedTuple

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams


class HParamsColumn(NamedTuple):
    """A column of the HParams table.

    Attributes:
        name: name of the hyperparameter.
        title: heading.
        text: whether its values are text; else they are numbers.
        differs: whether it differs between losses; TensorBoard shows these first.
    """

    name: str
    title: str
    text: bool = False
    differs: bool = False


HPARAMS = (
    HParamsColumn("loss", "loss", text=True, differs=True),
    HParamsColumn("learning_rate", "learning rate", differs=True),
    HParamsColumn("start", "start", text=True),
    HParamsColumn("training", "training", text=True),
)

TRAINING = {
    "model": "{}",
    "epochs": "{} epochs",
    "batch_size": "batches of {}",
    "optimizer": "{}",
    "schedule": "{}",
}
"""Settings that all losses of an experiment share, and how the column of them shows each."""


class Metric(NamedTuple):
    """A metric of the HParams table: its heading and the description of its tag."""

    title: str
    description: str


METRICS = {
    "table/test_accuracy": Metric(
        "test accuracy",
        "Share of the test images that are classified correctly, from 0 to 1, after the last step. "
        "Mean over the seeds.",
    ),
    "table/test_accuracy_half_interval": Metric(
        "± half its 95 % interval",
        "Half of the 95 % t interval over the seeds of the test accuracy, from 0 to 1.",
    ),
    "table/minus_cross_entropy": Metric(
        "minus cross-entropy",
        "Test accuracy minus that of cross-entropy, from -1 to 1. Mean over the seeds, paired.",
    ),
    "table/vanished_fraction": Metric(
        "vanished when wrong",
        "Share of the wrongly classified training examples whose |dL/dz| is below 1e-6, from 0 to "
        "1. Mean over the last steps and the seeds.",
    ),
}
"""Metrics by tag. Time Series shows these single points after all curves."""


def hparams_of(about: dict[str, Any], loss: str) -> dict[str, str | float]:
    """Return the hyperparameters of a loss, from experiment.json.

    What all losses of an experiment share is one text, so that the accuracies fit beside it.
    """
    config = about["config"]
    shared = [about.get("data", {}).get("name")]
    shared += [text.format(config[name]) for name, text in TRAINING.items() if name in config]
    values = {
        "loss": loss,
        "learning_rate": config.get("learning_rates", {}).get(loss, config.get("learning_rate")),
        "start": config.get("start"),
        "training": ", ".join(filter(None, shared)),
    }
    return {name: value for name, value in values.items() if value is not None}


def metrics_of(loss: dict[str, Any]) -> dict[str, float]:
    """Return the metrics of a loss of summary.json, in fractions, without missing ones."""
    accuracy = loss["test_accuracy"]
    has_interval = accuracy["low"] is not None
    values = {
        "table/test_accuracy": accuracy["mean"],
        "table/test_accuracy_half_interval": accuracy["high"] - accuracy["mean"]
        if has_interval
        else None,
        "table/minus_cross_entropy": (loss["minus_cross_entropy"] or {}).get("mean"),
        "table/vanished_fraction": loss["gradient"]["vanished_fraction"]["last"],
    }
    return {tag: value for tag, value in values.items() if value is not None}


def table_heading() -> Summary.Value:
    """Return the columns of the HParams table."""
    # No domain: that of one experiment would hide the rows of others.
    text, number = api_pb2.DATA_TYPE_STRING, api_pb2.DATA_TYPE_FLOAT64
    columns = [
        api_pb2.HParamInfo(
            name=column.name,
            display_name=column.title,
            type=text if column.text else number,
            differs=column.differs,
        )
        for column in HPARAMS
    ]
    metrics = [
        api_pb2.MetricInfo(
            name=api_pb2.MetricName(tag=tag),
            display_name=metric.title,
            description=metric.description,
        )
        for tag, metric in METRICS.items()
    ]
    experiment = api_pb2.Experiment(hparam_infos=columns, metric_infos=metrics)
    return _hparams(hparams.EXPERIMENT_TAG, experiment=experiment)


def table_row(group: str, values: dict[str, str | float]) -> list[Summary.Value]:
    """Return a row of the HParams table.

    Args:
        group: name of the row, unique.
        values: hyperparameters.
    """
    start = plugin_data_pb2.SessionStartInfo(group_name=group)
    for name, value in values.items():
        if isinstance(value, str):
            start.hparams[name].string_value = value
        else:
            start.hparams[name].number_value = value
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
    return [
        _hparams(hparams.SESSION_START_INFO_TAG, session_start_info=start),
        _hparams(hparams.SESSION_END_INFO_TAG, session_end_info=end),
    ]


def _hparams(tag: str, **content: Any) -> Summary.Value:
    data = plugin_data_pb2.HParamsPluginData(**content)
    return Summary.Value(
        tag=tag, metadata=hparams.create_summary_metadata(data), tensor=hparams.NULL_TENSOR
    )
