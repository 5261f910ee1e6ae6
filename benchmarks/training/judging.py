"""What a network says of images, and what it is worth by that."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn

from benchmarks.data.batches import Normalisation, Pixels, evaluation_batches

from .objective import Objective
from .trial import Predictions


class Judged(NamedTuple):
    """What a network is worth on the validation images: its mean loss, NaN where there are none,
    and what it says of them."""

    loss: float
    said: Predictions | None

    @property
    def accuracy(self) -> float:
        """The share of right ones, NaN where there are no images or the network has diverged."""
        return math.nan if self.said is None else self.said.accuracy


@torch.no_grad()
def predictions(
    model: nn.Module,
    objective: Objective,
    split: Pixels,
    normalise: Normalisation,
    *,
    mirror: bool = False,
) -> tuple[float, Predictions]:
    """The mean loss over a split, and what the model says of each of its images, with `mirror` by
    the mean of its outputs for the image and its mirror image. The model is in training mode
    afterwards."""
    model.eval()
    outputs, losses = [], []
    for pixels, labels in evaluation_batches(split, normalise):
        output = (model(pixels) + model(pixels.flip(3))) / 2 if mirror else model(pixels)
        logits = objective.logits(output)
        outputs.append(logits)
        losses.append(objective(logits, labels).sum())
    model.train()
    logits = torch.cat(outputs)
    said = Predictions(
        outputs=logits.reshape(len(logits), -1).cpu().numpy(),
        probabilities=objective.probabilities(logits).cpu().numpy(),
        predicted=objective.predicted(logits).cpu().numpy(),
        labels=split.labels.cpu().numpy(),
    )
    return float(torch.stack(losses).sum()) / len(logits), said
