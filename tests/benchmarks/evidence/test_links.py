"""Inverse links against the minimum of each loss, found by search."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from lossbench.benchmarks.evidence import links
from lossbench.benchmarks.evidence.links import LINKS
from lossbench.losses import registry


@pytest.mark.parametrize("loss", LINKS)
@pytest.mark.parametrize("eta", [0.07, 0.3, 0.5, 0.8, 0.93])
def test_the_link_of_the_best_output_is_the_true_probability(loss, eta):
    criterion = registry.entry(loss).build(reduction="none")
    targets = torch.tensor([0, 1])

    def expected(z):
        logits = torch.tensor([[-z / 2, z / 2]] * 2, dtype=torch.float64)
        return float(criterion(logits, targets) @ torch.tensor([1 - eta, eta]).double())

    z = minimize_scalar(expected, bounds=(-20, 20), method="bounded", options={"xatol": 1e-10}).x
    p = np.array([[1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))]])
    assert abs(p[0, 1] - eta) > 1e-3 or eta == 0.5
    np.testing.assert_allclose(LINKS[loss](p), [[1 - eta, eta]], atol=1e-4)


@pytest.mark.parametrize("link", LINKS.values())
def test_certain_outputs_stay_probabilities(link):
    found = link(np.array([[0.0, 1.0], [1e-30, 1.0], [0.5, 0.5]]))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(1), 1)
    assert found[0, 1] > 0.99
    np.testing.assert_allclose(found[2], 0.5)


def test_settings_are_those_of_the_losses():
    assert registry.entry("label-smoothing").settings["label_smoothing"] == links.SMOOTHING
    assert registry.entry("softmax-focal").build().gamma == links.GAMMA
    assert registry.entry("generalized-cross-entropy").build().q == links.POWER
