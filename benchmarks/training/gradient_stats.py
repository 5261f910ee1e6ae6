"""Gradient statistics, measured at every step without waiting for the device.

A step leaves a tensor on the device. It is read once per logging interval. Logit gradients are
those of single examples' losses, not of the batch mean.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lossbench.benchmarks.records.gradient_stats import FLOOR, GradientStats

from .distributed import all_gather, world_size
from .objective import Objective

VANISHED_BELOW = 1e-6
"""Magnitude below which the logit gradient of a single example counts as vanished."""


class GradientMeter:
    """Gradient statistics of some steps.

    Call `measure` after the backward pass of each step and `append` what it returns. They are two
    calls because `measure` may run in a CUDA graph.

    Attributes:
        steps: the measurements of each step since the last `compute`.
    """

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        self.objective = objective
        self.names = [name for name, _ in model.named_parameters()]
        self.parameters = list(model.parameters())
        self.steps: list[Tensor] = []

    @torch.no_grad()
    def measure(self, outputs: Tensor, labels: Tensor, loss: Tensor) -> Tensor:
        """Return the measurements of one step as a single tensor, for one copy to the CPU.

        Only the norms of the parameter gradients are computed now, before the next step overwrites
        them.

        Args:
            outputs: logits of the batch, (N, num_outputs), with their gradient (`retain_grad()`
                before `backward()`).
            labels: class indices, (N,).
            loss: mean over the batch, a scalar.

        Returns:
            1-D tensor: labels, logits, their gradient, the loss, the gradient norm of each
            parameter.

        Raises:
            ValueError: the logits have no gradient.
        """
        if outputs.grad is None:
            raise ValueError("the logits have no gradient: call retain_grad() before backward()")
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        norms = torch.stack(torch._foreach_norm(gradients))
        parts = (labels.float(), outputs.flatten(), outputs.grad.flatten(), loss.view(1), norms)
        return torch.cat(parts)

    def append(self, measured: Tensor) -> None:
        """Add the measurements of one step."""
        self.steps.append(measured)

    @torch.no_grad()
    def compute(self) -> GradientStats:
        """Return the means over all steps, and begin anew; waits for the device once.

        In a data-parallel run every rank has to call it, and the means are those of the global
        batch.

        Raises:
            ValueError: no step was measured.
        """
        if not self.steps:
            raise ValueError("no step was measured since the last logging interval")
        labels, outputs, gradient, losses, norms = self._read()
        self.steps.clear()
        each = gradient.abs().mean(1)
        wrong = (self.objective.predict(outputs) != labels).to(each.dtype)
        if world_size() > 1:
            each, wrong, losses = map(all_gather, (each, wrong, losses))
        vanished = wrong * (each < VANISHED_BELOW)
        sums = torch.stack((each, each * wrong, vanished, wrong)).sum(1)
        means = torch.stack((losses.mean(), norms.norm(dim=1).mean()))
        numbers = torch.cat((sums, means, norms.mean(0))).tolist()
        total, total_wrong, vanished_count, wrong_count, loss, norm = numbers[:6]
        # Non-finite gradients count as neither vanished nor healthy.
        countable = wrong_count > 0 and math.isfinite(total_wrong)
        return GradientStats(
            steps=len(norms),
            examples=len(each),
            wrong=round(wrong_count),
            loss=loss,
            accuracy=1 - wrong_count / len(each),
            logit_mean_abs=total / len(each),
            logit_when_wrong=total_wrong / wrong_count if wrong_count else math.nan,
            vanished_fraction=vanished_count / wrong_count if countable else math.nan,
            parameter_norm=norm,
            layers=dict(zip(self.names, numbers[6:], strict=True)),
            logit_log10=each.clamp_min(FLOOR).log10(),
        )

    @torch.no_grad()
    def examples(self, step: int, count: int) -> Tensor:
        """Return at most `count` of the measured examples, evenly spaced.

        Args:
            step: number written into the first column.
            count: the most rows.

        Returns:
            float32 (M, 4): step, logit z, target t, and dL/dz of the example's own loss.

        Raises:
            ValueError: there are more than two classes.
        """
        if self.objective.num_classes != 2:
            raise ValueError("one logit z needs two classes")
        labels, outputs, gradient, *_ = self._read()
        z = outputs[:, 0]
        columns = [torch.full_like(z, step), z, labels.to(z.dtype), gradient[:, 0]]
        rows = torch.stack(columns, 1).float()
        return rows[:: max(1, -(-len(rows) // count))]

    def _read(self) -> tuple[Tensor, ...]:
        """Copy the measurements to the CPU, where their few numbers are summed faster.

        Returns:
            Labels (M,), logits (M, num_outputs) and gradient (M, num_outputs) of all examples;
            loss (steps,) and norms (steps, parameters) of all steps.
        """
        numbers = torch.stack(self.steps).cpu()
        outputs, parameters = self.objective.num_outputs, len(self.names)
        batch = (numbers.shape[1] - 1 - parameters) // (1 + 2 * outputs)
        sizes = [batch, batch * outputs, batch * outputs, 1, parameters]
        labels, logits, gradient, loss, norms = torch.split(numbers, sizes, 1)
        # The mean over the batch divided every example's gradient by the batch size.
        gradient = batch * gradient.reshape(-1, outputs)
        return labels.flatten().long(), logits.reshape(-1, outputs), gradient, loss[:, 0], norms
