"""Textbook formulas: every loss once, as one writes it with torch's plain operations.

A textbook formula is a function (z, t, settings...) -> Tensor of what the loss takes and of its
target. Its settings have the names of the module's. z and t are of one shape: a number per example,
or rows with the classes last. For a class index t is the one-hot row, for a list of labels how
often each class is listed. It returns a number per example or per element.

It is the truth that the closed forms are tested against, so it is written for the reader and uses
none of them. torch's autograd differentiates it; the catalogue evaluates it with 160 digits.
"""

import inspect
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from . import checks

Formula = Callable[..., Tensor]


def settings_of(formula: Formula) -> tuple[str, ...]:
    """Return the names of a formula's settings."""
    return tuple(inspect.signature(formula).parameters)[2:]


def others(p: Tensor) -> Tensor:
    """Return 1 - p for rows p that add up to 1: the sum of the other numbers of the row.

    At a logit of 1e4 no number of digits would be enough for the subtraction.
    """
    shifted = [p.roll(count, -1) for count in range(1, p.shape[-1])]
    return sum(shifted[1:], shifted[0]) if shifted else 0 * p


def of_examples(
    formula: Formula, input: Tensor, target: Tensor, reduction: str, *, classes: bool
) -> Tensor:
    """Return the loss of any input and target that the loss takes.

    Args:
        formula: a textbook formula without settings.
        reduction: 'mean', 'sum' or 'none'.
        classes: whether the inputs are rows of classes, which are in dimension 1 of (N, C, ...).
    """
    checks.reduction(reduction)
    images = classes and input.dim() > 2
    z, t = input, target
    if images:
        z = z.movedim(1, -1)
        t = t.movedim(1, -1) if t.dim() == z.dim() else t
    if classes:
        t = _rows(z, t)
    loss = formula(z, t)
    if images and loss.dim() == z.dim():
        loss = loss.movedim(-1, 1)
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def _rows(z: Tensor, target: Tensor) -> Tensor:
    """Return class indices and lists of labels as rows of z's shape, and other rows as they are."""
    if target.dim() < z.dim():
        return F.one_hot(target.long(), z.shape[-1]).to(z.dtype)
    if target.is_floating_point():
        return target
    # A list ends at its first -1.
    read = (target == -1).cumsum(-1) == 0
    listed = F.one_hot(target.long().clamp_min(0), z.shape[-1]) * read.unsqueeze(-1)
    return listed.sum(-2).to(z.dtype)
