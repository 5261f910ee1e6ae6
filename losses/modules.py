"""The losses as modules, shaped like those of torch.nn.

The constructor takes the settings, `forward(input, target)` the data. Weights are buffers, so
they move with `.to(device)` and are in the `state_dict`; `repr` shows every setting. Formulas,
shapes, ranges and errors stand with the function of each module in `losses.functional`.
"""

from __future__ import annotations

from torch import Tensor, nn

from . import checks
from . import functional as F


class Loss(nn.Module):
    """A loss with a reduction: 'mean', 'sum' or 'none'.

    Raises ValueError for another reduction, already here and not only at the first call.
    """

    reduction: str

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        checks.reduction(reduction)
        self.reduction = reduction

    def extra_repr(self) -> str:
        settings = [f"reduction={self.reduction!r}"]
        settings += [
            f"{name}={value!r}" for name, value in vars(self).items() if name in self._shown
        ]
        settings += [f"{name}={list(buffer.shape)}" for name, buffer in self.named_buffers()]
        return ", ".join(settings)

    _shown: tuple[str, ...] = ()


class WeightedLoss(Loss):
    """A loss with a `weight` buffer (None: no weight)."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)


class ZeroOneLoss(WeightedLoss):
    """The count of wrong predictions of a logit; its gradient is zero, and that is its point.

    See `losses.functional.zero_one`. 'mean' is the error rate, 'sum' the count.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.zero_one(input, target, self.weight, reduction=self.reduction)


class ProbabilitySumLoss(WeightedLoss):
    """1 minus the probability given to the right class: 1 - [t f + (1 - t) (1 - f)].

    See `losses.functional.probability_sum`; takes logits.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.probability_sum(input, target, self.weight, reduction=self.reduction)


class SigmoidMSELoss(WeightedLoss):
    """Half the squared error of a sigmoid, (f - t)^2 / 2, whose gradient (f - t) f (1 - f) dies
    when the model is confidently wrong. See `losses.functional.sigmoid_mse`; takes logits.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.sigmoid_mse(input, target, self.weight, reduction=self.reduction)


class BCELoss(WeightedLoss):
    """Binary cross-entropy of probabilities; drop-in for `torch.nn.BCELoss`.

    See `losses.functional.binary_cross_entropy`.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(WeightedLoss):
    """Binary cross-entropy from logits; drop-in for `torch.nn.BCEWithLogitsLoss`.

    See `losses.functional.binary_cross_entropy_with_logits`.
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class MSELoss(Loss):
    """Squared error of the raw output; drop-in for `torch.nn.MSELoss`.

    See `losses.functional.mse_loss`.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class CrossEntropyLoss(WeightedLoss):
    """Softmax cross-entropy from logits; drop-in for `torch.nn.CrossEntropyLoss`.

    See `losses.functional.cross_entropy`.
    """

    _shown = ("ignore_index", "label_smoothing")

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(WeightedLoss):
    """Negative log-likelihood of log-probabilities; drop-in for `torch.nn.NLLLoss`.

    See `losses.functional.nll_loss`.
    """

    _shown = ("ignore_index",)

    def __init__(
        self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class SoftmaxMSELoss(Loss):
    """Squared error of a softmax, the Brier score. See `losses.functional.softmax_mse`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.softmax_mse(input, target, reduction=self.reduction)


class BernoulliSumLoss(Loss):
    """Sum over the classes of the Bernoulli cross-entropy of a softmax output.

    See `losses.functional.bernoulli_sum`.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.bernoulli_sum(input, target, reduction=self.reduction)
