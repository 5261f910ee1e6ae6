"""Closed forms of rows of raw outputs that are fitted to the target themselves, class by class.

The classes are in the last dimension, and a target is a row t of z's shape or a class index.
"""

from torch import Tensor

from ..closed_form import ClosedForms, differentiable
from .binary import l1_gradient, l1_hvp, l1_value, times
from .softmax import (
    cross_entropy_gradient,
    cross_entropy_hvp,
    cross_entropy_value,
    summed,
    with_class_indices,
)

# --- rescaled square: L = 1/C sum_c a_c (z_c - m t_c)^2, a = 1 + (k - 1) t -----------------------


def _importance(z: Tensor, t: Tensor, k: float) -> Tensor:
    # a / C; not 1 + (k - 1) t, which cancels for a small k.
    return ((1 - t) + k * t) / z.shape[-1]


def rescaled_square_value(z: Tensor, t: Tensor, k: float, m: float) -> Tensor:
    return _importance(z, t, k) * (z - m * t).square()


def rescaled_square_gradient(z: Tensor, t: Tensor, k: float, m: float) -> Tensor:
    return 2 * _importance(z, t, k) * (z - m * t)


def rescaled_square_hvp(z: Tensor, v: Tensor, t: Tensor, k: float, m: float) -> Tensor:
    del m
    return 2 * _importance(z, t, k) * v


# --- squentropy: cross-entropy + 1/(C - 1) sum_c (1 - t_c) z_c^2 ---------------------------------


def squentropy_value(z: Tensor, t: Tensor) -> Tensor:
    # A class that is certainly right costs no square, and 0 * inf is no number.
    return cross_entropy_value(z, t) + times(1 - t, z.square()).sum(-1) / (z.shape[-1] - 1)


def squentropy_gradient(z: Tensor, t: Tensor) -> Tensor:
    return cross_entropy_gradient(z, t) + 2 * times(1 - t, z) / (z.shape[-1] - 1)


def squentropy_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    return cross_entropy_hvp(z, v, t) + 2 * (1 - t) * v / (z.shape[-1] - 1)


rescaled_square = differentiable(
    summed(
        "rescaled_square",
        ClosedForms(
            "rescaled_square",
            rescaled_square_value,
            rescaled_square_gradient,
            rescaled_square_hvp,
        ),
    )
)
one_vs_rest_l1 = differentiable(
    summed("one_vs_rest_l1", ClosedForms("l1", l1_value, l1_gradient, l1_hvp))
)
squentropy = differentiable(
    with_class_indices(
        ClosedForms("squentropy", squentropy_value, squentropy_gradient, squentropy_hvp, rows=True)
    )
)
