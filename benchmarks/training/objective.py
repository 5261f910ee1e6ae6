"""Apply a loss to a network's outputs, and read predictions from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from lossbench.losses import registry
from lossbench.losses.kernels import closed_forms_only


class Objective:
    """Per-example loss of a network's outputs and class indices, for a registered loss.

    The outputs are logits (N, num_outputs). With two classes (0 dog, 1 cat) a binary loss needs one
    output, every other loss two. With more classes every loss needs one per class, and a binary
    loss is the sum over the classes, each against the rest. `registry.Entry.per_example_loss` says
    what a loss is given.

    Args:
        name: registered name of the loss.
        num_classes: of the data.
        loss_arguments: arguments of the loss beyond those of its registry entry, as (name, value)
            pairs; a tuple of numbers becomes a tensor.
        kernels: compute the loss by its kernel, where there is one; else by the closed forms.

    Attributes:
        num_outputs: columns of the network's output.

    Raises:
        KeyError: the name is unknown.
        ImportError: a loss of the user's own cannot be imported.
        TypeError: the loss has no such argument.
    """

    def __init__(
        self,
        name: str,
        num_classes: int = 2,
        loss_arguments: Iterable[tuple[str, Any]] = (),
        *,
        kernels: bool = True,
    ) -> None:
        self.entry = registry.entry(name)
        arguments = {
            key: torch.tensor(value) if isinstance(value, (tuple, list)) else value
            for key, value in loss_arguments
        }
        self.loss: Callable[[Tensor, Tensor], Tensor]
        self.loss = self.entry.build(reduction="none", **arguments)
        self.backend: Callable[[], AbstractContextManager[None]]
        self.backend = nullcontext if kernels else closed_forms_only
        self.num_classes = num_classes
        self.binary = self.entry.task == "binary"
        self.num_outputs = 1 if self.binary and num_classes == 2 else num_classes

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        if isinstance(self.loss, torch.nn.Module):
            self.loss.to(outputs.device)
        logits = outputs.squeeze(1) if self.num_outputs == 1 else outputs
        with self.backend():
            return self.entry.per_example_loss(self.loss, logits, labels)

    def predict(self, outputs: Tensor) -> Tensor:
        """Return the predicted classes (N,), int64; of two equal ones the first."""
        if self.num_classes == 2:
            return (self.margin(outputs) > 0).long()
        return outputs.argmax(1)

    def margin(self, outputs: Tensor) -> Tensor:
        """Return the margin z (N,) between two classes: the one logit, or z1 - z0 of two."""
        return outputs[:, 0] if self.num_outputs == 1 else outputs[:, 1] - outputs[:, 0]

    def margin_gradient(self, gradient: Tensor) -> Tensor:
        """Return dL/dz (N,) for the margin z, from the gradient with respect to the outputs.

        Two logits are -z/2 and +z/2.
        """
        return gradient[:, 0] if self.num_outputs == 1 else (gradient[:, 1] - gradient[:, 0]) / 2

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return class probabilities (N, num_classes), whose rows sum to 1.

        They are the softmax for losses of a softmax. For losses of single logits they are the
        sigmoids of each class against the rest, divided by their sum. An output that is fitted to
        the target itself is read as that target: -1 and 1 (0 and 1 in a row of several) are
        certain.
        """
        fitted = self.entry.takes == "outputs"
        if self.num_outputs == 1:
            p = ((outputs + 1) / 2).clamp(0, 1) if fitted else torch.sigmoid(outputs)
            return torch.cat([1 - p, p], 1)
        if fitted:
            p = ((outputs + 1) / 2 if self.binary else outputs).clamp_min(0)
        elif self.entry.task == "multiclass":
            return torch.softmax(outputs, 1)
        else:
            p = torch.sigmoid(outputs)
        total = p.sum(1, keepdim=True)
        return torch.where(total > 0, p / total, torch.full_like(p, 1 / self.num_classes))
