"""The cases of the losses' tables: every loss at several shapes under several conditions.

A case is forward + backward of our loss relative to the plain expression (`plain`), interleaved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from lossbench.losses import kernels, registry
from lossbench.losses.entries import Entry, Target

from .interleaved import Ratio, Work, copy_bandwidth, fastest, time_ratio
from .plain import Plain, in_torch, spellings
from .target import SpeedTarget

Shape = tuple[int, ...]

LARGE: dict[str, Shape] = {
    "binary": (1_000_000,),
    "multiclass": (1024, 1000),
    "multilabel": (1024, 1000),
}
SMALL: dict[str, tuple[Shape, ...]] = {
    "binary": ((64,),),
    "multiclass": ((64, 2), (512, 10)),
    "multilabel": ((64, 2), (512, 10)),
}
IMAGES = (16, 21, 64, 64)
"""Logits of a segmentation."""
BEYOND: dict[str, tuple[Shape, ...]] = {
    "cross-entropy": ((2048, 32000), (8, 21, 256, 256)),
    "bce-with-logits": ((1 << 24,),),
    "focal": ((1 << 24,),),
}
"""Larger shapes at which these are measured as well, in float32."""


@dataclass(frozen=True)
class Condition:
    """Dtype, type of target, layout and backend of a group of cases, and the ratios to reach.

    Attributes:
        name: unique.
        large: upper bound of the ratio of each large case.
        small: upper bound of the ratio of each small case.
        small_plain: the same for losses that torch does not have; None: `small`.
        median: upper bound of the median ratio of the large cases; None: no bound.
        dtype: of the input.
        target_dtype: of targets that are no indices, by default the input's.
        soft: use a distribution over the classes as target instead of a class index.
        channels_last: use (N, C, H, W) inputs whose classes are last in memory.
        how: how our loss is computed; 'compiled' compiles torch's loss as well.
    """

    name: str
    large: float
    small: float
    small_plain: float | None = None
    median: float | None = None
    dtype: torch.dtype = torch.float32
    target_dtype: torch.dtype | None = None
    soft: bool = False
    channels_last: bool = False
    how: Literal["kernels", "closed forms", "compiled"] = "kernels"

    def target_type(self, entry: Entry) -> Target | None:
        """Return the type of target to measure a loss with; None: do not measure it."""
        if self.soft:
            return "distribution" if entry.targets[1:] == ("distribution",) else None
        if self.target_dtype is None:
            return entry.targets[0]
        if entry.takes == "probabilities":
            return None  # torch refuses probabilities and targets of two dtypes, and so do we
        return next((x for x in entry.targets if x not in ("index", "labels")), None)


CONDITIONS = (
    Condition("float32", 0.5, 0.85, 0.6, 0.25),
    Condition("bfloat16", 0.5, 0.85, dtype=torch.bfloat16),
    Condition("float16", 0.5, 0.85, dtype=torch.float16),
    Condition("float64", 0.6, 1.0, dtype=torch.float64),
    Condition("float64 targets", 0.6, 1.0, target_dtype=torch.float64),
    Condition("soft targets", 0.5, 0.85, 0.6, 0.25, soft=True),
    Condition("soft targets, bfloat16", 0.5, 0.85, dtype=torch.bfloat16, soft=True),
    Condition("channels_last", 0.5, 0.85, channels_last=True),
    Condition("no compiler", 3.0, 3.0, median=2.0, how="closed forms"),
    Condition("compiled", 1.1, 1.1, how="compiled"),
)
QUICK = CONDITIONS[:2]
"""Those of `pytest benchmarks` without --full."""

STRICTER = {"cross-entropy": 0.30, "bce-with-logits": 0.20, "focal": 0.20}
"""Bounds of large cases in float32 that are harder than those of the condition.

Cross-entropy that keeps no more memory than torch's reads the logits once more: memory binds it.
"""
NOTES = {"nll": "both sides are a memset: the gradient is 0 but for one number in each row"}
"""What to know of a loss's rows."""

