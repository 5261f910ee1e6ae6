"""Modules of `losses.functional.softmax`."""

from __future__ import annotations

from torch import Tensor

from ..functional import softmax
from .base import Rows


class CrossEntropyLoss(Rows):
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
            weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
            z_loss=z_loss,
            softcap=softcap,
        )
