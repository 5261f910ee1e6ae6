"""Digits of float32: Hessians that are small differences, and sums over very many classes.

Truth is the textbook formula, by differences in 160 digits.
"""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lossbench.benchmarks.curves.multiprecision import Precise, m
from lossbench.losses import kernels
from lossbench.losses.registry import Entry

from .cases import REFERENCED, parametrized
from .test_kernels_registry import drawn, results, truth

# What the catalogue promises of float32, relative.
PROMISED = 4e-6
TINY = torch.finfo(torch.float32).tiny


# --- Hessians ------------------------------------------------------------------------------------

STEP = m.mpf(10) ** -40
CLASSES = 3
# A spread of 8 has both examples in doubt and certain ones; the others are slow.
each_spread = pytest.mark.parametrize(
    "spread", [8, *(pytest.param(spread, marks=pytest.mark.slow) for spread in (1, 50))]
)


def exact_hessian(entry: Entry, x: tuple[Any, ...], t: tuple[Any, ...]) -> Tensor:
    """Second differences of the textbook formula: 40 correct digits."""
    assert entry.textbook is not None
    settings = {
        name: m.mpf(repr(value)) if isinstance(value, float) else value
        for name, value in entry.textbook_settings().items()
    }
    size, steps = len(x), STEP * np.eye(len(x), dtype=int)
    plus, minus = steps[:, None] + steps, steps[:, None] - steps
    rows = np.array(x, dtype=object) + np.stack([plus, minus, -plus, -minus]).reshape(-1, size)
    targets = np.broadcast_to(np.array(t, dtype=object), rows.shape)
    if entry.task == "binary":
        rows, targets = rows[:, 0], targets[:, 0]
    found = partial(entry.textbook, **settings)(Precise(rows), Precise(targets)).numbers
    # A loss of elements is summed over a row.
    values = (found.sum(-1) if found.ndim > 1 else found).reshape(4, size, size)
    second = (values[0] - values[1] + values[2] - values[3]) / (4 * STEP**2)
    return torch.tensor(second.astype(float))


def exact_target(kind: str, t: Tensor) -> tuple[Any, ...]:
    if kind == "index":
        return tuple(int(at == t) for at in range(CLASSES))
    if kind == "labels":
        listed = t[: int((t < 0).int().argmax())] if (t < 0).any() else t
        return tuple(int(at in listed) for at in range(CLASSES))
    return tuple(m.mpf(a) for a in t.reshape(-1).tolist())


def softness(kind: str) -> tuple[bool, ...]:
    """Whether targets are soft: only shares may be both, and a teacher's logits always are."""
    return (False, True) if kind in ("probability", "distribution") else (kind == "logits",)


def hessians(loss: Any, z: Tensor, t: Tensor) -> Tensor:
    """The Hessian of every example, (N, n, n), by double backward along each logit."""
    leaf = z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf, t).sum(), leaf, create_graph=True)
    rows = []
    for at in range(z.shape[-1] if z.dim() > 1 else 1):
        along = torch.zeros_like(z)
        along[..., at if z.dim() > 1 else slice(None)] = 1
        row = torch.autograd.grad(gradient, leaf, along, retain_graph=True, allow_unused=True)[0]
        rows.append(torch.zeros_like(z) if row is None else row)
    return torch.stack(rows, 1).reshape(len(z), len(rows), -1)


@parametrized(REFERENCED)
@each_spread
def test_hessians_keep_their_digits(entry: Entry, kind: str, spread: float) -> None:
    """To 4e-6 of the norm of their row, where the model is sure, right or wrong, and where not."""
    shape = (24,) if entry.task == "binary" else (8, CLASSES)
    for soft in softness(kind):
        z, t = drawn(entry, kind, shape, torch.float32, 7, spread, soft)
        if entry.takes == "probabilities":
            # Away from the bounds at the ends.
            z = z.clamp(1e-5, 1 - 1e-5)
        found = hessians(entry.build(reduction="none"), z, t)
        for ours, x, target in zip(found, z, t, strict=True):
            numbers = tuple(m.mpf(a) for a in x.reshape(-1).tolist())
            exact = exact_hessian(entry, numbers, exact_target(kind, target))
            room = PROMISED * exact.norm(dim=-1, keepdim=True) + TINY
            assert ((ours - exact).abs() <= room).all(), (x, target, ours, exact)


# --- sums over many classes ----------------------------------------------------------------------

# An element of kl-div cancels where x is near ln t, and multilabel-margin has C^2 terms.
WIDE_CASES = [
    (entry, kind)
    for entry, kind in REFERENCED
    if entry.task != "binary" and entry.name not in ("kl-div", "multilabel-margin")
]
each_width = pytest.mark.parametrize("classes", [262_144, 2_000_000])


def check_sums(entry: Entry, kind: str, shape: tuple[int, ...], kernel: bool) -> None:
    """Values to 4e-6, and gradients to 4e-6 of their norm; truth is the sum in float64."""
    loss = entry.build(reduction="none")
    for soft in softness(kind):
        z, t = drawn(entry, kind, shape, torch.float32, 3, 1.0, soft)
        value, gradient = results(loss, z, t, without=not kernel)
        exact, slope = truth(loss, z, t)
        assert ((value - exact).abs() <= PROMISED * exact.abs()).all(), (value, exact)
        assert (gradient - slope).norm() <= PROMISED * slope.norm()


@pytest.mark.slow
@parametrized(WIDE_CASES)
@each_width
def test_sums_over_many_classes_keep_their_digits(entry: Entry, kind: str, classes: int) -> None:
    with kernels.closed_forms_only():
        check_sums(entry, kind, (1, classes), kernel=False)


@pytest.mark.slow
@pytest.mark.usefixtures("switched_on")
@parametrized(WIDE_CASES)
@each_width
def test_sums_of_kernels_keep_their_digits(entry: Entry, kind: str, classes: int) -> None:
    check_sums(entry, kind, (1, classes), kernel=True)
