"""Losses of the right class's probability in their tails, against high precision."""

import math
from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import torch
from mpmath import mpf

from lossbench import losses
from lossbench.losses import registry

Class = Callable[[mpf, mpf, mpf], mpf]


def power(k: float) -> tuple[Class, Class]:
    return lambda s, _p, _q: -mpmath.expm1(-k * s) / k, lambda s, _p, _q: mpmath.exp(-k * s)


def focal(g: float) -> tuple[Class, Class]:
    return (
        lambda s, _p, q: q**g * s,
        lambda s, p, q: q**g * (1 + (g * p * s / q if q else 0)),
    )


# An entry, its settings, phi(s, p, q) and dphi/ds, s = -ln p.
PHI: list[tuple[str, dict[str, Any], tuple[Class, Class]]] = [
    ("generalized-cross-entropy", {"q": 0.7}, power(0.7)),
    ("generalized-cross-entropy", {"q": 0.1}, power(0.1)),
    ("softmax-probability-sum", {}, (lambda _s, _p, q: q, lambda _s, p, _q: p)),
    ("poly-1", {}, (lambda s, _p, q: s + q, lambda _s, p, _q: 1 + p)),
    ("poly-1", {"epsilon": -1.0}, (lambda s, _p, q: s - q, lambda _s, _p, q: q)),
    ("squared-log", {}, (lambda s, _p, _q: s * s, lambda s, _p, _q: 2 * s)),
    (
        "symmetric-cross-entropy",
        {"alpha": 0.5},
        (lambda s, _p, q: s / 2 + 4 * q, lambda _s, p, _q: mpf(1) / 2 + 4 * p),
    ),
    (
        "symmetric-cross-entropy",
        {"alpha": 0.0},
        (lambda _s, _p, q: 4 * q, lambda _s, p, _q: 4 * p),
    ),
    ("softmax-focal", {"gamma": 0.5}, focal(0.5)),
]
NORMAL = mpf(2) ** -126


@pytest.mark.parametrize("spread", [1, 8, 50, 1e4])
@pytest.mark.parametrize(
    ("name", "settings", "of_class"), PHI, ids=[f"{name}-{settings}" for name, settings, _ in PHI]
)
def test_tails_of_rows(
    name: str, settings: dict[str, Any], of_class: tuple[Class, Class], spread: float
) -> None:
    phi, slope = of_class
    loss = registry.get(name, **settings, reduction="none")
    z = spread * torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    # A third of the rows is right; the others are right as often as they happen to be.
    y = torch.arange(60) % 3
    y[::3] = z[::3].argmax(-1)
    leaf = z.clone().requires_grad_()
    value = loss(leaf, y)
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    with mpmath.workdps(60):
        for row, c, v, g in zip(
            z.tolist(), y.tolist(), value.tolist(), gradient.tolist(), strict=True
        ):
            e = [mpmath.exp(mpf(x) - mpf(max(row))) for x in row]
            p = [x / sum(e) for x in e]
            q = sum(x for i, x in enumerate(p) if i != c)
            s = -mpmath.log1p(-q) if q < 0.5 else -mpmath.log(p[c])
            d = slope(s, p[c], q)
            near(v, phi(s, p[c], q))
            exact = [-d * q if i == c else d * p[i] for i in range(3)]
            largest = max(abs(x) for x in exact)
            for ours, true in zip(g, exact, strict=True):
                near(ours, true, largest)


def near(ours: float, true: mpf, size: mpf | None = None) -> None:
    size = abs(true) if size is None else size
    if size > NORMAL:
        assert abs(mpf(ours) - true) <= 4e-6 * size, f"{ours} instead of {true}"


@pytest.mark.parametrize("clip", [0.0, 1e-30, 0.05])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 4.0])
def test_tails_of_asymmetric_negatives(clip: float, gamma: float) -> None:
    kink = math.log(clip / (1 - clip)) if clip else 0.0
    logits = [kink + d for d in (-1.0, 1e-3, 0.1, 1.0)] + [-80.0, -20.0, 5.0, 20.0, 60.0, 89.5, 1e4]
    z = torch.tensor(logits, requires_grad=True)
    loss = losses.AsymmetricLoss(gamma_neg=gamma, clip=clip, reduction="none")
    value = loss(z, torch.zeros_like(z))
    (gradient,) = torch.autograd.grad(value.sum(), z)
    with mpmath.workdps(60):
        g, m = mpf(gamma), mpf(clip)
        for x, v, d in zip(z.tolist(), value.tolist(), gradient.tolist(), strict=True):
            p, q = 1 / (1 + mpmath.exp(-mpf(x))), 1 / (1 + mpmath.exp(mpf(x)))
            u, rest = p - m, m + q
            if u <= 0:
                assert v == d == 0
                continue
            log = -mpmath.log1p(-u) if u < 0.5 else -mpmath.log(rest)
            near(v, u**g * log)
            near(d, p * q * u**g * (g * log / u + 1 / rest))
