"""What the gradient does, measured at every step without waiting for the device.

A step only leaves tensors behind, on the device; they are worked up and read once a logging
window. All logit gradients are those of one example's loss, not of the batch's mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .objective import Objective

VANISHED = 1e-6
"""A logit gradient smaller than this moves nothing any more."""

FLOOR = 1e-12
"""Where log10 of a gradient stops: zero has none."""


@dataclass(frozen=True)
class Window:
    """Means over the steps and examples of some steps in a row; NaN where there was nothing.

    Attributes:
        steps, examples, wrong: how many there were; `wrong` of the examples were misclassified.
        loss, accuracy: of the training batches, before their step.
        logit_mean_abs: mean |dL/dz|.
        logit_when_wrong: the same over the wrongly classified examples.
        vanished_fraction: the share of these below `VANISHED`.
        parameter_norm: mean Euclidean norm of the gradient over all parameters.
        layers: the mean norm of each parameter's gradient, by name.
        logit_log10: log10 |dL/dz| of every example, no less than log10 of `FLOOR`.
    """

    steps: int
    examples: int
    wrong: int
    loss: float
    accuracy: float
    logit_mean_abs: float
    logit_when_wrong: float
    vanished_fraction: float
    parameter_norm: float
    layers: dict[str, float]
    logit_log10: Tensor


class GradientProbes:
    """What the steps since the last `read` have left behind.

    Call `measure` between backward and the optimiser's step; the logits have to have kept their
    gradient (`logits.retain_grad()`).
    """

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        self.objective = objective
        self.names = [name for name, _ in model.named_parameters()]
        self.parameters = list(model.parameters())
        self.steps: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self.norms: list[Tensor] = []

    @torch.no_grad()
    def measure(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        """Keep one step: the logits with their gradient of the batch's mean loss, the labels (N,),
        and that loss. These are a few numbers an example; only the norms of the parameter
        gradients have to be computed now, before the next step overwrites them."""
        if logits.grad is None:
            raise ValueError("the logits have no gradient: call retain_grad() before backward()")
        self.steps.append((logits.detach(), logits.grad, labels, loss.detach()))
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        self.norms.extend(torch._foreach_norm(gradients))

    @torch.no_grad()
    def read(self) -> Window:
        """The means since the last `read`, which begin anew. Waits for the device once.

        Raises ValueError if nothing has been measured.
        """
        if not self.steps:
            raise ValueError("nothing has been measured since the last read")
        logits, gradients, labels, losses = zip(*self.steps, strict=True)
        # The mean over the batch divided every example's gradient by the batch size.
        each = torch.cat([len(g) * g.abs().view(len(g), -1).mean(1) for g in gradients])
        wrong = self.objective.wrong(torch.cat(logits), torch.cat(labels)).to(each.dtype)
        vanished = wrong * (each < VANISHED)
        sums = torch.stack((each, each * wrong, vanished, wrong)).sum(1)
        norms = torch.stack(self.norms).view(len(self.steps), -1)
        means = torch.stack((torch.stack(losses).mean(), norms.norm(dim=1).mean()))
        numbers = torch.cat((sums, means, norms.mean(0))).tolist()
        pushed, pushed_wrong, gone, missed, loss, norm = numbers[:6]
        # A gradient that is no number has not vanished, nor has it not.
        countable = missed > 0 and math.isfinite(pushed_wrong)
        window = Window(
            steps=len(self.steps),
            examples=len(each),
            wrong=round(missed),
            loss=loss,
            accuracy=1 - missed / len(each),
            logit_mean_abs=pushed / len(each),
            logit_when_wrong=pushed_wrong / missed if missed else math.nan,
            vanished_fraction=gone / missed if countable else math.nan,
            parameter_norm=norm,
            layers=dict(zip(self.names, numbers[6:], strict=True)),
            logit_log10=each.clamp_min(FLOOR).log10().cpu(),
        )
        self.steps.clear()
        self.norms.clear()
        return window


def merged(windows: Sequence[Window]) -> Window:
    """The window of all their steps. Raises ValueError if there is none."""

    def mean(values: Iterable[float], weights: Iterable[int]) -> float:
        pairs = [(value, weight) for value, weight in zip(values, weights, strict=True) if weight]
        total = sum(weight for _, weight in pairs)
        return sum(value * weight for value, weight in pairs) / total if total else math.nan

    if not windows:
        raise ValueError("there is no window to merge")
    steps, examples, wrong = (
        [getattr(w, n) for w in windows] for n in ("steps", "examples", "wrong")
    )
    return Window(
        steps=sum(steps),
        examples=sum(examples),
        wrong=sum(wrong),
        loss=mean((w.loss for w in windows), steps),
        accuracy=mean((w.accuracy for w in windows), examples),
        logit_mean_abs=mean((w.logit_mean_abs for w in windows), examples),
        logit_when_wrong=mean((w.logit_when_wrong for w in windows), wrong),
        vanished_fraction=mean((w.vanished_fraction for w in windows), wrong),
        parameter_norm=mean((w.parameter_norm for w in windows), steps),
        layers={n: mean((w.layers[n] for w in windows), steps) for n in windows[0].layers},
        logit_log10=torch.cat([w.logit_log10 for w in windows]),
    )
