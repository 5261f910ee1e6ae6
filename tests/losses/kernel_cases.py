"""What the tests of the kernels share: the losses that have one, and what they have to equal."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lossbench.losses import functional, kernels

INF, NAN = math.inf, math.nan
SIZES = (0, 1, 7, 8, 65, 2047, 2048, 2049, 4096, 5000)
# Rounding of float32, which closed forms and kernels do at other places.
CLOSE = {torch.float32: {"rtol": 4e-6, "atol": 1e-6}, torch.float64: {"rtol": 1e-13, "atol": 1e-14}}
USED = "LossBackward"


Loss = Callable[..., Tensor]
# Name, function of (input, target, reduction), what makes an input of a normal number, a target of
# a number in [0, 1].
ELEMENTWISE: dict[str, tuple[Loss, Loss, Loss]] = {
    "bce_with_logits": (
        lambda z, t, r: functional.binary_cross_entropy_with_logits(z, t, reduction=r),
        lambda z: 4 * z,
        lambda u: u,
    ),
    "weighted_bce": (
        lambda z, t, r: functional.binary_cross_entropy_with_logits(
            z, t, reduction=r, pos_weight=torch.tensor(3.0, dtype=z.dtype)
        ),
        lambda z: 4 * z,
        lambda u: u,
    ),
    "bce": (
        lambda z, t, r: functional.binary_cross_entropy(z, t, reduction=r),
        torch.sigmoid,
        lambda u: u.round(),
    ),
    "sigmoid_mse": (
        lambda z, t, r: functional.sigmoid_mse(z, t, reduction=r),
        lambda z: 4 * z,
        lambda u: u,
    ),
    "mse": (lambda z, t, r: functional.mse_loss(z, t, reduction=r), lambda z: z, lambda u: u),
    "l1": (lambda z, t, r: functional.l1_loss(z, t, reduction=r), lambda z: z, lambda u: u),
    "kl_div": (
        lambda z, t, r: functional.kl_div(z, t, reduction=r),
        lambda z: -z.abs() - 2,
        lambda u: u,
    ),
    "kl_div_of_logs": (
        lambda z, t, r: functional.kl_div(z, t, reduction=r, log_target=True),
        lambda z: -z.abs() - 2,
        lambda u: -2 * u,
    ),
    "soft_margin": (
        lambda z, t, r: functional.soft_margin_loss(z, t, reduction=r),
        lambda z: 4 * z,
        lambda u: 2 * u.round() - 1,
    ),
    "hinge_embedding": (
        lambda z, t, r: functional.hinge_embedding_loss(z, t, reduction=r),
        torch.abs,
        lambda u: 2 * u.round() - 1,
    ),
    "focal": (
        lambda z, t, r: functional.sigmoid_focal_loss(z, t, reduction=r),
        lambda z: 4 * z,
        lambda u: u,
    ),
}
each_elementwise = pytest.mark.parametrize("name", ELEMENTWISE)
each_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def numbers(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def shares(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def value_and_gradient(loss: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """Of a kernel: it is an error if none was used."""
    z = z.detach().requires_grad_()
    value = loss(z)
    assert value.grad_fn is not None
    assert value.grad_fn.name() == USED
    return value.detach(), torch.autograd.grad(value, z, torch.ones_like(value))[0]


def of_closed_forms(loss: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    z = z.detach().requires_grad_()
    with kernels.closed_forms_only():
        value = loss(z)
        assert value.grad_fn is not None
        assert value.grad_fn.name() != USED
    return value.detach(), torch.autograd.grad(value, z, torch.ones_like(value))[0]


def assert_same(loss: Callable[[Tensor], Tensor], z: Tensor, **close: Any) -> None:
    mine, truth = value_and_gradient(loss, z), of_closed_forms(loss, z)
    for ours, theirs in zip(mine, truth, strict=True):
        torch.testing.assert_close(ours, theirs, equal_nan=True, **(close or CLOSE[z.dtype]))


def target_of(z: Tensor, soft: bool, ignored: bool) -> Tensor:
    if soft:
        return torch.softmax(numbers(tuple(z.shape), z.dtype, 2), min(1, z.dim() - 1))
    classes = z.shape[min(1, z.dim() - 1)]
    shape = z.shape[:1] + z.shape[2:] if z.dim() > 1 else ()
    y = torch.randint(0, classes, shape, generator=torch.Generator().manual_seed(3))
    return torch.where(shares(tuple(shape), z.dtype) < 0.3, -100, y) if ignored and shape else y


def used_kernel(node: Any) -> bool:
    """Whether a kernel is among the operations that made a tensor."""
    return node is not None and (
        node.name() == USED or any(used_kernel(each) for each, _ in node.next_functions)
    )
