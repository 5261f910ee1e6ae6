"""Layout of TensorBoard's Custom Scalars and HParams pages."""

from __future__ import annotations

from typing import Any, NamedTuple

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.util import tensor_util

# Tags of means and bands over seeds; event files of single runs do not have them.
MEAN, LOW, HIGH = "seeds/{}/mean", "seeds/{}/low", "seeds/{}/high"
LOG10 = "log10 {}"


class Chart(NamedTuple):
    """A chart of Custom Scalars.

    Attributes:
        tag: tag of the scalar.
        title: title of the chart.
        share: whether the scalar is from 0 to 1; else it is only nonnegative.
        log: whether to draw it on a log scale too.
    """

    tag: str
    title: str
    share: bool = False
    log: bool = False


CHARTS = (
    Chart("accuracy/validation", "accuracy on validation images", share=True),
    Chart("accuracy/test", "accuracy on test images, measured at the end", share=True),
    Chart("gradient/logit_mean_abs", "mean |dL/dz|", log=True),
    Chart("gradient/logit_when_wrong", "mean |dL/dz| when wrong", log=True),
    Chart("gradient/parameter_norm", "norm of the parameter gradient", log=True),
    Chart("loss/train", "loss on training images"),
)


def layout() -> Summary.Value:
    """Return the layout of Custom Scalars: one line with its band per loss.

    It is the same for all experiments, so that TensorBoard merges them. TensorBoard takes the tags
    of a margin chart literally (a `$` at the end would match nothing) and draws the charts of a
    category from the last to the first.
    """
    page = layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title="one line per loss: mean over seeds, with its 95 % interval",
                chart=[margin_chart(chart.title, chart.tag) for chart in reversed(CHARTS)],
            ),
            layout_pb2.Category(
                title="the gradients on a log10 scale: -1 is ten times as large as -2",
                closed=True,  # drawing three more charts of ten lines takes a second
                chart=[
                    margin_chart(f"log10 of {chart.title}", LOG10.format(chart.tag))
                    for chart in reversed(CHARTS)
                    if chart.log
                ],
            ),
        ]
    )
    return Summary.Value(
        tag=custom_scalar.CONFIG_SUMMARY_TAG,
        metadata=custom_scalar.create_summary_metadata(),
        tensor=tensor_util.make_tensor_proto(page.SerializeToString()),
    )


def margin_chart(title: str, tag: str) -> layout_pb2.Chart:
    """Return a chart with a line and a band for every run that has the tag."""
    series = layout_pb2.MarginChartContent.Series(
        value=MEAN.format(tag), lower=LOW.format(tag), upper=HIGH.format(tag)
    )
    return layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series]))


class HParamsColumn(NamedTuple):
    """A column of the HParams table.

    Attributes:
        name: name of the hyperparameter.
        title: heading.
        text: whether its values are text; else they are numbers.
        differs: whether it differs between losses; TensorBoard shows five of these at first.
    """

    name: str
    title: str
    text: bool = False
    differs: bool = False


HPARAMS = (
    HParamsColumn("loss", "loss", text=True, differs=True),
    HParamsColumn("learning_rate", "learning rate", differs=True),
    HParamsColumn("model", "model", text=True),
    HParamsColumn("epochs", "epochs"),
    HParamsColumn("batch_size", "batch size"),
    HParamsColumn("optimizer", "optimizer", text=True),
    HParamsColumn("schedule", "schedule", text=True),
    HParamsColumn("data", "data", text=True),
    HParamsColumn("start", "start", text=True),
)

METRICS = {
    "final/test_accuracy": "test accuracy, mean over seeds",
    "final/test_accuracy_half_interval": "± half its 95 % interval",
    "final/minus_cross_entropy": "minus cross-entropy",
    "final/vanished_fraction": "vanished share of |dL/dz| when wrong",
}


def hparams_of(about: dict[str, Any], loss: str) -> dict[str, str | float]:
    """Return the hyperparameters of a loss, from experiment.json."""
    config = about["config"]
    values = {
        "loss": loss,
        "learning_rate": config.get("learning_rates", {}).get(loss, config.get("learning_rate")),
        "model": config.get("model"),
        "epochs": config.get("epochs"),
        "batch_size": config.get("batch_size"),
        "optimizer": config.get("optimizer"),
        "schedule": config.get("schedule"),
        "data": about.get("data", {}).get("name"),
        "start": config.get("start"),
    }
    return {name: value for name, value in values.items() if value is not None}


def metrics_of(loss: dict[str, Any]) -> dict[str, float]:
    """Return the metrics of a loss of summary.json, in fractions, without missing ones."""
    accuracy = loss["test_accuracy"]
    has_interval = accuracy["low"] is not None
    values = {
        "final/test_accuracy": accuracy["mean"],
        "final/test_accuracy_half_interval": accuracy["high"] - accuracy["mean"]
        if has_interval
        else None,
        "final/minus_cross_entropy": (loss["minus_cross_entropy"] or {}).get("mean"),
        "final/vanished_fraction": loss["gradient"]["vanished_fraction"]["last"],
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
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=title)
        for tag, title in METRICS.items()
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
