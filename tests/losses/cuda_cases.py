"""What the tests of the kernels on CUDA share.

Where Triton interprets its programs (TRITON_INTERPRET=1) they run without a GPU, on tensors of the
CPU; see test_kernels_interpreted.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor

from lossbench.losses import functional, kernels

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
INF, NAN = float("inf"), float("nan")
USED = "LossBackward"
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# The rounding of the dtype, and of float32 on the way; the interpreter cuts bfloat16 off.
CLOSE = {
    torch.float32: {"rtol": 4e-6, "atol": 1e-7},
    torch.bfloat16: {"rtol": 2**-7 if INTERPRETED else 2**-8, "atol": 1e-7},
    torch.float16: {"rtol": 2**-10, "atol": 2**-24},
}
Loss = Callable[..., Tensor]
T = TypeVar("T")
where_they_run = pytest.mark.skipif(
    not INTERPRETED and not torch.cuda.is_available(), reason="there is no CUDA device"
)
on_a_gpu = pytest.mark.skipif(INTERPRETED, reason="there is no CUDA device")
FEWER = DTYPES[::2] if INTERPRETED else DTYPES
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
fewer_dtypes = pytest.mark.parametrize("dtype", FEWER, ids=str)
each_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def some(cases: Iterable[T]) -> list[T]:
    """All of them; of what the interpreter, which is slow, is to do every fourth."""
    return list(cases)[:: 4 if INTERPRETED else 1]


def numbers(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return x.to(DEVICE, dtype)


def shares(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 1) -> Tensor:
    x = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    return x.to(DEVICE, dtype)


def classes_of(z: Tensor, ignored: bool = True, seed: int = 3) -> Tensor:
    shape = z.shape[:1] + z.shape[2:] if z.dim() > 1 else ()
    y = (shares(tuple(shape), seed=seed) * z.shape[min(1, z.dim() - 1)]).long()
    return torch.where(shares(tuple(shape)) < 0.25, -100, y) if ignored and shape else y


def upstream_of(value: Tensor) -> Tensor:
    """1 of a reduced loss, as nearly always."""
    return torch.ones_like(value) if value.dim() == 0 else numbers(tuple(value.shape), value.dtype)


def by_kernel(loss: Loss, z: Tensor) -> tuple[Tensor, Tensor]:
    z = z.detach().requires_grad_()
    before = z.detach().clone()
    value = loss(z)
    assert value.grad_fn is not None
    assert value.grad_fn.name() == USED
    (gradient,) = torch.autograd.grad(value, z, upstream_of(value.detach()))
    assert torch.equal(torch.nan_to_num(z.detach()), torch.nan_to_num(before))
    assert gradient.dtype == z.dtype
    assert gradient.shape == z.shape
    if not INTERPRETED:
        with torch.no_grad():
            torch.testing.assert_close(loss(z), value.detach(), equal_nan=True, rtol=0, atol=0)
    return value.detach(), gradient


def by_closed_form(loss: Loss, z: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    exact = z.detach().double().requires_grad_()
    with kernels.closed_forms_only():
        value = loss(exact)
    upstream = upstream_of(value.detach().to(dtype)).double()
    return value.detach(), torch.autograd.grad(value, exact, upstream)[0]


def assert_same(loss: Loss, z: Tensor, **close: Any) -> None:
    mine = by_kernel(loss, z)
    truth = by_closed_form(loss, z, mine[0].dtype)
    for ours, theirs in zip(mine, truth, strict=True):
        close = close or CLOSE[z.dtype]
        torch.testing.assert_close(ours.double(), theirs, equal_nan=True, **close)


def cross_entropy(y: Tensor, w: Tensor | None = None, **options: Any) -> Loss:
    def loss(z: Tensor) -> Tensor:
        weight = None if w is None else w.to(z.dtype)
        return functional.cross_entropy(z, y, weight, **options)

    return loss


def functional_bce(t: Tensor, **options: Any) -> Loss:
    def loss(z: Tensor) -> Tensor:
        tensors = {k: x.to(z.dtype) for k, x in options.items() if isinstance(x, Tensor)}
        reduction = options.get("reduction", "none")
        return functional.binary_cross_entropy_with_logits(
            z, t.to(z.dtype), reduction=reduction, **tensors
        )

    return loss


def functional_focal(
    t: Tensor, reduction: str = "none", alpha: float = 0.25, gamma: float = 2
) -> Loss:
    return lambda z: functional.sigmoid_focal_loss(z, t.to(z.dtype), alpha, gamma, reduction)


def families(z: Tensor) -> list[Loss]:
    """Of logits (N, C)."""
    t = shares(tuple(z.shape), z.dtype)
    return [
        cross_entropy(classes_of(z)),
        cross_entropy(t / z.shape[1], label_smoothing=0.1),
        functional_bce(t, reduction="mean"),
        functional_focal(t, "mean"),
    ]
