import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from lossbench.benchmarks.curves.figure import _panel
from lossbench.losses import registry

Z = torch.linspace(-3, 3, 12, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        # Value and gradient of the reference and of the loss; a symmetric loss is its own mirror
        # image, and a loss of raw outputs has none.
        ("bce-with-logits", 4),
        ("asymmetric", 6),
        ("mse", 4),
    ],
)
def test_an_asymmetric_loss_of_logits_is_drawn_mirrored_as_well(name: str, lines: int) -> None:
    axes = Figure().subplots()
    _panel(axes, registry.entry(name), registry.entry("bce-with-logits"), Z)
    drawn = [line for line in axes.lines if len(line.get_xdata()) == len(Z)]
    assert len(drawn) == lines
    value = torch.nn.functional.binary_cross_entropy_with_logits(
        Z, torch.ones_like(Z), reduction="none"
    )
    np.testing.assert_allclose(drawn[0].get_ydata(), value.numpy(), rtol=1e-12)