PAIRS = ("multi-margin", "multilabel-margin")
PAIRS_WITHOUT_COMPILER = 10.0
"""Bound of the losses of pairs of classes by their closed forms."""


class Works(NamedTuple):
    """Calls that a row of the table compares.

    Attributes:
        ours: forward and backward of our loss.
        theirs: the same of torch's loss, or of the fastest plain expression.
        bytes: the least number of bytes that such a call reads and writes.
    """

    ours: Work
    theirs: Work
    bytes: int


@dataclass(frozen=True)
class Case:
    """A loss at a shape under a condition."""

    loss: str
    shape: Shape
    condition: Condition

    @property
    def group(self) -> str:
        return f"{self.loss} ({', '.join(map(str, self.shape))})"

    @property
    def id(self) -> str:
        size = "x".join(map(str, self.shape))
        return f"{self.loss}-{size}-{self.condition.name.replace(', ', '-').replace(' ', '-')}"

    @property
    def large(self) -> bool:
        return math.prod(self.shape) >= 100_000

    @property
    def beside(self) -> str:
        return "torch" if in_torch(self.loss) else "plain"

    @property
    def bound(self) -> float:
        condition = self.condition
        if condition.how == "closed forms" and self.loss in PAIRS:
            return PAIRS_WITHOUT_COMPILER
        if self.large:
            stricter = STRICTER if condition.name == "float32" else {}
            return stricter.get(self.loss, condition.large)
        if condition.small_plain is not None and not in_torch(self.loss):
            return condition.small_plain
        return condition.small

    def works(self) -> Works:
        """Return our work, and that of the fastest plain expression."""
        condition = self.condition
        entry = registry.entry(self.loss)
        target_type = condition.target_type(entry)
        assert target_type is not None
        input, target = loss_inputs(entry, self.shape, condition, target_type)
        plain = usable(spellings(self.loss, target_type), input, target)
        theirs = [forward_backward(each, input, target) for each in plain]
        best = theirs.index(fastest(theirs))
        ours: Callable[..., Tensor] = entry.build()
        if condition.how == "compiled":
            torch._dynamo.reset()  # a limit counts the shapes of all that is compiled
            ours, other = torch.compile(ours), torch.compile(plain[best])
            theirs[best] = forward_backward(other, input, target)
        return Works(
            forward_backward(ours, input, target), theirs[best], least_bytes(input, target)
        )

    def measure(self, seconds: float) -> Ratio:
        """Measure our time relative to theirs."""
        ratio = measure_works(self.works(), self.condition, seconds)
        return replace(ratio, note=NOTES.get(self.loss, ""))

    def target(self) -> SpeedTarget:
        """Return the row of `lossbench speed`."""
        median = self.condition.median if self.large else None
        group = self.condition.name
        return SpeedTarget(group, self.group, self.measure, self.bound, median_bound=median)


def measure_works(works: Works, condition: Condition, seconds: float) -> Ratio:
    """Measure the ratio of a case's two works, and the bandwidth of ours."""
    closed = condition.how == "closed forms"
    with kernels.closed_forms_only() if closed else nullcontext():
        ratio = time_ratio(works.ours, works.theirs, seconds, min_pairs=3)
    assert ratio.value is not None
    bandwidth = works.bytes / ratio.value
    share = bandwidth / copy_bandwidth(works.bytes)
    return replace(ratio, bandwidth=bandwidth, share_of_copy=share)


# --- which cases ---------------------------------------------------------------------------------


def cases(conditions: Sequence[Condition] = CONDITIONS) -> Iterator[Case]:
    """Yield the cases of every registered loss that has a plain expression."""
    for name in registry.names():
        entry = registry.entry(name)
        for condition in conditions:
            target_type = condition.target_type(entry)
            if target_type is not None and spellings(name, target_type):
                for shape in shapes(entry, condition):
                    yield Case(name, shape, condition)


