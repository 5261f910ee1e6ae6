"""Modules of `losses.functional.likelihood`."""

from __future__ import annotations

from torch import Tensor

from ..functional import likelihood
from .base import Loss, Rows, Weighted


class BCELoss(Weighted):
    """Binary cross-entropy of probabilities; drop-in for `torch.nn.BCELoss`.

    See `losses.functional.binary_cross_entropy`.
    """

    function = staticmethod(likelihood.binary_cross_entropy)


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy from logits; drop-in for `torch.nn.BCEWithLogitsLoss`.

    See `losses.functional.binary_cross_entropy_with_logits`.
    """

    function = staticmethod(likelihood.binary_cross_entropy_with_logits)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__({"weight": weight, "pos_weight": pos_weight}, reduction=reduction)


class NLLLoss(Rows):
    """Negative log-likelihood of log-probabilities; drop-in for `torch.nn.NLLLoss`.

    See `losses.functional.nll_loss`.
    """

    function = staticmethod(likelihood.nll_loss)


class KLDivLoss(Loss):
    """Kullback-Leibler divergence from log-probabilities; drop-in for `torch.nn.KLDivLoss`.

    See `losses.functional.kl_div`. 'mean' divides by all elements, 'batchmean' by the rows.
    """

    function = staticmethod(likelihood.kl_div)
    reductions = likelihood.KL_REDUCTIONS

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction, log_target=log_target)


class BernoulliSumLoss(Rows):
    """Sum over the classes of the Bernoulli cross-entropy of a softmax output.

    See `losses.functional.bernoulli_sum`.
    """

    function = staticmethod(likelihood.bernoulli_sum)
