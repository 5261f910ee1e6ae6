"""Hinge loss of a distance."""

import torch
from torch import Tensor, nn

from . import checks
from .arguments import ELEMENTS_OF_ONE_DTYPE, elements
from .base import Loss
from .closed_form import ClosedForms, differentiable
from .entries import Entry
from .kernels import compute
from .overrides import is_overridden, overridden

# --- hinge-embedding: L = x for y = 1, max(0, m - x) for y = -1 ----------------------------------


def hinge_embedding_value(x: Tensor, y: Tensor, margin: float) -> Tensor:
    # torch adds both terms for any other y: x + max(0, m - x), which is max(m, x).
    near = torch.where(y == 1, x, _unless_nan(y, x.clamp_min(margin)))
    return torch.where(y == -1, torch.relu(margin - x), near)


def _unless_nan(x: Tensor, y: Tensor) -> Tensor:
    return torch.where(x.isnan(), torch.nan, y)


def hinge_embedding_gradient(x: Tensor, y: Tensor, margin: float) -> Tensor:
    # At x = m only x has a slope, not the hinge. NaN is neither.
    far = torch.where(x >= margin, 1.0, 0.0)
    near = torch.where(y == 1, 1.0, _unless_nan(y, far))
    return _unless_nan(x, torch.where(y == -1, far - 1, near))


def hinge_embedding_hvp(x: Tensor, v: Tensor, y: Tensor, margin: float) -> Tensor:
    del margin
    return torch.zeros_like(x * v * y)


hinge_embedding_formula = differentiable(
    ClosedForms(
        "hinge_embedding",
        hinge_embedding_value,
        hinge_embedding_gradient,
        hinge_embedding_hvp,
    )
)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Hinge loss of a distance, which should be small for class 1 and large for the other.

    L = x for y = 1, max(0, m - x) for y = -1, and the sum of both, max(m, x), for any other y: 0
    in place of -1 is not an error, but leaves a small distance without a gradient.
    dL/dx = 1, -[x < m] and [x >= m] in these cases; the Hessian is 0.

    Args:
        input: distances, any shape, floating point; at least 0, or L has no lower bound.
        target: y, 1 or -1, broadcastable with input, of any dtype; compared, and not rounded.
        margin: m, any finite number.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: margin is not finite; unknown reduction.
        RuntimeError: the shapes cannot be broadcast.
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.hinge_embedding_loss.
    """
    if is_overridden(input, target):
        return overridden(hinge_embedding_loss, locals())
    name, loss = "hinge_embedding_loss", hinge_embedding_formula
    reduction = checks.of_deprecated(size_average, reduce, reduction)
    checks.setting(name, "margin", margin)
    rest = (None, None, -100, reduction, (float(margin),))
    found = compute(loss, ELEMENTS_OF_ONE_DTYPE, input, target, *rest)
    if found is not None:
        return found
    checks.basics(input, target, None, reduction)
    checks.floating(name, input=input)
    size = checks.broadcast_size(input=input, target=target)
    if target.dtype != input.dtype:
        # Compared before it is rounded.
        signs = (target == 1).to(input.dtype) - (target == -1).to(input.dtype)
        target = torch.where(target.isnan(), torch.nan, signs)
    return elements(loss, input.expand(size), target.expand(size), *rest, input.dtype)


class HingeEmbeddingLoss(Loss, nn.HingeEmbeddingLoss):
    """Hinge loss of a distance; drop-in for `torch.nn.HingeEmbeddingLoss`.

    See `losses.functional.hinge_embedding_loss`; takes targets of 1 and -1.
    """

    function = staticmethod(hinge_embedding_loss)

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(None, size_average, reduce, reduction=reduction, margin=margin)


def hinge_embedding_textbook(x: Tensor, t: Tensor, margin: float) -> Tensor:
    return torch.where(t == 1, x, torch.relu(margin - x))


ENTRIES = (
    Entry(
        "hinge-embedding",
        HingeEmbeddingLoss,
        "binary",
        "distances",
        ("sign",),
        hinge_embedding_textbook,
        "hinge loss of a distance",
        formula="x for y = 1, max(0, 1 - x) for y = -1",
        gradient="1 for y = 1, -[x < 1] for y = -1",
        range="[0, ∞)",
        use="distances of pairs: alike or not",
        source="torch.nn.HingeEmbeddingLoss",
    ),
)
