"""Find losses that are a multiple of another loss: the same training at another rate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lossbench.benchmarks.config import REFERENCE, optimizer_name
from lossbench.benchmarks.records.identities import Identity

from .objective import Objective

TOLERANCE = 1e-5
"""Largest difference of two gradients that counts as rounding, relative to the largest gradient."""


def find_identities(names: Sequence[str], num_classes: int) -> dict[str, Identity]:
    """Return which losses have the gradient of another, times a number above 0.

    The gradients are compared at logits from -8 to 8 for each class, in float32. Two losses without
    a gradient are the same training as well.

    Args:
        names: registered names. Of several losses that are multiples of one another, cross-entropy
            or else the first is the one that the others are compared with.
        num_classes: of the data. For two classes more losses are alike than for ten.

    Returns:
        The identities, by name of the loss.
    """
    found: dict[str, Identity] = {}
    gradients: dict[str, Tensor] = {}
    for name in sorted(names, key=lambda name: name != REFERENCE):
        try:
            own = _gradient(name, num_classes)
        except Exception:  # a user's loss may raise anything; its own run will tell
            continue
        for other, gradient in gradients.items():
            if identity := _compare(own, other, gradient):
                found[name] = identity
                break
        else:
            gradients[name] = own
    return found


def identity_rate(identity: Identity, rate: float, optimizer: str) -> float:
    """Return the learning rate at which a loss trains like the one that it is a multiple of.

    A step of SGD is proportional to the gradient. Other optimizers divide its size out, and have
    the same rate.

    Args:
        identity: of the loss.
        rate: of the other loss.
        optimizer: as in the settings.
    """
    return rate / identity.factor if optimizer_name(optimizer) == "sgd" else rate


def _gradient(name: str, num_classes: int) -> Tensor:
    """Return the gradient of each example's loss at a grid of logits, or at random ones."""
    objective = Objective(name, num_classes, kernels=False)
    if num_classes == 2:
        outputs = torch.linspace(-8, 8, 97).repeat(2)[:, None]
        labels = torch.arange(2).repeat_interleave(97)
    else:
        generator = torch.Generator().manual_seed(0)
        outputs = 3 * torch.randn(max(256, 2 * num_classes), num_classes, generator=generator)
        labels = torch.arange(len(outputs)) % num_classes
    outputs.requires_grad_()
    (gradient,) = torch.autograd.grad(objective(outputs, labels).sum(), outputs)
    return gradient.double()


def _compare(own: Tensor, other: str, gradient: Tensor) -> Identity | None:
    size, square = own.abs().max(), gradient.square().sum()
    if not (size.isfinite() and square.isfinite()):
        return None
    if not size or not square:
        return Identity(other, 1.0, 0.0) if size == gradient.abs().max() else None
    # Rounded, so that 1.99999999 is 2.
    factor = float(f"{float((own * gradient).sum() / square):.6g}")
    difference = float((own - factor * gradient).abs().max() / size)
    return Identity(other, factor, difference) if factor > 0 and difference < TOLERANCE else None
