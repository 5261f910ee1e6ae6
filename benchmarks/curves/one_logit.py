"""A registered loss as a function of one logit: its value and its gradient dL/dz."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench.losses.registry import Entry


def evaluate_at_logits(entry: Entry, z: Tensor, label: int = 1) -> tuple[Tensor, Tensor] | None:
    """Return value and gradient (N,) of a loss at each logit, or None for a loss of distances.

    A loss of rows gets the two logits (-z/2, z/2), whose difference is z. A multilabel loss gets
    class `label` as present and the other one as absent.

    Args:
        entry: the loss.
        z: logits (N,), float64.
        label: the right class, 0 or 1.
    """
    if entry.takes == "distances":
        return None
    z = z.detach().requires_grad_()
    logits = z if entry.task == "binary" else torch.stack([-z / 2, z / 2], -1)
    labels = torch.full((len(z),), label)
    value = entry.per_example_loss(entry.build(reduction="none"), logits, labels)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient
