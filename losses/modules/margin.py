"""Modules of `losses.functional.margin`."""

from __future__ import annotations

from torch import Tensor

from ..functional import margin as functional
from .base import Loss, Reduced, Weighted


class HingeLoss(Loss):
    """Hinge loss of one output, max(0, m - z)^k for class 1 and max(0, m + z)^k for class 0.

    See `losses.functional.hinge`; takes targets in [0, 1].
    """

    function = staticmethod(functional.hinge)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        margin: float = 1.0,
        power: int = 1,
        reduction: str = "mean",
    ) -> None:
        super().__init__({"weight": weight}, margin=margin, power=power, reduction=reduction)


class OneVsRestHingeLoss(Loss):
    """Sum over the classes of the hinge loss of a class against the others.

    See `losses.functional.one_vs_rest_hinge`.
    """

    function = staticmethod(functional.one_vs_rest_hinge)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        margin: float = 0.5,
        power: int = 1,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight},
            margin=margin,
            power=power,
            ignore_index=ignore_index,
            reduction=reduction,
        )


class MultiMarginLoss(Loss):
    """Multiclass hinge loss; drop-in for `torch.nn.MultiMarginLoss`.

    See `losses.functional.multi_margin_loss`.
    """

    function = staticmethod(functional.multi_margin_loss)

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        *,
        reduction: str = "mean",
    ) -> None:
        functional.multi_margin_settings(p, weight)
        super().__init__({"weight": weight}, p=p, margin=margin, reduction=reduction)


class MultiLabelMarginLoss(Reduced):
    """Hinge loss of several right classes; drop-in for `torch.nn.MultiLabelMarginLoss`.

    See `losses.functional.multilabel_margin_loss`.
    """

    function = staticmethod(functional.multilabel_margin_loss)


class HingeEmbeddingLoss(Loss):
    """Hinge loss of a distance; drop-in for `torch.nn.HingeEmbeddingLoss`.

    See `losses.functional.hinge_embedding_loss`; takes targets of 1 and -1.
    """

    function = staticmethod(functional.hinge_embedding_loss)

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(margin=margin, reduction=reduction)


class SoftMarginLoss(Reduced):
    """Logistic loss of a target of 1 or -1; drop-in for `torch.nn.SoftMarginLoss`.

    See `losses.functional.soft_margin_loss`.
    """

    function = staticmethod(functional.soft_margin_loss)


class MultiLabelSoftMarginLoss(Weighted):
    """Binary cross-entropy from logits, averaged over the classes in the last dimension; drop-in
    for `torch.nn.MultiLabelSoftMarginLoss`. See `losses.functional.multilabel_soft_margin_loss`.
    """

    function = staticmethod(functional.multilabel_soft_margin_loss)
