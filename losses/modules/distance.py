"""Modules of `losses.functional.distance`."""

from __future__ import annotations

from torch import Tensor

from ..functional import distance
from .base import Loss, Reduced, Rows, Weighted


class MSELoss(Reduced):
    """Squared error of the raw output; drop-in for `torch.nn.MSELoss`.

    See `losses.functional.mse_loss`.
    """

    function = staticmethod(distance.mse_loss)


class L1Loss(Reduced):
    """Absolute error of the raw output; drop-in for `torch.nn.L1Loss`.

    See `losses.functional.l1_loss`.
    """

    function = staticmethod(distance.l1_loss)


class SigmoidMSELoss(Weighted):
    """Half the squared error of a sigmoid, (f - t)^2 / 2, whose gradient (f - t) f (1 - f) dies
    when the model is confidently wrong. See `losses.functional.sigmoid_mse`; takes logits.
    """

    function = staticmethod(distance.sigmoid_mse)


class SoftmaxMSELoss(Rows):
    """Squared error of a softmax, the Brier score. See `losses.functional.softmax_mse`."""

    function = staticmethod(distance.softmax_mse)


class OneVsRestL1Loss(Rows):
    """Absolute error of a row of raw outputs against 0 and 1.

    See `losses.functional.one_vs_rest_l1`.
    """

    function = staticmethod(distance.one_vs_rest_l1)


class RescaledSquareLoss(Loss):
    """Squared error of a row of raw outputs, the right class k times, with target m.

    See `losses.functional.rescaled_square`, which has k and m by number of classes.
    """

    function = staticmethod(distance.rescaled_square)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        k: float = 1.0,
        m: float = 1.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight}, k=k, m=m, ignore_index=ignore_index, reduction=reduction
        )


class SquentropyLoss(Rows):
    """Cross-entropy plus the mean square of the wrong classes' logits.

    See `losses.functional.squentropy`.
    """

    function = staticmethod(distance.squentropy)


class ExpectationLoss(Rows):
    """Absolute error of a softmax. See `losses.functional.expectation`."""

    function = staticmethod(distance.expectation)


class ChebyshevLoss(Rows):
    """Largest error of a softmax. See `losses.functional.chebyshev`."""

    function = staticmethod(distance.chebyshev)


class TanimotoLoss(Rows):
    """Minus the Tanimoto similarity of softmax and target. See `losses.functional.tanimoto`."""

    function = staticmethod(distance.tanimoto)


class CauchySchwarzLoss(Rows):
    """Minus the logarithm of the cosine between softmax and target.

    See `losses.functional.cauchy_schwarz`.
    """

    function = staticmethod(distance.cauchy_schwarz)
