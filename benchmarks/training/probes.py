"""What the gradient does, measured at every step without waiting for the device.

A step only leaves tensors behind, on the device; they are worked up and read once a logging
window. All logit gradients are those of one example's loss, not of the batch's mean.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.tracking.window import FLOOR, Window

from .objective import Objective
from .together import gathered

VANISHED = 1e-6
"""A logit gradient smaller than this moves nothing any more."""


class Look(NamedTuple):
    """What one step leaves behind.

    Attributes:
        logits, gradient: the logits, and the gradient of the batch's mean loss by them.
        labels: (N,). loss: that mean.
        norms: of the gradient by each parameter, (parameters,).
    """

    logits: Tensor
    gradient: Tensor
    labels: Tensor
    loss: Tensor
    norms: Tensor

    def copy(self) -> Look:
        """The same in memory of its own."""
        return Look(*(part.clone() for part in self))


class GradientProbes:
    """What the steps since the last `read` have left behind.

    Between backward and the optimiser's step `look`, and `keep` what it gives; the logits have to
    have kept their gradient (`logits.retain_grad()`).
    """

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        self.objective = objective
        self.names = [name for name, _ in model.named_parameters()]
        self.parameters = list(model.parameters())
        self.steps: list[Look] = []

    def state(self) -> list[list[Tensor]]:
        """What has been measured since the last `read`."""
        return [list(step) for step in self.steps]

    def restore(self, state: list[list[Tensor]]) -> None:
        """Go on from what `state` gave."""
        device = self.parameters[0].device
        self.steps = [Look(*(part.to(device) for part in step)) for step in state]

    @torch.no_grad()
    def look(self, logits: Tensor, labels: Tensor, loss: Tensor) -> Look:
        """What there is to be seen of the step: a few numbers an example; only the norms of the
        parameter gradients have to be computed now, before the next step overwrites them.

        Args:
            logits: with their gradient of `loss`, the batch's mean. labels: (N,).
        """
        if logits.grad is None:
            raise ValueError("the logits have no gradient: call retain_grad() before backward()")
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        norms = torch.stack(torch._foreach_norm(gradients))
        return Look(logits.detach(), logits.grad, labels, loss.detach(), norms)

    def keep(self, look: Look) -> None:
        """Count a step in."""
        self.steps.append(look)

    @torch.no_grad()
    def pairs(self, step: int, count: int) -> Tensor:
        """At most `count` of the examples measured since the last `read`, evenly spaced: float32
        (M, 4) of `step`, margin z, target t and dL/dz of that example's loss."""
        if self.objective.num_classes != 2:
            raise ValueError("a margin is that of two classes")
        z = torch.cat([self.objective.margin(step.logits) for step in self.steps])
        # The mean over the batch divided every example's gradient by the batch size.
        gradients = [step.gradient for step in self.steps]
        g = torch.cat([len(g) * self.objective.margin_gradient(g) for g in gradients])
        t = torch.cat([step.labels for step in self.steps])
        rows = torch.stack([torch.full_like(z, step), z, t.to(z.dtype), g], 1).float()
        return rows[:: max(1, -(-len(rows) // count))]

    @torch.no_grad()
    def read(self) -> Window:
        """The means since the last `read`, which begin anew. Waits for the device once; where
        several processes take part, all of them have to call it.

        Raises ValueError if nothing has been measured.
        """
        if not self.steps:
            raise ValueError("nothing has been measured since the last read")
        logits, gradients, labels, losses, norms_of = zip(*self.steps, strict=True)
        # The mean over the batch divided every example's gradient by the batch size.
        each = torch.cat([len(g) * g.abs().view(len(g), -1).mean(1) for g in gradients])
        wrong = self.objective.wrong(torch.cat(logits), torch.cat(labels)).to(each.dtype)
        # Of the whole batch, where several processes have a share each.
        each, wrong, loss_of = gathered(each), gathered(wrong), gathered(torch.stack(losses))
        vanished = wrong * (each < VANISHED)
        sums = torch.stack((each, each * wrong, vanished, wrong)).sum(1)
        norms = torch.stack(norms_of)
        means = torch.stack((loss_of.mean(), norms.norm(dim=1).mean()))
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
        return window
