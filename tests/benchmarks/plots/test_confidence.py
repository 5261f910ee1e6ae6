import numpy as np

from lossbench.benchmarks.plots.confidence import confidence_panel, gradient_sizes

MARKS = {"cat 1": 0.88, "cat 2": 0.02, "dog": 0.73}


def test_the_sizes_are_the_formulas() -> None:
    p = np.array([1e-6, 0.02, 1 / 3, 0.9, 1 - 1e-6])
    np.testing.assert_allclose(gradient_sizes("bce-with-logits", p.tolist()), 1 - p, rtol=1e-9)
    squared = (1 - p) * p * (1 - p)
    np.testing.assert_allclose(gradient_sizes("sigmoid-mse", p.tolist()), squared, rtol=1e-9)


def test_the_images_are_marked_on_both_curves() -> None:
    panel = confidence_panel(MARKS)
    assert panel.verticals == {p: name for name, p in MARKS.items()}
    p = np.array(list(MARKS.values()))
    for curve, wanted in zip(panel.curves, (1 - p, (1 - p) * p * (1 - p)), strict=True):
        x, y = curve.points
        np.testing.assert_array_equal(x, p)
        np.testing.assert_allclose(y, wanted, rtol=1e-9)
