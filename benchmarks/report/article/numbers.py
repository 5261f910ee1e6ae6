"""The article's three images, and what its losses give for them, by the losses' own functions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lossbench.benchmarks.stats.likelihood import Array, log_sigmoid
from lossbench.losses import registry
from lossbench.losses.kernels import closed_forms_only

THIRD_CLASS_LOGIT = 0.0
"""Logit of a third class, in the example with three classes."""
MAX_STEPS = 10_000


@dataclass(frozen=True)
class Images:
    """Images with the logit of a model for each.

    Attributes:
        names: of the images.
        logits: z; class 1, cat, is predicted where it is above 0.
        targets: t, 1 for a cat and 0 for a dog.
    """

    names: tuple[str, ...]
    logits: tuple[float, ...]
    targets: tuple[int, ...]

    @property
    def z(self) -> Array:
        """The logits, float64 (N,)."""
        return np.array(self.logits)

    @property
    def t(self) -> Array:
        """The targets, float64 (N,)."""
        return np.array(self.targets, dtype=np.float64)

    @property
    def f(self) -> Array:
        """Probability of a cat, (N,)."""
        f: Array = np.exp(log_sigmoid(self.z))
        return f

    @property
    def p(self) -> Array:
        """Probability of the right class, (N,)."""
        p: Array = np.exp(log_sigmoid((2 * self.t - 1) * self.z))
        return p


EXAMPLE = Images(("cat 1", "cat 2", "dog"), (2.0, -4.0, -1.0), (1, 1, 0))
"""A cat that is right, a cat that is confidently taken for a dog, and a dog that is right."""


def evaluate(loss: str, images: Images, *, third_class: bool = False) -> tuple[Array, Array]:
    """Return value and gradient of a loss for each image, (N,) each, in float64.

    Args:
        loss: its name.
        images: the images.
        third_class: give a loss of rows a third logit, THIRD_CLASS_LOGIT.

    Returns:
        The values; and dL/dz, or with a third class the derivative by the right class's logit.
    """
    entry, labels = registry.entry(loss), torch.tensor(images.targets)
    z = torch.tensor(images.logits, dtype=torch.float64, requires_grad=True)
    logits = entry.two_class_logits(z)
    source: Tensor = z
    if third_class:
        third = torch.full((len(z), 1), THIRD_CLASS_LOGIT, dtype=z.dtype)
        source = logits = torch.cat([logits.detach(), third], 1).requires_grad_()
    with closed_forms_only():
        value = entry.per_example_loss(entry.build(reduction="none"), logits, labels)
        (gradient,) = torch.autograd.grad(value.sum(), source)
    if third_class:
        gradient = gradient.gather(1, labels[:, None])[:, 0]
    return value.detach().numpy(), gradient.numpy()


def steps_until_right(loss: str, images: Images, index: int) -> int | None:
    """Count the steps z - dL/dz until the prediction for an image is right.

    The logit itself is what is learnt, at a learning rate of 1. None: not in MAX_STEPS steps.
    """
    target = images.targets[index]
    image = Images(("",), (images.logits[index],), (target,))
    for step in range(MAX_STEPS + 1):
        (z,) = image.logits
        if (z > 0) == (target == 1):
            return step
        _, (slope,) = evaluate(loss, image)
        if slope == 0:
            return None
        image = replace(image, logits=(z - float(slope),))
    return None
