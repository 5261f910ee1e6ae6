"""Gradient statistics, measured at every step without waiting for the device.

A step leaves tensors on the device. They are read once per logging interval. Logit gradients are
those of single examples' losses, not of the batch mean.
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
"""Magnitude below which a logit gradient counts as vanished."""


class GradientMeter:
    """Gradient statistics of the steps since the last `reset`.

    After each backward pass call `measure`, and `update` with its result. The two are apart
    because a CUDA graph can contain `measure` only.
    """

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        self.objective = objective
        self.names = [name for name, _ in model.named_parameters()]
        self.parameters = list(model.parameters())
        self.steps: list[tuple[Tensor, Tensor]] = []

    def state_dict(self) -> list[list[Tensor]]:
        """Return the measurements since the last `reset`."""
        return [list(step) for step in self.steps]

    def load_state_dict(self, state: list[list[Tensor]]) -> None:
        """Restore what `state_dict` returned."""
        device = self.parameters[0].device
        self.steps = [(labels.to(device), values.to(device)) for labels, values in state]

    @torch.no_grad()
    def measure(self, logits: Tensor, loss: Tensor) -> Tensor:
        """Return the numbers of one step in a single row, which one copy can keep.

        Only the norms of the parameter gradients are computed now, before the next step overwrites
        them.

        Args:
            logits: of the batch, with their gradient (`retain_grad()` before `backward()`).
            loss: mean over the batch, a scalar.

        Returns:
            1-D tensor: logits, their gradient, the loss, the gradient norm of each parameter.

        Raises:
            ValueError: the logits have no gradient.
        """
        if logits.grad is None:
            raise ValueError("the logits have no gradient: call retain_grad() before backward()")
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        norms = torch.stack(torch._foreach_norm(gradients))
        return torch.cat((logits.flatten(), logits.grad.flatten(), loss.detach().view(1), norms))

    def update(self, labels: Tensor, values: Tensor) -> None:
        """Add a step: its labels (N,) and what `measure` returned."""
        self.steps.append((labels, values))

    def reset(self) -> None:
        """Forget the steps measured so far."""
        self.steps.clear()

    @torch.no_grad()
    def compute(self) -> GradientStats:
        """Return the means over all steps; waits for the device once.

        In a data-parallel run every rank has to call it, and the means are those of the global
        batch.

        Raises:
            ValueError: no step was measured since the last `reset`.
        """
        if not self.steps:
            raise ValueError("no step was measured since the last reset()")
        seen = self._read()
        each = seen.gradient.abs().view(len(seen.labels), -1).mean(1)
        wrong = self.objective.wrong(seen.logits, seen.labels).to(each.dtype)
        each, wrong, losses = all_gather(each), all_gather(wrong), all_gather(seen.loss)
        vanished = wrong * (each < VANISHED_BELOW)
        sums = torch.stack((each, each * wrong, vanished, wrong)).sum(1)
        means = torch.stack((losses.mean(), seen.norms.norm(dim=1).mean()))
        numbers = torch.cat((sums, means, seen.norms.mean(0))).tolist()
        total, total_wrong, vanished_count, wrong_count, loss, norm = numbers[:6]
        # Non-finite gradients count as neither vanished nor healthy.
        countable = wrong_count > 0 and math.isfinite(total_wrong)
        return GradientStats(
            steps=len(self.steps),
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
            float32 (M, 4): step, margin z, target t, and dL/dz of the example's own loss.

        Raises:
            ValueError: there are more than two classes.
        """
        if self.objective.num_classes != 2:
            raise ValueError("a margin needs two classes")
        seen = self._read()
        z, g = self.objective.margin(seen.logits), self.objective.margin_gradient(seen.gradient)
        rows = torch.stack([torch.full_like(z, step), z, seen.labels.to(z.dtype), g], 1).float()
        return rows[:: max(1, -(-len(rows) // count))]

    def _read(self) -> _Measured:
        """Copy the measurements to the CPU, where their few numbers are summed faster."""
        labels = torch.stack([labels for labels, _ in self.steps])
        steps, batch = labels.shape
        numbers = torch.stack([values for _, values in self.steps]).cpu()
        width = batch * self.objective.num_outputs
        logits, gradient, loss, norms = torch.split(numbers, [width, width, 1, len(self.names)], 1)
        shape = (steps * batch,) if self.objective.num_outputs == 1 else (steps * batch, -1)
        # The mean over the batch divided every example's gradient by the batch size.
        gradient = batch * gradient.reshape(shape)
        return _Measured(labels.flatten().cpu(), logits.reshape(shape), gradient, loss[:, 0], norms)


class _Measured(NamedTuple):
    """Measurements on the CPU: labels, logits and gradients per example; loss (steps,) and norms
    (steps, parameters) per step."""

    labels: Tensor
    logits: Tensor
    gradient: Tensor
    loss: Tensor
    norms: Tensor
