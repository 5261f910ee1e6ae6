"""Evaluate a model: loss and predictions of a split."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench.benchmarks.data.batches import DeviceSplit, Normalisation, evaluation_batches

from .objective import Objective
from .result import Predictions


def views(pixels: Tensor, augmentation: str) -> Iterator[Tensor]:
    """Yield the views of images for test-time augmentation.

    Args:
        pixels: (N, 3, H, W), square.
        augmentation: 'none': the images; 'mirror': also their mirror images; 'mirror-shift': both
            of these also shifted towards each corner by a 32nd of the side, reflected at the edges.

    Yields:
        Tensors of the same shape as `pixels`.
    """
    shifted = [pixels]
    if augmentation == "mirror-shift":
        side = pixels.shape[3]
        shift = max(1, side // 32)
        padded = F.pad(pixels, (shift, shift, shift, shift), mode="reflect")
        corners = [(y, x) for y in (0, 2 * shift) for x in (0, 2 * shift)]
        shifted += [padded[:, :, y : y + side, x : x + side] for y, x in corners]
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
    """Evaluate a model; it is in training mode afterwards.

    Args:
        model: the network.
        objective: loss to average over the split.
        split: the images.
        normalise: normalization of the training images.
        augmentation: test-time augmentation; the outputs of all `views` are averaged.

    Returns:
        The mean loss, and the predictions in the split's order.
    """
    model.eval()
    parts = []
    for pixels in evaluation_batches(split, normalise):
        each = [model(view) for view in views(pixels, augmentation)]
        parts.append(torch.stack(each).mean(0) if len(each) > 1 else each[0])
    model.train()
    outputs = torch.cat(parts)
    loss = objective(outputs, split.labels).mean()
    # One wait for the device: the rest is computed on the CPU.
    outputs = outputs.cpu()
    predictions = Predictions(
        outputs=outputs.numpy(),
        probabilities=objective.probabilities(outputs).numpy(),
        predicted=objective.predict(outputs).numpy(),
        labels=split.labels.cpu().numpy(),
    )
    return float(loss), predictions
