"""What the gradient does, measured at every step without waiting for the device.

A step adds a handful of numbers to sums that stay on the device; they are read once a logging
window. All logit gradients are those of one example's loss, not of the batch's mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

VANISHED = 1e-6
"""A logit gradient smaller than this moves nothing any more."""

FLOOR = 1e-12
"""Where log10 of a gradient stops: zero has none."""


@dataclass(frozen=True)
class Window:
    """Means over the steps and examples of a logging window; NaN where there was nothing.

    Attributes:
        loss, accuracy: of the training batches, before their step.
        logit_mean_abs: mean |dL/dz|.
        logit_when_wrong: the same over the wrongly classified examples.
        vanished_fraction: the share of these below `VANISHED`.
        parameter_norm: Euclidean norm of the gradient over all parameters.
        layers: the norm of each parameter's gradient, by name.
        logit_log10: log10 |dL/dz| of the examples of the window's last step.
    """

    loss: float
    accuracy: float
    logit_mean_abs: float
    logit_when_wrong: float
    vanished_fraction: float
    parameter_norm: float
    layers: dict[str, float]
    logit_log10: Tensor


class GradientProbes:
    """Sums over the steps since the last `read`.

    Call `measure` between backward and the optimiser's step; the logits have to have kept their
    gradient (`logits.retain_grad()`).
    """

    def __init__(self, model: nn.Module) -> None:
        self.names = [name for name, _ in model.named_parameters()]
        self.parameters = list(model.parameters())
        self._reset()

    def _reset(self) -> None:
        self.steps = 0
        self.sums: Tensor | float = 0.0
        self.norms: Tensor | float = 0.0
        self.last: Tensor | None = None

    @torch.no_grad()
    def measure(self, logits: Tensor, loss: Tensor, wrong: Tensor) -> None:
        """Add one step: logits (N,) or (N, C) with their gradient of the batch's mean loss, that
        loss, and which examples (N,) are wrong."""
        assert logits.grad is not None, "the logits have not kept their gradient"
        count = len(logits)
        # The mean over the batch divided every example's gradient by the batch size.
        magnitude = logits.grad.abs().view(count, -1).mean(1) * count
        missed = wrong.float()
        vanished = missed * (magnitude < VANISHED)
        examples = torch.stack((magnitude, magnitude * missed, vanished, missed)).sum(1)
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        norms = torch.stack(torch._foreach_norm(gradients))
        totals = torch.stack((loss.detach() * count, norms.norm() * count, loss.new_tensor(count)))
        self.sums = self.sums + torch.cat((examples, totals))
        self.norms = self.norms + norms
        self.last = magnitude
        self.steps += 1

    def read(self) -> Window:
        """The means since the last `read`, which begin anew. Waits for the device once."""
        assert isinstance(self.sums, Tensor), "nothing has been measured"
        assert isinstance(self.norms, Tensor)
        assert self.last is not None
        numbers = torch.cat((self.sums, self.norms / self.steps)).tolist()
        magnitude, when_wrong, vanished, missed, loss, norm, count = numbers[:7]
        window = Window(
            loss=loss / count,
            accuracy=1 - missed / count,
            logit_mean_abs=magnitude / count,
            logit_when_wrong=when_wrong / missed if missed else float("nan"),
            vanished_fraction=vanished / missed if missed else float("nan"),
            parameter_norm=norm / count,
            layers=dict(zip(self.names, numbers[7:], strict=True)),
            logit_log10=self.last.clamp_min(FLOOR).log10().cpu(),
        )
        self._reset()
        return window
