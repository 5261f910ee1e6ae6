"""Modules of `losses.functional.right_class`."""

from __future__ import annotations

from torch import Tensor

from ..functional import right_class
from .base import Loss, Rows, Weighted


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


class SoftmaxFocalLoss(Loss):
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
        super().__init__(
            {"weight": weight}, gamma=gamma, ignore_index=ignore_index, reduction=reduction
        )


class MulticlassZeroOneLoss(Rows):
    """The count of wrong predictions of the largest logit, the top-1 error; its gradient is zero.

    See `losses.functional.multiclass_zero_one`. 'mean' is the error rate, 'sum' the count.
    """

    function = staticmethod(right_class.multiclass_zero_one)


class SoftmaxProbabilitySumLoss(Rows):
    """1 minus the probability given to the right class: 1 - p_y.

    See `losses.functional.softmax_probability_sum`.
    """

    function = staticmethod(right_class.softmax_probability_sum)


class SigmoidFocalLoss(Loss):
    """Focal loss of a sigmoid, a (1 - p_t)^gamma (-ln p_t), with a = alpha or 1 - alpha.

    See `losses.functional.sigmoid_focal_loss`; 'mean' is the default here.
    """

    function = staticmethod(right_class.sigmoid_focal_loss)

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "mean") -> None:
        super().__init__(alpha=alpha, gamma=gamma, reduction=reduction)


class AsymmetricLoss(Loss):
    """Focal loss with easy negatives that count less than easy positives, for many labels.

    See `losses.functional.asymmetric_loss`.
    """

    function = staticmethod(right_class.asymmetric_loss)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        gamma_pos: float = 0.0,
        gamma_neg: float = 4.0,
        clip: float = 0.05,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight},
            gamma_pos=gamma_pos,
            gamma_neg=gamma_neg,
            clip=clip,
            reduction=reduction,
        )


class Poly1Loss(Loss):
    """Cross-entropy of a softmax plus epsilon (1 - p_y).

    See `losses.functional.poly1`.
    """

    function = staticmethod(right_class.poly1)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        epsilon: float = 1.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight}, epsilon=epsilon, ignore_index=ignore_index, reduction=reduction
        )


class SigmoidPoly1Loss(Loss):
    """Binary cross-entropy plus epsilon times the probability of being wrong.

    See `losses.functional.sigmoid_poly1`.
    """

    function = staticmethod(right_class.sigmoid_poly1)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        epsilon: float = 1.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__({"weight": weight}, epsilon=epsilon, reduction=reduction)


class SquaredLogLoss(Rows):
    """Squared logarithm of the probability of the right class, (ln p_y)^2.

    See `losses.functional.squared_log`.
    """

    function = staticmethod(right_class.squared_log)


class SigmoidSquaredLogLoss(Weighted):
    """Squared logarithm of a sigmoid's probability of the right class.

    See `losses.functional.sigmoid_squared_log`.
    """

    function = staticmethod(right_class.sigmoid_squared_log)
