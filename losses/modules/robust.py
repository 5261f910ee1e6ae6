"""Modules of `losses.functional.robust`."""

from __future__ import annotations

from torch import Tensor

from ..functional import robust
from .base import Loss


class GeneralizedCrossEntropyLoss(Loss):
    """Generalized cross-entropy of a softmax, (1 - p_y^q) / q.

    See `losses.functional.generalized_cross_entropy`.
    """

    function = staticmethod(robust.generalized_cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        q: float = 0.7,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__({"weight": weight}, q=q, ignore_index=ignore_index, reduction=reduction)


class SigmoidGeneralizedCrossEntropyLoss(Loss):
    """Generalized cross-entropy of a sigmoid.

    See `losses.functional.sigmoid_generalized_cross_entropy`.
    """

    function = staticmethod(robust.sigmoid_generalized_cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        q: float = 0.7,
        reduction: str = "mean",
    ) -> None:
        super().__init__({"weight": weight}, q=q, reduction=reduction)


class SymmetricCrossEntropyLoss(Loss):
    """Cross-entropy of target and model, plus that of model and target.

    See `losses.functional.symmetric_cross_entropy`.
    """

    function = staticmethod(robust.symmetric_cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        alpha: float = 0.1,
        beta: float = 1.0,
        log_zero: float = -4.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight},
            alpha=alpha,
            beta=beta,
            log_zero=log_zero,
            ignore_index=ignore_index,
            reduction=reduction,
        )


class SigmoidSymmetricCrossEntropyLoss(Loss):
    """Symmetric cross-entropy of a sigmoid.

    See `losses.functional.sigmoid_symmetric_cross_entropy`.
    """

    function = staticmethod(robust.sigmoid_symmetric_cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        alpha: float = 0.1,
        beta: float = 1.0,
        log_zero: float = -4.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight}, alpha=alpha, beta=beta, log_zero=log_zero, reduction=reduction
        )


class BiTemperedLogisticLoss(Loss):
    """A bounded divergence from a softmax with heavy tails.

    See `losses.functional.bi_tempered_logistic`.
    """

    function = staticmethod(robust.bi_tempered_logistic)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        t1: float = 0.8,
        t2: float = 1.2,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight}, t1=t1, t2=t2, ignore_index=ignore_index, reduction=reduction
        )


class SigmoidBiTemperedLogisticLoss(Loss):
    """The bi-tempered logistic loss of one logit.

    See `losses.functional.sigmoid_bi_tempered_logistic`.
    """

    function = staticmethod(robust.sigmoid_bi_tempered_logistic)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        t1: float = 0.8,
        t2: float = 1.2,
        reduction: str = "mean",
    ) -> None:
        super().__init__({"weight": weight}, t1=t1, t2=t2, reduction=reduction)