def quick_cases() -> Iterator[Case]:
    """Yield one small and one large case of every loss, in float32 and bfloat16."""
    for case in cases(QUICK):
        task = registry.entry(case.loss).task
        if case.shape in (SMALL[task][-1], LARGE[task]):
            yield case


def shapes(entry: Entry, condition: Condition) -> tuple[Shape, ...]:
    """Return the shapes at which a loss is measured under a condition."""
    if condition.channels_last:
        return (IMAGES,) if entry.task == "multiclass" and entry.images else ()
    if condition.how == "compiled" and entry.name == "multilabel-margin":
        return SMALL[entry.task]  # its closed form holds all pairs of classes: 4 GB for each tensor
    beyond = BEYOND.get(entry.name, ()) if condition.name == "float32" else ()
    return (*SMALL[entry.task], LARGE[entry.task], *beyond)


# --- what a case computes ------------------------------------------------------------------------


def loss_inputs(
    entry: Entry, shape: Shape, condition: Condition, target_type: Target, device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Return an input and a target for a loss, the same in every process.

    Args:
        entry: the loss.
        shape: of the input: (N,) for a binary loss, else (N, C) or (N, C, d1, ..., dK).
        condition: gives the dtypes, and the layout of images.
        target_type: one of the loss's `targets`. Distributions lie between 0 and 1, other targets
            are 0 or 1.
        device: of both; the numbers differ from device to device.
    """
    generator = torch.Generator(device).manual_seed(0)
    drawn: Any = {"generator": generator, "device": device}
    rows = (shape[0], *shape[2:], *shape[1:2])
    logits = 3 * torch.randn(rows, **drawn)
    if target_type in ("distribution", "logits"):
        target = torch.randn(rows, **drawn)
        target = target.softmax(-1) if target_type == "distribution" else target
    else:
        classes = 2 if entry.task == "binary" else shape[1]
        examples = rows if entry.task == "binary" else rows[:-1]
        labels = torch.randint(0, classes, examples, **drawn)
        target = entry.target_from_labels(labels, logits, target_type)
    input = entry.input_from_logits(logits)
    if len(shape) > 2:
        layout = torch.channels_last if condition.channels_last else torch.contiguous_format
        input = input.movedim(-1, 1).contiguous(memory_format=layout)
        if target_type in ("distribution", "logits"):
            target = target.movedim(-1, 1).contiguous(memory_format=layout)
    if target.is_floating_point():
        target = target.to(condition.target_dtype or condition.dtype)
    return input.to(condition.dtype), target


def forward_backward(loss: Callable[..., Tensor], input: Tensor, *target: Tensor) -> Work:
    """Return work that computes the loss and its gradient with respect to `input`."""
    input = input.detach().requires_grad_()
    return lambda: torch.autograd.grad(loss(input, *target), input)


def least_bytes(input: Tensor, target: Tensor) -> int:
    """Return the bytes that a forward and a backward pass move.

    Each reads the input and the target, and the backward pass writes the gradient.
    """
    return 3 * input.numel() * input.element_size() + 2 * target.numel() * target.element_size()


def usable(plain: Sequence[Plain], input: Tensor, target: Tensor) -> list[Plain]:
    """Return the spellings that take these dtypes; if none does, all of them after a cast.

    torch has no margin losses of half precision on the CPU, and no binary cross-entropy of two
    dtypes. Users of torch cast the input there.
    """

    def works(each: Plain) -> bool:
        try:
            forward_backward(each, input, target)()
        except (RuntimeError, NotImplementedError):
            return False
        return True

    dtype = torch.promote_types(input.dtype, torch.float32)
    if target.is_floating_point():
        dtype = torch.promote_types(dtype, target.dtype)

    def cast(each: Plain) -> Plain:
        def of_cast(z: Tensor, t: Any) -> Tensor:
            return each(z.to(dtype), t.to(dtype) if t.is_floating_point() else t)

        return of_cast

    return [each for each in plain if works(each)] or [cast(each) for each in plain]
