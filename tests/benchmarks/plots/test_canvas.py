import numpy as np
import pytest
from matplotlib.figure import Figure

from lossbench.benchmarks.plots import canvas
from lossbench.benchmarks.plots.canvas import (
    MAX_NAME,
    Label,
    figure_height,
    label_lines,
    label_margin,
    render_png,
    short_name,
    stamp_synthetic,
)
from lossbench.losses import registry

from ..samples import opened


@pytest.mark.parametrize("left", [False, True])
def test_labels_never_overlap_and_keep_their_order(left):
    axes = Figure().add_subplot()
    axes.set_ylim(0, 1)
    ends = {"mse": 0.999, "nll": 1.0, "bce": 0.998, "zero-one": 0.0, "bernoulli-sum": 0.4}
    ends |= {"cross-entropy": 0.401, "softmax-mse": 0.399}
    label_lines(axes, [Label(y, name, name) for name, y in ends.items()], 0.1, left=left)
    label_lines(axes, [], 0.1, left=left)
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert sorted(heights, key=heights.get) == sorted(ends, key=ends.get)
    ordered = sorted(heights.values())
    assert min(np.diff(ordered)) >= 0.1 - 1e-9
    assert ordered[0] >= 0
    assert ordered[-1] <= 1
    assert heights["bernoulli-sum"] == pytest.approx(0.4)
    side = [text.get_position()[0] for text in axes.texts]
    assert all(x < 0 for x in side) if left else all(x > 1 for x in side)


def test_many_labels_stay_within_the_panel():
    axes = Figure().add_subplot()
    label_lines(axes, [Label(0.5, f"loss {i}", f"loss {i}") for i in range(25)], 0.088)
    heights = sorted(text.get_position()[1] for text in axes.texts)
    assert heights[0] >= 0
    assert heights[-1] <= 1
    room = axes.get_window_extent().height / axes.figure.dpi * 72 * min(np.diff(heights))
    assert axes.texts[0].get_fontsize() < room  # both in points


def test_a_long_name_is_cut():
    assert short_name("probability-sum") == "probability-sum"
    assert max(map(len, registry.names())) <= len(short_name("x" * 99)) == MAX_NAME
    assert short_name("x" * 99).endswith("x…")


def test_labels_leave_the_limits_and_start_where_the_lines_end():
    axes = Figure().add_subplot()
    axes.plot([0, 1], [51, 75])
    axes.axhline(50)
    label_lines(axes, [Label(75, "mse", "mse"), Label(50, "chance", None)], 0.1)
    limits = axes.get_ylim()
    leaders = [line.get_ydata()[0] for line in axes.lines[2::2]]
    expected = [(y - limits[0]) / (limits[1] - limits[0]) for y in (50, 75)]
    assert leaders == pytest.approx(expected)


def noisy_figure():
    figure = Figure(figsize=(10, 3), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.plot(np.random.default_rng(0).random((60, 8)), linewidth=6)
    return figure


def test_a_large_png_has_fewer_colours(monkeypatch):
    data = render_png(noisy_figure(), "a description")
    assert opened(data).text["Description"] == "a description"
    monkeypatch.setattr(canvas, "MAX_BYTES", len(data) - 1)
    fewer = render_png(noisy_figure(), "a description")
    assert len(opened(fewer).getcolors()) < len(opened(data).getcolors())


def test_a_synthetic_figure_is_stamped_across():
    figure = Figure(figsize=(10, 8), dpi=50)
    stamp_synthetic(figure)
    gray = np.asarray(opened(render_png(figure, "")).convert("L")) < 250
    assert all(part.any() for part in np.array_split(gray, 4, axis=1))


def test_figures_make_room_for_many_labels_and_long_names():
    assert figure_height(2) == figure_height(10) == 8.4
    assert figure_height(20) == 10
    assert figure_height(100) == 14
    assert label_margin([]) == label_margin(["cross-entropy"]) == 0
    assert label_margin(["x" * 26]) == pytest.approx(0.083)
    assert label_margin(["x" * 99]) == label_margin(["x" * MAX_NAME])
