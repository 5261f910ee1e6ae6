import re

from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.util import tensor_util

from lossbench.benchmarks.report.board_layout import (
    CHARTS,
    FIRST_CHARTS,
    HIGH,
    LOW,
    layer_names,
    layout,
)

LAYERS = ["features.10.weight", "head.weight"]


def page(layers=LAYERS) -> layout_pb2.Layout:
    return layout_pb2.Layout.FromString(tensor_util.make_ndarray(layout(layers).tensor).item())


def test_every_chart_is_one_quantity_with_its_band() -> None:
    first, second, _ = page().category
    charts = [*reversed(first.chart), *reversed(second.chart)]
    assert [c.title for c in charts] == [c.title for c in CHARTS]
    for drawn, chart in zip(charts, CHARTS, strict=True):
        (series,) = drawn.margin.series
        ends = (LOW.format(chart.tag), HIGH.format(chart.tag))
        assert (series.value, series.lower, series.upper) == (chart.tag, *ends)


def test_the_first_screen_is_open_and_has_four_questions() -> None:
    first, *others = page().category
    assert not first.closed
    assert all(category.closed for category in others)
    sources = [chart.source for chart in FIRST_CHARTS]
    assert sources == [
        "accuracy/test",
        "gradient/logit_mean_abs",
        "gradient/logit_when_wrong",
        "gradient/by_layer",
    ]
    assert [chart.log for chart in FIRST_CHARTS] == [False, False, True, True]


def test_in_time_series_they_come_first() -> None:
    # Code points are TensorBoard's order of tags.
    others = ["accuracy/test", "accuracy/train", "gradient/layer/a", "table/test_accuracy"]
    tags = [chart.tag for chart in FIRST_CHARTS]
    assert sorted([*others, *(chart.tag for chart in CHARTS)])[: len(tags)] == tags


def test_no_tag_of_a_chart_is_the_beginning_of_another() -> None:
    # TensorBoard sends everything that begins with one, and the page throws it away again.
    tags = [
        tag
        for category in page().category
        for chart in category.chart
        for series in chart.margin.series
        for tag in (series.value, series.lower, series.upper)
    ]
    assert len(set(tags)) == len(tags) == 3 * len(CHARTS)
    assert not any(a != b and b.startswith(a) for a in tags for b in tags)


def test_every_layer_has_a_chart_of_its_own() -> None:
    *_, category = page().category
    assert [chart.title for chart in reversed(category.chart)] == LAYERS
    for chart in category.chart:
        (pattern,) = chart.multiline.tag
        assert re.match(pattern, f"gradient/layer/{chart.title}")
        assert not re.match(pattern, f"gradient/layer/{chart.title}.more")
        assert not re.match(pattern, f"gradient/layer/{chart.title.replace('.', '-')}")
    assert len(page([]).category) == 2


def test_layers_are_the_weights_in_the_order_of_the_model() -> None:
    tags = [f"gradient/layer/{name}" for name in ("f.10.weight", "f.10.bias", "f.2.weight", "a")]
    assert layer_names(["loss/train", *tags]) == ["f.10.weight", "f.2.weight"]
    assert layer_names(tags[-1:]) == ["a"]
    assert layer_names(["loss/train"]) == []
