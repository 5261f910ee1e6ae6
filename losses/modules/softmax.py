"""Modules of `losses.functional.softmax`."""

from __future__ import annotations

from torch import Tensor

from ..functional import softmax
from .base import Loss


class CrossEntropyLoss(Loss):
    """Softmax cross-entropy from logits; drop-in for `torch.nn.CrossEntropyLoss`.

    See `losses.functional.cross_entropy`, z-loss and soft-capping included.
    """

    function = staticmethod(softmax.cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
        softcap: float | None = None,
    ) -> None:
        super().__init__(
            {"weight": weight},
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
            z_loss=z_loss,
            softcap=softcap,
        )


class LogitAdjustedLoss(Loss):
    """Cross-entropy of logits that are shifted by how often each class occurs.

    `prior` is a buffer: counts or frequencies, (C,). See
    `losses.functional.logit_adjusted_cross_entropy`.
    """

    function = staticmethod(softmax.logit_adjusted_cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        prior: Tensor | None = None,
        tau: float = 1.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight, "prior": prior},
            tau=tau,
            ignore_index=ignore_index,
            reduction=reduction,
        )
