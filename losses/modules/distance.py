"""Modules of `losses.functional.distance`."""

from __future__ import annotations

from ..functional import distance
from .base import Reduced, Rows, Weighted


class MSELoss(Reduced):
    """Squared error of the raw output; drop-in for `torch.nn.MSELoss`.

    See `losses.functional.mse_loss`.
    """

    function = staticmethod(distance.mse_loss)


class SigmoidMSELoss(Weighted):
    """Half the squared error of a sigmoid, (f - t)^2 / 2, whose gradient (f - t) f (1 - f) dies
    when the model is confidently wrong. See `losses.functional.sigmoid_mse`; takes logits.
    """

    function = staticmethod(distance.sigmoid_mse)


class SoftmaxMSELoss(Rows):
    """Squared error of a softmax, the Brier score. See `losses.functional.softmax_mse`."""

    function = staticmethod(distance.softmax_mse)
