"""The losses as an experienced user of torch writes them, which ours are timed against.

Where torch or torchvision has the loss, that is its function. Elsewhere it is the textbook formula,
or up to three spellings where there are faster ones, of which the one that is fastest at the
measured shape counts. Class indices are read by `gather`, never made one-hot unless that is the
faster way. All are functions (input, target) of the mean with the default settings of the registry;
classes are in dimension 1.

`torch_losses` has what torch has, `elements` losses of one number per example with targets of 0
and 1, `classes` those of class indices, `distributions` those of rows of probabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from lossbench.losses import registry
from lossbench.losses.entries import Target
from lossbench.losses.textbook import of_examples

from .classes import OF_CLASSES
from .distributions import OF_DISTRIBUTIONS
from .elements import OF_ELEMENTS
from .torch_losses import TORCH_LOSSES

Plain = Callable[[Tensor, Tensor], Tensor]


def in_torch(loss: str) -> bool:
    """Return whether torch or torchvision has the loss."""
    return loss in TORCH_LOSSES


def spellings(loss: str, target: Target) -> tuple[Plain, ...]:
    """Return the plain expressions of a loss for a type of target; none without a formula."""
    if loss in TORCH_LOSSES:
        return (TORCH_LOSSES[loss],)
    tables = {"index": OF_CLASSES, "distribution": OF_DISTRIBUTIONS, "logits": OF_DISTRIBUTIONS}
    return tables.get(target, OF_ELEMENTS).get(loss) or _textbook(loss)


def _textbook(loss: str) -> tuple[Plain, ...]:
    entry = registry.entry(loss)
    if entry.textbook is None:
        return ()
    formula = partial(entry.textbook, **entry.textbook_settings())
    return (partial(of_examples, formula, reduction="mean", classes=entry.task != "binary"),)
