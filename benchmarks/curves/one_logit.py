"""What a registered loss is as a function of one logit: its value, and its gradient dL/dz."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench.losses.registry import Entry


def of_one_logit(entry: Entry, z: Tensor, right: int = 1) -> tuple[Tensor, Tensor] | None:
    """Value and gradient of the loss at each logit `z` of float64, where class `right` is right.

    A loss of rows is given the two logits (-z/2, z/2), whose difference is z, and a loss of
    several labels is told that of the two classes one is there and the other is not.
    Probabilities are the sigmoid, log-probabilities the log-softmax of that. None for a loss of
    distances, which has no logit.
    """
    if entry.takes == "distances":
        return None
    z = z.detach().requires_grad_()
    logits = z if entry.task == "binary" else torch.stack([-z / 2, z / 2], -1)
    labels = torch.full((len(z),), right)
    value = entry.per_example_loss(entry.build(reduction="none"), logits, labels)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient
