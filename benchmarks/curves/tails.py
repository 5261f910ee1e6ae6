"""Accuracy of a loss in float32: its largest relative error against `exact.py`.

The inputs reach where the textbook formula has no correct digit left: numbers with standard
deviations 1, 8 and 50, and edges, which are infinities, +-1e4, zeros and denormals. At an infinity
the limit is expected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.losses.registry import Entry

from .exact import sensitivity, truth

EDGES = "edges"
GROUPS: tuple[float | str, ...] = (1.0, 8.0, 50.0, EDGES)
TINY = torch.finfo(torch.float32).tiny
# An error above this may come from a zero crossing, which is checked.
DOUBTFUL = 1e-6
# Finite, and small or large enough to lose all digits in a careless formula.
_FINITE = (1e4, 89.0, 1.0, 1e-30, 1e-40, 1e-45, 0.0)


class RelativeErrors(NamedTuple):
    """Largest relative errors of value and gradient; NaN where one of them was NaN."""

    value: float
    gradient: float


class Batch(NamedTuple):
    """Examples of a loss with their exact results.

    Attributes:
        input: float32, what the loss takes.
        rows: the targets as in `exact.truth`.
        targets: the same in every form that the loss takes.
        value: exact values (N, 1), float64.
        gradient: exact gradients (N, C), float64; NaN where there is none.
    """

    input: Tensor
    rows: Tensor
    targets: list[Tensor]
    value: Tensor
    gradient: Tensor


def measure(entry: Entry, loss: Callable[[Tensor, Tensor], Tensor], batch: Batch) -> RelativeErrors:
    """Return the largest errors over all examples and forms of the target."""
    return worst([_measure(entry, loss, batch, target) for target in batch.targets])


def worst(errors: list[RelativeErrors]) -> RelativeErrors:
    """Return the largest errors of several measurements."""
    return RelativeErrors(*(_largest(column) for column in zip(*errors, strict=True)))


def _largest(numbers: tuple[float, ...]) -> float:
    return math.nan if any(map(math.isnan, numbers)) else max(numbers)


def _measure(
    entry: Entry, loss: Callable[[Tensor, Tensor], Tensor], batch: Batch, target: Tensor
) -> RelativeErrors:
    leaf = batch.input.clone().requires_grad_()
    value = loss(leaf, target)
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    count = len(batch.input)
    # One number per example; kl_div returns one per class.
    value = value.detach().reshape(count, -1).double().sum(-1, keepdim=True)
    gradient = gradient.reshape(count, -1).double()
    size = batch.value.abs()
    steepness = batch.gradient.nan_to_num(0.0, math.inf, -math.inf).abs().amax(-1, keepdim=True)
    return RelativeErrors(
        _confirmed(entry, batch, value, batch.value, size, 0),
        _confirmed(entry, batch, gradient, batch.gradient, steepness, 1),
    )


def _confirmed(
    entry: Entry, batch: Batch, actual: Tensor, expected: Tensor, size: Tensor, order: int
) -> float:
    """Return the largest error relative to `size`, corrected at zero crossings.

    The size of the example with the largest error is replaced by its exact sensitivity, of the
    value (order 0) or of the gradient (order 1), if that is larger. This is repeated until the
    largest error is one that was replaced before.
    """
    size, checked = size.clone(), set()
    while True:
        errors = _errors(actual, expected, size).amax(-1)
        at = int(errors.argmax())  # the index of a NaN, if there is one
        x = batch.input[at].reshape(-1)
        if at in checked or not errors[at] > DOUBTFUL or not x.isfinite().all():
            return float(errors[at])
        checked.add(at)
        if size[at] >= TINY:
            terms = sensitivity(entry.name, tuple(x.tolist()), tuple(batch.rows[at].tolist()))
            size[at] = max(float(terms[order]), float(size[at]))


def _errors(actual: Tensor, expected: Tensor, size: Tensor) -> Tensor:
    """Return errors relative to `size`; where `expected` is NaN, at a kink, only NaN is one."""
    size = size.expand_as(expected)
    difference = (actual - expected).abs()
    # Denormal numbers have few digits, and a result may be flushed to zero.
    lost = (expected.abs() < TINY) & (difference < TINY)
    error = torch.where(lost, 0.0, difference / size.clamp_min(TINY))
    # An infinity has to be exact. Beside one, finite entries have no size to be compared with.
    missed = torch.where(expected.isinf() & (actual != expected), torch.inf, 0.0)
    error = torch.where(size.isinf() & ~actual.isnan(), missed, error)
    return torch.where(expected.isnan() & ~actual.isnan(), 0.0, error)


# --- inputs ---------------------------------------------------------------------------------------


def batches(entry: Entry, group: float | str, count: int, seed: int = 0) -> Iterator[Batch]:
    """Yield the examples of a group.

    Args:
        entry: the loss.
        group: a standard deviation of logits, or `EDGES`.
        count: examples per number of classes, if they are drawn.
        seed: of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    if isinstance(group, str):
        yield from _edges(entry)
        return
    if entry.task == "binary":
        z = group * torch.randn(count, generator=generator)
        hard = torch.randint(2, (count,), generator=generator).float()
        yield _batch(entry, z, hard)
        if "probability" in entry.targets:
            soft = torch.tensor([0.25, 0.75, 0.5, 0.9])[torch.arange(len(z[::10])) % 4]
            yield _batch(entry, z[::10], soft)
        return
    for classes in (2, 3, 10):
        z = group * torch.randn(count, classes, generator=generator)
        if entry.task == "multilabel":
            yield _batch(entry, z, torch.randint(2, z.shape, generator=generator).float())
            continue
        y = torch.randint(classes, (count,), generator=generator)
        y[::2] = z.argmax(-1)[::2]
        yield _batch(entry, z, F.one_hot(y, classes).float())
        if "distribution" in entry.targets and classes == 3:
            noise = torch.randn(z[::5].shape, generator=generator)
            yield _batch(entry, z[::5], torch.softmax(noise, -1))


