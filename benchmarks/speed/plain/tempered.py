"""The bi-tempered logistic loss in plain torch, as its authors' code has it."""

from __future__ import annotations

import torch
from torch import Tensor

T1, T2 = 0.8, 1.2
STEPS = 5
"""Steps towards the normalisation, as many as in the authors' code."""


def log_t(x: Tensor) -> Tensor:
    return (x ** (1 - T1) - 1) / (1 - T1)


def exp_t(x: Tensor) -> Tensor:
    return (1 + (1 - T2) * x) ** (1 / (1 - T2))


def tempered_softmax(z: Tensor) -> Tensor:
    """Return exp_t(z - l) with l such that a row adds up to 1."""
    with torch.no_grad():
        largest = z.amax(1, keepdim=True)
        below = z - largest
        scaled = below
        for _ in range(STEPS):
            total = exp_t(scaled).sum(1, keepdim=True)
            scaled = below * total ** (1 - T2)
        total = exp_t(scaled).sum(1, keepdim=True)
        shift = largest + (total ** (T2 - 1) - 1) / (T2 - 1)
    # A step of Newton's method gives the shift its derivative.
    p = exp_t(z - shift)
    slope = (p.detach() ** T2).sum(1, keepdim=True)
    return exp_t(z - shift - (p.sum(1, keepdim=True) - 1) / slope)


def bi_tempered(z: Tensor, t: Tensor) -> Tensor:
    p = tempered_softmax(z)
    powers = (t ** (2 - T1) - p ** (2 - T1)) / (2 - T1)
    return (t * (log_t(t) - log_t(p)) - powers).sum(1).mean()


def bi_tempered_of_classes(z: Tensor, y: Tensor) -> Tensor:
    p = tempered_softmax(z)
    right = p.gather(1, y.unsqueeze(1)).squeeze(1)
    return -(log_t(right) + (1 - (p ** (2 - T1)).sum(1)) / (2 - T1)).mean()
