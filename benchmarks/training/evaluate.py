"""What a network says of images, and what it is worth by that."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench.benchmarks.data.batches import DeviceSplit, Normalisation, evaluation_batches

from .objective import Objective
from .result import Predictions


class ValidationResult(NamedTuple):
    """What a network is worth on the validation images: its mean loss, NaN where there are none,
    and what it says of them."""

    loss: float
    said: Predictions | None

    @property
    def accuracy(self) -> float:
        """The share of right ones, NaN where there are no images or the network has diverged."""
        return math.nan if self.said is None else self.said.accuracy


def views(pixels: Tensor, augmentation: str) -> Iterator[Tensor]:
    """The views of images (N, 3, H, W) by which they are judged, each of that shape.

    'none': the images; 'mirror': they and their mirror images; 'mirror-shift': these and these
    shifted towards each of the four corners by a 32nd of the side, reflected at the edges.
    """
    shifted = [pixels]
    if augmentation == "mirror-shift":
        side = pixels.shape[3]
        by = max(1, side // 32)
        wide = F.pad(pixels, (by, by, by, by), mode="reflect")
        corners = [(down, across) for down in (0, 2 * by) for across in (0, 2 * by)]
        shifted += [wide[:, :, d : d + side, a : a + side] for d, a in corners]
    for view in shifted:
        yield view
        if augmentation != "none":
            yield view.flip(3)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    objective: Objective,
    split: DeviceSplit,
    normalise: Normalisation,
    augmentation: str = "none",
) -> tuple[float, Predictions]:
    """The mean loss over a split, and what the model says of each of its images, by the mean of its
    outputs for the `views` that `augmentation` names. The model is in training mode afterwards."""
    model.eval()
    outputs = []
    for pixels, _ in evaluation_batches(split, normalise):
        each = [model(view) for view in views(pixels, augmentation)]
        outputs.append(torch.stack(each).mean(0) if len(each) > 1 else each[0])
    model.train()
    logits = objective.logits(torch.cat(outputs))
    loss = objective(logits, split.labels).mean()
    # The device is waited for once: what follows is on the CPU.
    logits = logits.cpu()
    said = Predictions(
        outputs=logits.reshape(len(logits), -1).numpy(),
        probabilities=objective.probabilities(logits).numpy(),
        predicted=objective.predicted(logits).numpy(),
        labels=split.labels.cpu().numpy(),
    )
    return float(loss), said
