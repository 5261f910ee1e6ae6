"""What the tests of the cross-entropy of a linear layer share: data, truth, derivatives."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

generator = torch.Generator().manual_seed(0)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


N, D, C = 19, 3, 7
X, W, B = normal(N, D), normal(C, D), normal(C)
Y = torch.randint(C, (N,), generator=generator)
Y[3] = -100
T = torch.softmax(normal(N, C), 1)
WEIGHT = torch.tensor([0.5, 2.0, 0.0, 1.25, 1.0, -0.5, 3.0], dtype=torch.float64)
UPSTREAM = normal(N)
each_target = pytest.mark.parametrize("target", [Y, T], ids=["index", "distribution"])
parts = pytest.mark.usefixtures("in_parts")


def textbook(
    x: Tensor, w: Tensor, target: Tensor, *, linear_bias: Tensor | None = None, **options: Any
) -> Tensor:
    bias = None if linear_bias is None else linear_bias.flatten()
    logits = F.linear(x, w.flatten(0, -2), bias).reshape(*x.shape[:-1], *w.shape[:-1])
    return F.cross_entropy(logits, target, **options)


def derivatives(
    loss: Callable[..., Tensor],
    target: Tensor,
    layer: tuple[Tensor | None, ...] = (X, W, B),
    **options: Any,
) -> list[Tensor]:
    """Return the loss and its gradients by input, weight and bias."""
    x, w, b = (None if a is None else a.detach().clone().requires_grad_() for a in layer)
    value = loss(x, w, target, linear_bias=b, **options)
    wanted = [a for a in (x, w, b) if a is not None]
    # The same numbers in every dtype, and not those of its neighbours for any row.
    upstream = 1 + torch.arange(value.numel()).reshape(value.shape).to(value.dtype) % 16 / 16
    return [value.detach(), *torch.autograd.grad(value, wanted, upstream)]


def check(found: list[Tensor], expected: list[Tensor], **allowed: float) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a.double(), b.double(), **allowed)
