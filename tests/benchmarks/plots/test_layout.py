"""The heading of a figure."""

import pytest

from lossbench.benchmarks.plots.layout import figure_with_heading


@pytest.mark.parametrize("words", [1, 30, 90])
def test_title_caption_and_panels_lie_below_each_other(words):
    figure = figure_with_heading(3.0, "Title", "caption " * words)
    axes = figure.subplots()
    figure.draw_without_rendering()
    title, caption = (text.get_window_extent() for text in figure.texts)
    assert figure.bbox.y1 >= title.y1
    assert title.y0 >= caption.y1
    assert caption.y0 >= axes.get_tightbbox().y1
    assert caption.x1 <= figure.bbox.x1
