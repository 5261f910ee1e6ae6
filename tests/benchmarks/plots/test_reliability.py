import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure

from lossbench.benchmarks.plots.curves import draw_panel
from lossbench.benchmarks.plots.reliability import reliability_panel
from lossbench.benchmarks.plots.svg_curves import curve_chart
from lossbench.benchmarks.stats.metrics import reliability


def predictions(count=300):
    p = np.random.default_rng(0).uniform(0.5, 1, count)
    return np.stack([p, 1 - p], 1), np.arange(count) % 2


def test_a_diagram_is_that_of_stats():
    probabilities, labels = predictions()
    panel = reliability_panel("mse", probabilities, labels, "text")
    confidence, accuracy, count = reliability(probabilities, labels)
    filled = count > 0
    diagonal, line = panel.curves
    assert list(diagonal.x) == list(diagonal.y) == [50, 100]
    np.testing.assert_allclose(line.x, 100 * confidence[filled])
    np.testing.assert_allclose(line.y, 100 * accuracy[filled])
    np.testing.assert_allclose(line.shares, count[filled] / count.sum())


def test_the_area_of_a_marker_grows_with_its_share():
    panel = reliability_panel("mse", *predictions(), "text")
    shares = np.array(panel.curves[1].shares)
    axes = Figure().subplots()
    draw_panel(axes, panel)
    (scatter,) = axes.collections
    areas = scatter.get_sizes()
    np.testing.assert_allclose(areas - areas[0], 320 * (shares - shares[0]), atol=1e-9)
    circles = ET.fromstring(curve_chart(panel, small=True).svg).iter("circle")
    drawn = np.array([float(circle.get("r")) for circle in circles]) ** 2
    assert drawn / drawn.max() == pytest.approx(areas / areas.max(), abs=0.05)
