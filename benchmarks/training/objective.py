"""From the network's output and class labels to what a loss takes, and to a prediction."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from losses import registry


class Objective:
    """The registered loss `name` of logits and labels (0 dog, 1 cat), one value an example.

    A binary loss takes logits (N,), a multiclass loss (N, 2). Losses of probabilities get the
    sigmoid, losses of log-probabilities the log-softmax of the logits. A loss that fits the output
    itself gets targets -1 and +1, so that its output, as every other's, says cat above 0.

    Raises KeyError for an unknown name.
    """

    def __init__(self, name: str) -> None:
        self.entry = registry.entry(name)
        self.loss: Callable[[Tensor, Tensor], Tensor] = self.entry.module(reduction="none")
        self.num_outputs = 1 if self.entry.task == "binary" else 2

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        match self.entry.takes:
            case "probabilities":
                logits = torch.sigmoid(logits)
            case "log-probabilities":
                logits = torch.log_softmax(logits, -1)
        target = labels
        if self.entry.task == "binary":
            target = labels.to(logits.dtype)
            if self.entry.takes == "outputs":
                target = 2 * target - 1
        return self.loss(logits, target)

    def logits(self, outputs: Tensor) -> Tensor:
        """The network's outputs (N, num_outputs) in the shape that the loss takes."""
        return outputs.squeeze(1) if self.num_outputs == 1 else outputs

    def wrong(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Which predictions are wrong, (N,) bool. No preference for either class says dog."""
        margin = logits if self.num_outputs == 1 else logits[:, 1] - logits[:, 0]
        return (margin > 0) != (labels == 1)
