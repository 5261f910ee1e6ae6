import numpy as np
import pytest

from lossbench.benchmarks.plots.confidence import draw_confidence, gradient_sizes

from ..samples import opened

MARKS = {"cat 1": 0.88, "cat 2": 0.02, "dog": 0.73}


def test_the_sizes_are_the_formulas() -> None:
    p = np.array([1e-6, 0.02, 1 / 3, 0.9, 1 - 1e-6])
    np.testing.assert_allclose(gradient_sizes("bce-with-logits", p.tolist()), 1 - p, rtol=1e-9)
    squared = (1 - p) * p * (1 - p)
    np.testing.assert_allclose(gradient_sizes("sigmoid-mse", p.tolist()), squared, rtol=1e-9)


def test_the_figure_is_light_and_narrow_and_the_same_whenever_it_is_drawn() -> None:
    data = draw_confidence(MARKS)
    assert data == draw_confidence(MARKS)
    assert len(data) < 50_000
    # Letters of 11 points are 10 pixels high where the figure is 340 pixels wide.
    assert opened(data).width == pytest.approx(800)
    assert data != draw_confidence(MARKS | {"dog": 0.5})
