"""Modules of `losses.functional.right_class`."""

from __future__ import annotations

from torch import Tensor

from ..functional import right_class
from .base import Rows, Weighted


class ZeroOneLoss(Weighted):
    """The count of wrong predictions of a logit; its gradient is zero, and that is its point.

    See `losses.functional.zero_one`. 'mean' is the error rate, 'sum' the count.
    """

    function = staticmethod(right_class.zero_one)


class ProbabilitySumLoss(Weighted):
    """1 minus the probability given to the right class: 1 - [t f + (1 - t) (1 - f)].

    See `losses.functional.probability_sum`; takes logits.
    """

    function = staticmethod(right_class.probability_sum)


class SoftmaxFocalLoss(Rows):
    """Focal loss of a softmax, (1 - p_y)^gamma (-ln p_y).

    See `losses.functional.softmax_focal_loss`.
    """

    function = staticmethod(right_class.softmax_focal_loss)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        gamma: float = 2.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, gamma=gamma, ignore_index=ignore_index, reduction=reduction)