def _edges(entry: Entry) -> Iterator[Batch]:
    ends = [sign * size for size in (math.inf, *_FINITE) for sign in (1, -1)]
    if entry.task == "binary":
        z = torch.tensor(ends).repeat_interleave(2)
        hard = torch.tensor([0.0, 1.0]).repeat(len(ends))
        yield _batch(entry, z, hard)
        return
    for others in ([0.5], [0.5, -1.0]):
        classes = 1 + len(others)
        rows = torch.tensor([[end, *others] for end in ends])
        for y in range(classes):
            hard = F.one_hot(torch.full((len(ends),), y), classes).float()
            yield _batch(entry, rows, hard)


def _float32_input(entry: Entry, z: Tensor) -> Tensor:
    """Return what the loss takes for logits z, rounded to float32 once."""
    if entry.takes == "distances":
        return z.abs()
    if entry.takes != "log-probabilities":
        return entry.input_from_logits(z.double()).float()
    x = entry.input_from_logits(z.double().clamp(-1e30, 1e30))
    return torch.where(x < -1e29, -torch.inf, x).float()


def _batch(entry: Entry, z: Tensor, target: Tensor) -> Batch:
    """Return examples with their exact results.

    Args:
        entry: the loss.
        z: logits (N,) or (N, C).
        target: in [0, 1], of the same shape.
    """
    input, labels = _float32_input(entry, z), target
    if "sign" in entry.targets:
        labels = 2 * target - 1
    elif "logits" in entry.targets:
        labels = target.log()
    rows = labels.reshape(len(labels), -1)
    examples = zip(input.reshape(len(input), -1).tolist(), rows.tolist(), strict=True)
    truths = [truth(entry.name, x, t) for x, t in examples]
    value = torch.tensor([[float(each.value)] for each in truths], dtype=torch.float64)
    slopes = [[math.nan if g is None else float(g) for g in each.gradient] for each in truths]
    hard = entry.task != "binary" and bool(((target == 0) | (target == 1)).all())
    targets = [_as_target(each, target) for each in entry.targets] if hard else [labels]
    return Batch(input, rows, targets, value, torch.tensor(slopes, dtype=torch.float64))


def _as_target(target_type: str, rows: Tensor) -> Tensor:
    """Return rows of zeros and ones as a target of a type."""
    if target_type == "index":
        return rows.argmax(-1)
    if target_type == "logits":
        return rows.log()
    if target_type == "labels":
        order = rows.argsort(dim=-1, descending=True, stable=True)
        return torch.where(rows.gather(-1, order) > 0, order, -1)
    return rows
