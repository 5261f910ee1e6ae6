"""From the network's logits and the labels to what a loss takes, and to a prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from lossbench.losses import registry


class Objective:
    """The loss `name` of logits and labels (class indices), one value an example.

    Of two classes (0 dog, 1 cat) a binary loss takes logits (N,), any other (N, 2). Of more, every
    loss takes (N, num_classes), and a binary one is summed over them, each class against the rest.
    Losses of probabilities get the sigmoid or softmax, losses of log-probabilities the log-softmax
    of the logits, losses of distances softplus(-z), which is the smaller the surer z is of a class.
    A binary loss that fits the output itself gets targets -1 and +1, so that its output, as every
    other's, says yes above 0. A loss of every element of a row is summed over the row.

    Args:
        settings: arguments of the loss beyond those of its entry; numbers in a row become a tensor.

    Raises KeyError for an unknown name, ImportError for a loss of one's own that cannot be had,
    TypeError for a setting that the loss does not take.
    """

    def __init__(
        self, name: str, num_classes: int = 2, settings: Iterable[tuple[str, Any]] = ()
    ) -> None:
        self.entry = registry.entry(name)
        given = {
            key: torch.tensor(value) if isinstance(value, (tuple, list)) else value
            for key, value in settings
        }
        self.loss: Callable[[Tensor, Tensor], Tensor] = self.entry.build(reduction="none", **given)
        self.num_classes = num_classes
        self.binary = self.entry.task == "binary"
        self.num_outputs = 1 if self.binary and num_classes == 2 else num_classes

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        if isinstance(self.loss, torch.nn.Module):
            self.loss.to(logits.device)
        return self.entry.per_example_loss(self.loss, logits, labels)

    def logits(self, outputs: Tensor) -> Tensor:
        """The network's outputs (N, num_outputs) in the shape that the loss takes."""
        return outputs.squeeze(1) if self.num_outputs == 1 else outputs

    def predicted(self, logits: Tensor) -> Tensor:
        """The class that each row names, (N,) int64. No preference between two says dog."""
        if self.num_classes == 2:
            return (self.margin(logits) > 0).long()
        return logits.argmax(1)

    def wrong(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Which predictions are wrong, (N,) bool."""
        return self.predicted(logits) != labels

    def margin(self, logits: Tensor) -> Tensor:
        """How far two classes are apart, (N,): the logit of a cat, or of two logits z1 - z0."""
        return logits if self.num_outputs == 1 else logits[:, 1] - logits[:, 0]

    def margin_gradient(self, gradient: Tensor) -> Tensor:
        """The gradient (N,) with respect to the margin z, of one with respect to the logits: two
        logits are -z/2 and +z/2."""
        return gradient if self.num_outputs == 1 else (gradient[:, 1] - gradient[:, 0]) / 2

    def probabilities(self, logits: Tensor) -> Tensor:
        """What each row says of the classes, (N, num_classes), rows summing to 1.

        The softmax of losses of a softmax, the sigmoid of losses of single logits, one against the
        rest made to sum to 1. An output that is fitted to the target is read as that target: -1 and
        1 (0 and 1 in a row of several) are certainty.
        """
        fitted = self.entry.takes == "outputs"
        if self.num_outputs == 1:
            p = ((logits + 1) / 2).clamp(0, 1) if fitted else torch.sigmoid(logits)
            return torch.stack([1 - p, p], 1)
        if fitted:
            share = ((logits + 1) / 2 if self.binary else logits).clamp_min(0)
        elif self.entry.task == "multiclass":
            return torch.softmax(logits, 1)
        else:
            share = torch.sigmoid(logits)
        total = share.sum(1, keepdim=True)
        return torch.where(total > 0, share / total, torch.full_like(share, 1 / self.num_classes))
