"""What TensorBoard's pages are told: the charts of Custom Scalars, the table of HParams."""

from __future__ import annotations

from typing import Any, NamedTuple

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.util import tensor_util

# Tags of what the charts draw: over the seeds of a loss. They are not those of the runs, so a run
# of one seed, which has no band, is left out of the charts without a complaint.
MEAN, LOW, HIGH = "seeds/{}/mean", "seeds/{}/low", "seeds/{}/high"
LOG10 = "log10 {}"


class Chart(NamedTuple):
    """A chart of Custom Scalars. `share`: of what is a share, from 0 to 1, and not just positive;
    `log`: is drawn a second time on a log scale."""

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
    """The page: a line a loss, its band over it.

    It says nothing of the experiment, so that those of several experiments are one. TensorBoard
    takes the tags of a margin chart literally (a `$` at the end would match nothing) and draws the
    charts of a category from the last to the first.
    """
    page = layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title="a line a loss: mean over seeds, with its 95 % interval",
                chart=[margin_chart(chart.title, chart.tag) for chart in reversed(CHARTS)],
            ),
            layout_pb2.Category(
                title="the gradients again, log10: -1 is ten times as strong as -2",
                closed=True,  # drawing three more charts of ten lines takes the page a second
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
    """A chart of one quantity with its band, a line for every run that has it."""
    series = layout_pb2.MarginChartContent.Series(
        value=MEAN.format(tag), lower=LOW.format(tag), upper=HIGH.format(tag)
    )
    return layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series]))


class Column(NamedTuple):
    """A hyperparameter. `words`: no number; `first`: differs from loss to loss, and so belongs
    among the five that TensorBoard shows before it is asked for more."""

    name: str
    title: str
    words: bool = False
    first: bool = False


HPARAMS = (
    Column("loss", "loss", words=True, first=True),
    Column("learning_rate", "learning rate", first=True),
    Column("model", "model", words=True),
    Column("epochs", "epochs"),
    Column("batch_size", "batch size"),
    Column("data", "data", words=True),
    Column("start", "start", words=True),
)

METRICS = {
    "final/test_accuracy": "test accuracy, mean over seeds",
    "final/test_accuracy_half_interval": "± half its 95 % interval",
    "final/minus_cross_entropy": "minus cross-entropy",
    "final/vanished_fraction": "vanished share of |dL/dz| when wrong",
}


def hparams_of(about: dict[str, Any], loss: str) -> dict[str, str | float]:
    """The row of a loss, of experiment.json."""
    config = about["config"]
    found = {
        "loss": loss,
        "learning_rate": config.get("learning_rates", {}).get(loss, config.get("learning_rate")),
        "model": config.get("model"),
        "epochs": config.get("epochs"),
        "batch_size": config.get("batch_size"),
        "data": about.get("data", {}).get("name"),
        "start": config.get("start"),
    }
    return {name: value for name, value in found.items() if value is not None}


def metrics_of(loss: dict[str, Any]) -> dict[str, float]:
    """The row's numbers, of a loss of the summary, those that there are; shares, not per cent."""
    accuracy = loss["test_accuracy"]
    wide = accuracy["low"] is not None
    found = {
        "final/test_accuracy": accuracy["mean"],
        "final/test_accuracy_half_interval": accuracy["high"] - accuracy["mean"] if wide else None,
        "final/minus_cross_entropy": (loss["minus_cross_entropy"] or {}).get("mean"),
        "final/vanished_fraction": loss["gradient"]["vanished_fraction"]["last"],
    }
    return {tag: value for tag, value in found.items() if value is not None}


def table_heading() -> Summary.Value:
    """The columns of the HParams table."""
    # Without a domain: that of one experiment would hide the rows of others beside it.
    words, number = api_pb2.DATA_TYPE_STRING, api_pb2.DATA_TYPE_FLOAT64
    columns = [
        api_pb2.HParamInfo(
            name=column.name,
            display_name=column.title,
            type=words if column.words else number,
            differs=column.first,
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
    """The row of a run. `group` is its name, which no other row may have."""
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
