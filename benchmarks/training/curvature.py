"""Gradient and curvature of the training loss at the start of a run.

Losses and layers are differentiated twice: no difference of two gradients is taken.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .objective import Objective

BATCHES = 32
"""Batches that are measured: the first ones of the first epoch, or all if it has fewer."""


class Curvature(NamedTuple):
    """The gradient g of the mean loss with respect to all parameters, and what follows from it.

    Attributes:
        norm: ||g||, of the mean over batches.
        signal_to_noise: ||g|| / s, where s² is the sum over all components of their variance from
            batch to batch. Noise alone makes it 1 / sqrt(n) for n batches. NaN for one batch.
        along: g'Hg / g'g, the second derivative of the mean loss along the gradient. Negative: a
            step along -g makes the gradient longer.
    """

    norm: float
    signal_to_noise: float
    along: float

    @property
    def growth(self) -> float:
        """Relative change of ||g|| per unit of distance along -g: -(g'Hg) / ||g||³.

        A factor of the loss does not change it.
        """
        return -self.along / self.norm if self.norm else math.nan


def measure_curvature(
    model: nn.Module, objective: Objective, batches: Iterable[tuple[Tensor, Tensor]]
) -> Curvature:
    """Measure the gradient, and the curvature along it, of a model in training mode.

    The model stays as it is; its running means too.

    Args:
        model: the model.
        objective: the loss.
        batches: normalised images (N, 3, H, W), and labels (N,).
    """
    model = copy.deepcopy(model).train()
    parameters = list(model.parameters())
    batches = list(batches)

    def gradient(pixels: Tensor, labels: Tensor, twice: bool = False) -> Tensor:
        loss = objective(model(pixels), labels).mean()
        return _flat(torch.autograd.grad(loss, parameters, create_graph=twice))

    each = torch.stack([gradient(*batch) for batch in batches]).double()
    mean = each.mean(0)
    norm = float(mean.norm())
    direction = (mean / norm).float() if norm else torch.zeros_like(mean).float()
    along = []
    for batch in batches:
        slope = gradient(*batch, twice=True) @ direction
        hvp = _flat(torch.autograd.grad(slope, parameters))
        along.append(float(hvp.double() @ direction.double()))
    noise = float(each.var(0).sum().sqrt()) if len(each) > 1 else math.nan
    return Curvature(norm, norm / noise if noise else math.nan, sum(along) / len(along))


def _flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in parts])
