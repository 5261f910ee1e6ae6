"""Losses of the right class's probability in their tails, against high precision."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lossbench import losses
from lossbench.losses import registry

from .cases import exactly

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("generalized-cross-entropy", {"q": 0.7}),
    ("generalized-cross-entropy", {"q": 0.1}),
    ("softmax-probability-sum", {}),
    ("poly-1", {}),
    ("poly-1", {"epsilon": -1.0}),
    ("squared-log", {}),
    ("symmetric-cross-entropy", {"alpha": 0.5}),
    ("symmetric-cross-entropy", {"alpha": 0.0}),
    ("softmax-focal", {"gamma": 0.5}),
]


@pytest.mark.parametrize("spread", [1, 8, 50, 1e4])
@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=[f"{n}-{s}" for n, s in SETTINGS])
def test_tails_of_rows(name: str, settings: dict[str, Any], spread: float) -> None:
    loss = registry.get(name, **settings, reduction="none")
    z = spread * torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    # A third of the rows is right; the others are right as often as they happen to be.
    y = torch.arange(60) % 3
    y[::3] = z[::3].argmax(-1)
    leaf = z.clone().requires_grad_()
    value = loss(leaf, y)
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    true_value, true_gradient = exactly(name, z, y, **settings)
    near(value, true_value)
    near(gradient, true_gradient, true_gradient.abs().amax(-1, keepdim=True))


def near(ours: Tensor, true: Tensor, size: Tensor | None = None) -> None:
    size = true.abs() if size is None else size
    normal = (size > torch.finfo(torch.float32).tiny).expand(true.shape)
    bad = normal & ~((ours - true).abs() <= 4e-6 * size)
    assert not bad.any(), f"{ours[bad].tolist()} instead of {true[bad].tolist()}"


@pytest.mark.parametrize("clip", [0.0, 1e-30, 0.05])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 4.0])
def test_tails_of_asymmetric_negatives(clip: float, gamma: float) -> None:
    kink = math.log(clip / (1 - clip)) if clip else 0.0
    logits = [kink + d for d in (-1.0, 1e-3, 0.1, 1.0)] + [-80.0, -20.0, 5.0, 20.0, 60.0, 89.5, 1e4]
    z = torch.tensor(logits, requires_grad=True)
    loss = losses.AsymmetricLoss(gamma_neg=gamma, clip=clip, reduction="none")
    value = loss(z, torch.zeros_like(z))
    (gradient,) = torch.autograd.grad(value.sum(), z)
    settings = {"gamma_neg": gamma, "clip": clip}
    true = exactly("asymmetric", z.detach(), torch.zeros(len(z)), **settings)
    for ours, expected in zip((value, gradient), true, strict=True):
        near(ours, expected)
        assert not ours[expected == 0].any()
