import numpy as np
import pytest
from matplotlib.figure import Figure

from lossbench.benchmarks.plots.reliability import draw_diagram, draw_reliability
from lossbench.benchmarks.stats.metrics import reliability

from ..samples import opened


def predictions(count=300):
    p = np.random.default_rng(0).uniform(0.5, 1, count)
    return np.stack([p, 1 - p], 1), np.arange(count) % 2


def test_a_diagram_is_that_of_stats():
    axes = Figure().subplots()
    probabilities, labels = predictions()
    draw_diagram(axes, "mse", probabilities, labels)
    confidence, accuracy, count = reliability(probabilities, labels)
    filled = count > 0
    diagonal, line = axes.lines
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [50, 100]
    np.testing.assert_allclose(line.get_xdata(), 100 * confidence[filled])
    np.testing.assert_allclose(line.get_ydata(), 100 * accuracy[filled])
    scatter, gaps = axes.collections
    # The area of a marker grows with its share.
    areas, shares = scatter.get_sizes(), count[filled] / count.sum()
    np.testing.assert_allclose((areas - areas[0]), 320 * (shares - shares[0]), atol=1e-9)
    assert len(gaps.get_segments()) == filled.sum()


@pytest.mark.parametrize("losses", [1, 4])
def test_figures_have_a_panel_per_loss(losses):
    names = [f"loss {i}" for i in range(losses)]
    png = draw_reliability(
        dict.fromkeys(names, predictions()),
        dict.fromkeys(names, "text"),
        title="T",
        caption="C",
        description="D.",
    )
    image = opened(png)
    assert image.width == 1600
    assert image.text["Description"] == "D."
    rows = -(-losses // 3)
    assert image.height == pytest.approx(160 * (0.4 + 2.7 * rows + 0.7), abs=2)
