"""Arithmetic that more than one family needs."""

import torch
from torch import Tensor


def times(coefficient: Tensor, x: Tensor) -> Tensor:
    """Return coefficient * x with 0 * inf = 0: a weight of 0 contributes nothing."""
    return torch.where((coefficient == 0) & x.isinf(), 0.0, coefficient * x)


def in_float64(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return `tensors` with those of floating point in float64, except on MPS, which lacks it."""
    return tuple(
        x.double() if x.is_floating_point() and x.device.type != "mps" else x for x in tensors
    )


def zero_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """Return the Hessian-vector product of a loss without curvature, of the inputs' shape."""
    return torch.zeros_like(z * v * t)
