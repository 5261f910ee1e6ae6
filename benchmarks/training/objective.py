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

    The outputs are logits (N, num_outputs): with two classes (0 dog, 1 cat) one logit z, the same
    for every loss, and with more classes one per class. `logits` and
    `registry.Entry.per_example_loss` say what a loss is given. A binary loss of more than two
    classes is the sum over the classes, each against the rest.

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
        self.num_outputs = 1 if num_classes == 2 else num_classes
        self.binary = self.entry.task == "binary"
        self.fitted = self.entry.takes == "outputs"

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        if isinstance(self.loss, torch.nn.Module):
            self.loss.to(outputs.device)
        with self.backend():
            return self.entry.per_example_loss(self.loss, self.logits(outputs), labels)

    def logits(self, outputs: Tensor) -> Tensor:
        """Return what a network's outputs are to the loss, (N,) or (N, num_classes).

        Two classes have one logit z, of which `registry.Entry.two_class_logits` makes what the loss
        takes. Every loss thus trains the same parameters from the same function.
        """
        return outputs if self.num_outputs > 1 else self.entry.two_class_logits(outputs.squeeze(1))

    def predict(self, outputs: Tensor) -> Tensor:
        """Return the predicted classes (N,), int64; of two equal ones the first."""
        return (outputs[:, 0] > 0).long() if self.num_classes == 2 else outputs.argmax(1)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return class probabilities (N, num_classes), whose rows sum to 1.

        They are the softmax for losses of a softmax. For losses of single logits they are the
        sigmoids of each class against the rest, divided by their sum. An output that is fitted to
        the target itself is read as that target: -1 and 1 (0 and 1 in a row of several) are
        certain.
        """
        logits = self.logits(outputs)
        if logits.dim() == 1:
            p = ((logits + 1) / 2).clamp(0, 1) if self.fitted else torch.sigmoid(logits)
            return torch.stack([1 - p, p], 1)
        if self.fitted:
            p = ((logits + 1) / 2 if self.binary else logits).clamp_min(0)
        elif self.entry.task == "multiclass":
            return torch.softmax(logits, 1)
        else:
            p = torch.sigmoid(logits)
        total = p.sum(1, keepdim=True)
        return torch.where(total > 0, p / total, torch.full_like(p, 1 / self.num_classes))
