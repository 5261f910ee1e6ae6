"""The charts of TensorBoard: tags of means and bands, their descriptions, and Custom Scalars."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.util import tensor_util

from lossbench.benchmarks.records import tags

LOW, HIGH = "seeds/{}/low", "seeds/{}/high"
"""Tags of the ends of a band, by that of its mean. Event files of single runs have no bands."""

BY_LAYER = "gradient/by_layer"
"""Scalar of a seed: the norm of each layer's gradient, with the number of the layer as its step."""

FIRST = "Main"
"""Group of the charts that come first: TensorBoard sorts capitals before lower-case letters."""

WRONG = "gradient/logit_when_wrong"


class MarginChart(NamedTuple):
    """A chart of Custom Scalars with a line and its band per loss.

    Attributes:
        tag: of the mean over seeds, by which Time Series shows it too.
        title: title of the chart.
        source: tag of the scalar in the event files of the runs.
        share: whether the scalar is from 0 to 1; else it is only nonnegative.
        log: whether its log10 is drawn.
        note: what its description says beside that of the source.
    """

    tag: str
    title: str
    source: str
    share: bool = False
    log: bool = False
    note: str = ""


FIRST_CHARTS = (
    MarginChart(
        f"{FIRST}/1 test accuracy",
        "test accuracy, measured at the end",
        "accuracy/test",
        share=True,
        note="Drawn as a level line.",
    ),
    MarginChart(f"{FIRST}/2 mean |dL/dz|", "mean |dL/dz|", "gradient/logit_mean_abs"),
    MarginChart(
        f"{FIRST}/3 |dL/dz| when wrong, log10", "log10 of mean |dL/dz| when wrong", WRONG, log=True
    ),
    MarginChart(
        f"{FIRST}/4 norm by layer, log10",
        "log10 of gradient norm by layer, 1 is the first",
        BY_LAYER,
        log=True,
        note="Euclidean norm of the gradient of a batch's mean loss with respect to the parameters "
        "of a layer, averaged over the whole training. The horizontal axis counts the layers from "
        "the image to the logit; a convolution with its normalisation is one.",
    ),
)
"""The charts of the first screen."""

MORE_CHARTS = (
    MarginChart(
        "accuracy/validation",
        "accuracy on validation images",
        "accuracy/validation",
        share=True,
    ),
    MarginChart("loss/train", "loss on training images", "loss/train"),
    MarginChart(WRONG, "mean |dL/dz| when wrong", WRONG),
    MarginChart(
        "gradient/log10 of logit_mean_abs",
        "log10 of mean |dL/dz|",
        "gradient/logit_mean_abs",
        log=True,
    ),
    MarginChart(
        "gradient/log10 of parameter_norm",
        "log10 of the norm of the parameter gradient",
        "gradient/parameter_norm",
        log=True,
    ),
)

CHARTS = (*FIRST_CHARTS, *MORE_CHARTS)

CATEGORIES = (
    (f"{FIRST} charts: a line per loss, mean over seeds with its 95 % interval", FIRST_CHARTS),
    ("More charts: a line per loss, mean over seeds with its 95 % interval", MORE_CHARTS),
)


def layout(layers: Sequence[str]) -> Summary.Value:
    """Return the layout of Custom Scalars: one line with its band per loss.

    It is the same for all experiments with a model, so that TensorBoard merges them. TensorBoard
    takes the tags of a margin chart literally (a `$` at the end would match nothing) and draws the
    charts of a category from the last to the first.

    Args:
        layers: names of the parameters of `layer_names`.
    """
    categories = [
        layout_pb2.Category(
            title=title,
            closed=number > 0,  # ten more charts would take seconds
            chart=[margin_chart(chart) for chart in reversed(charts)],
        )
        for number, (title, charts) in enumerate(CATEGORIES)
    ]
    if layers:
        category = layout_pb2.Category(
            title="Gradient norm of each layer over the training: a line per loss, mean over seeds",
            closed=True,
            chart=[layer_chart(layer) for layer in reversed(layers)],
        )
        categories.append(category)
    page = layout_pb2.Layout(category=categories)
    return Summary.Value(
        tag=custom_scalar.CONFIG_SUMMARY_TAG,
        metadata=custom_scalar.create_summary_metadata(),
        tensor=tensor_util.make_tensor_proto(page.SerializeToString()),
    )


def margin_chart(chart: MarginChart) -> layout_pb2.Chart:
    """Return a chart with a line and a band for every run that has the tag."""
    series = layout_pb2.MarginChartContent.Series(
        value=chart.tag, lower=LOW.format(chart.tag), upper=HIGH.format(chart.tag)
    )
    return layout_pb2.Chart(
        title=chart.title, margin=layout_pb2.MarginChartContent(series=[series])
    )


def layer_chart(layer: str) -> layout_pb2.Chart:
    """Return a chart with a line for every run: the gradient norm of a layer over the training."""
    pattern = f"^{re.escape(tags.LAYER.format(layer))}$"
    return layout_pb2.Chart(title=layer, multiline=layout_pb2.MultilineChartContent(tag=[pattern]))


def layer_names(scalars: Sequence[str]) -> list[str]:
    """Return the parameters that stand for the layers, in the order of the tags of a run.

    They are the weights: biases would double every layer. A model without any has all parameters.
    """
    prefix = tags.LAYER.format("")
    names = [tag.removeprefix(prefix) for tag in scalars if tag.startswith(prefix)]
    return [name for name in names if name.rpartition(".")[2] == "weight"] or names
