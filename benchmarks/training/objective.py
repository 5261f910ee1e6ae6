"""From the network's output and class labels to what a loss takes, and to a prediction."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from losses import registry


class Objective:
    """The loss `name` of logits and labels (0 dog, 1 cat), one value an example.

    A binary loss takes logits (N,), any other (N, 2). Losses of probabilities get the sigmoid or
    softmax, losses of log-probabilities the log-softmax of the logits, losses of distances
    softplus(-z), which is the smaller the surer z is of a cat. A binary loss that fits the output
    itself gets targets -1 and +1, so that its output, as every other's, says cat above 0. A loss of
    every element of a row is summed over the row.

    Raises KeyError for an unknown name, ImportError for a loss of one's own that cannot be had.
    """

    def __init__(self, name: str) -> None:
        self.entry = registry.entry(name)
        self.loss: Callable[[Tensor, Tensor], Tensor] = self.entry.build(reduction="none")
        self.num_outputs = 1 if self.entry.task == "binary" else 2

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        if isinstance(self.loss, torch.nn.Module):
            self.loss.to(logits.device)
        loss = self.loss(self._input(logits), self._target(labels, logits.dtype))
        return loss.sum(1) if loss.dim() > 1 else loss

    def _input(self, logits: Tensor) -> Tensor:
        match self.entry.takes:
            case "probabilities":
                return torch.sigmoid(logits) if self.num_outputs == 1 else torch.softmax(logits, -1)
            case "log-probabilities":
                return torch.log_softmax(logits, -1)
            case "distances":
                return F.softplus(-logits)
        return logits

    def _target(self, labels: Tensor, dtype: torch.dtype) -> Tensor:
        match self.entry.targets[0]:
            case "index":
                return labels
            case "labels":
                return torch.stack([labels, torch.full_like(labels, -1)], 1)
            case "sign":
                return 2 * labels.to(dtype) - 1
        if self.num_outputs == 2:
            return F.one_hot(labels.long(), 2).to(dtype)
        target = labels.to(dtype)
        return 2 * target - 1 if self.entry.takes == "outputs" else target

    def logits(self, outputs: Tensor) -> Tensor:
        """The network's outputs (N, num_outputs) in the shape that the loss takes."""
        return outputs.squeeze(1) if self.num_outputs == 1 else outputs

    def wrong(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Which predictions are wrong, (N,) bool. No preference for either class says dog."""
        margin = logits if self.num_outputs == 1 else logits[:, 1] - logits[:, 0]
        return (margin > 0) != (labels == 1)
