"""A figure of panels, drawn as a PNG and as charts."""

import pytest

from lossbench.benchmarks.plots.canvas import SYNTHETIC
from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel
from lossbench.benchmarks.plots.intervals import IntervalRow, RowPanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.stats.intervals import Interval

from ..samples import opened

CURVES = CurvePanel([Curve("mse", [0, 1], [2, 3])], Axis("steps"), Axis("accuracy"))
ROWS = RowPanel([IntervalRow("mse", "mse", Interval(2.0, 1.0, 3.0, 5))], "accuracy")


@pytest.mark.parametrize("panel", [CURVES, ROWS], ids=["curves", "rows"])
@pytest.mark.parametrize("columns", [1, 2])
def test_synthetic_images_are_named_wherever_a_figure_is_drawn(panel, columns: int) -> None:
    figure = PanelFigure("a.png", "alt", "title", "caption", [panel, panel], columns)
    for synthetic in (True, False):
        charts = figure.charts(synthetic)
        assert [SYNTHETIC in chart.svg for chart in charts] == [synthetic] * 2
        drawn = figure.png(synthetic)
        assert (SYNTHETIC in opened(drawn).info["Description"]) == synthetic
    assert figure.png(True) != figure.png(False)
