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
    x = z if entry.task == "binary" else torch.stack([-z / 2, z / 2], -1)
    if entry.takes == "probabilities":
        x = torch.sigmoid(x)
    elif entry.takes == "log-probabilities":
        x = torch.log_softmax(x, -1)
    value = entry.build(reduction="none")(x, _target(entry, x, right))
    (gradient,) = torch.autograd.grad(value.sum(), z)
    if value.dim() > 1:  # one number a class: kl_div's
        value = value.sum(-1)
    return value.detach(), gradient


def _target(entry: Entry, x: Tensor, right: int) -> Tensor:
    match entry.targets[0]:
        case "sign":
            return torch.full_like(x, 2 * right - 1)
        case "probability" if entry.task == "binary":
            return torch.full_like(x, right)
        case "index":
            return torch.full((len(x),), right)
        case "labels":
            return torch.tensor([right, -1]).expand(len(x), 2)
        case _:
            return torch.eye(2, dtype=x.dtype)[right].expand_as(x)
