"""What the gradient does, measured at every step without waiting for the device.

A step only leaves tensors behind, on the device; they are worked up and read once a logging
window. All logit gradients are those of one example's loss, not of the batch's mean.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lossbench.benchmarks.records.gradient_stats import FLOOR, GradientStats

from .distributed import all_gather
from .objective import Objective

VANISHED_BELOW = 1e-6
"""A logit gradient smaller than this moves nothing any more."""


class StepRecord(NamedTuple):
    """What one step leaves behind.

    Attributes:
        labels: (N,).
        numbers: in one row, so that one copy keeps them: the logits, the gradient of the batch's
            mean loss by them, that loss, and the norm of the gradient by each parameter.
    """

    labels: Tensor
    numbers: Tensor


class GradientProbes:
    """What the steps since the last `read` have left behind.

    Between backward and the optimiser's step `look`, and `keep` what it gives; the logits have to
    have kept their gradient (`logits.retain_grad()`).
    """

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        self.objective = objective
        self.names = [name for name, _ in model.named_parameters()]
        self.parameters = list(model.parameters())
        self.steps: list[StepRecord] = []

    def state(self) -> list[list[Tensor]]:
        """What has been measured since the last `read`."""
        return [list(step) for step in self.steps]

    def restore(self, state: list[list[Tensor]]) -> None:
        """Go on from what `state` gave."""
        device = self.parameters[0].device
        self.steps = [StepRecord(*(part.to(device) for part in step)) for step in state]

    @torch.no_grad()
    def look(self, logits: Tensor, labels: Tensor, loss: Tensor) -> StepRecord:
        """What there is to be seen of the step: a few numbers an example; only the norms of the
        parameter gradients have to be computed now, before the next step overwrites them.

        Args:
            logits: with their gradient of `loss`, the batch's mean. labels: (N,).
        """
        if logits.grad is None:
            raise ValueError("the logits have no gradient: call retain_grad() before backward()")
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        norms = torch.stack(torch._foreach_norm(gradients))
        parts = (logits.flatten(), logits.grad.flatten(), loss.detach().view(1), norms)
        return StepRecord(labels, torch.cat(parts))

    def keep(self, look: StepRecord) -> None:
        """Count a step in."""
        self.steps.append(look)

    def _seen(self) -> _Seen:
        """All that the steps have left, on the CPU: waits for the device once. There it is a
        handful of numbers, for which a GPU would need as many starts of a kernel."""
        labels = torch.stack([step.labels for step in self.steps])
        steps, batch = labels.shape
        numbers = torch.stack([step.numbers for step in self.steps]).cpu()
        width = batch * self.objective.num_outputs
        logits, gradient, loss, norms = torch.split(numbers, [width, width, 1, len(self.names)], 1)
        shape = (steps * batch,) if self.objective.num_outputs == 1 else (steps * batch, -1)
        # The mean over the batch divided every example's gradient by the batch size.
        gradient = batch * gradient.reshape(shape)
        return _Seen(labels.flatten().cpu(), logits.reshape(shape), gradient, loss[:, 0], norms)

    @torch.no_grad()
    def pairs(self, step: int, count: int) -> Tensor:
        """At most `count` of the examples measured since the last `read`, evenly spaced: float32
        (M, 4) of `step`, margin z, target t and dL/dz of that example's loss."""
        if self.objective.num_classes != 2:
            raise ValueError("a margin is that of two classes")
        seen = self._seen()
        z, g = self.objective.margin(seen.logits), self.objective.margin_gradient(seen.gradient)
        rows = torch.stack([torch.full_like(z, step), z, seen.labels.to(z.dtype), g], 1).float()
        return rows[:: max(1, -(-len(rows) // count))]

    @torch.no_grad()
    def read(self) -> GradientStats:
        """The means since the last `read`, which begin anew. Waits for the device once; where
        several processes take part, all of them have to call it.

        Raises ValueError if nothing has been measured.
        """
        if not self.steps:
            raise ValueError("nothing has been measured since the last read")
        seen = self._seen()
        each = seen.gradient.abs().view(len(seen.labels), -1).mean(1)
        wrong = self.objective.wrong(seen.logits, seen.labels).to(each.dtype)
        # Of the whole batch, where several processes have a share each.
        each, wrong, loss_of = all_gather(each), all_gather(wrong), all_gather(seen.loss)
        vanished = wrong * (each < VANISHED_BELOW)
        sums = torch.stack((each, each * wrong, vanished, wrong)).sum(1)
        means = torch.stack((loss_of.mean(), seen.norms.norm(dim=1).mean()))
        numbers = torch.cat((sums, means, seen.norms.mean(0))).tolist()
        pushed, pushed_wrong, gone, missed, loss, norm = numbers[:6]
        # A gradient that is no number has not vanished, nor has it not.
        countable = missed > 0 and math.isfinite(pushed_wrong)
        window = GradientStats(
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
            logit_log10=each.clamp_min(FLOOR).log10(),
        )
        self.steps.clear()
        return window


class _Seen(NamedTuple):
    """Of the examples of some steps in a row: labels, logits, gradient of each one's own loss; of
    the steps: loss (steps,), norms (steps, parameters)."""

    labels: Tensor
    logits: Tensor
    gradient: Tensor
    loss: Tensor
    norms: Tensor
