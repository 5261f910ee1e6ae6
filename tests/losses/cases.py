"""What the tests share: inputs for every registered loss, and the float64 truth about them.

A case is a registered loss and a kind of target that it takes, so a loss is tested by being
registered. Kinds are those of `Entry.targets`.
"""

import math
import os
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, settings
from torch import Tensor

from lossbench.benchmarks.curves import exact
from lossbench.losses import registry
from lossbench.losses.registry import Entry

BUILT_IN = [registry.entry(name) for name in registry.names()]
ENTRIES = [*BUILT_IN, *(registry.entry(name) for name in registry.installed())]
WIDE = [torch.float32, torch.float64]
NARROW = [torch.bfloat16, torch.float16]
QUICK = settings(
    max_examples=int(os.environ.get("LOSSES_EXAMPLES", "5")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def parametrized(cases: list[tuple[Entry, str]]) -> Any:
    ids = [f"{entry.name}-{kind}" for entry, kind in cases]
    return pytest.mark.parametrize(("entry", "kind"), cases, ids=ids)


CASES = [(entry, kind) for entry in ENTRIES for kind in entry.targets]
REFERENCED = [(entry, kind) for entry, kind in CASES if entry.textbook is not None]
OF_TORCH = [case for case in REFERENCED if case[0].build_of_torch() is not None]
each_loss = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
# Without those of other packages.
each_built_in = pytest.mark.parametrize("entry", BUILT_IN, ids=lambda entry: entry.name)
each_built_in_case = parametrized([case for case in CASES if case[0] in BUILT_IN])
each_case = parametrized(CASES)
# Those with a textbook formula, and of these the ones that torch has too.
each_referenced = parametrized(REFERENCED)
each_of_torch = parametrized(OF_TORCH)
# Those whose target can be differentiated by.
each_smooth_case = parametrized(
    [case for case in REFERENCED if case[1] in ("probability", "distribution", "logits")]
)
each_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def dtypes(choice: list[torch.dtype]) -> Any:
    """Parametrize a test by dtypes; all but the first are slow."""
    cases = [
        pytest.param(dtype, id=str(dtype)[6:], marks=pytest.mark.slow if at else ())
        for at, dtype in enumerate(choice)
    ]
    return pytest.mark.parametrize("dtype", cases)


# The range of inputs that a kind of output can have, without the ends where a loss has a kink.
# Within 4 of zero the plain float64 formulas lose at most exp(8) = 3,000 ulp.
RANGES = {
    "logits": (-4.0, 4.0),
    "outputs": (-4.0, 4.0),
    "probabilities": (2.0**-7, 1 - 2.0**-7),
    "log-probabilities": (-4.0, 0.0),
    "distances": (0.0, 4.0),
}


@st.composite
def tensors(
    draw: st.DrawFn, shape: tuple[int, ...], low: float, high: float, dtype: torch.dtype
) -> Tensor:
    size = int(torch.Size(shape).numel())
    number = st.floats(low, high, width=32, allow_subnormal=False)
    values = draw(st.lists(number, min_size=size, max_size=size))
    return torch.tensor(values, dtype=dtype).reshape(shape)


@st.composite
def examples(draw: st.DrawFn, entry: Entry, kind: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """An input and a target of any shape the loss takes: 0-d and empty ones too."""
    sizes = draw(st.lists(st.integers(0, 3), max_size=3 if entry.images else 1))
    if entry.task == "binary":
        shape = tuple(sizes)
    else:
        classes = draw(st.integers(2, 5))
        shape = (sizes[0], classes, *sizes[1:]) if sizes else (classes,)
    input = draw(tensors(shape, *RANGES[entry.takes], dtype))
    if kind == "labels":
        seed = draw(st.integers(0, 1000))
        return input, labels(shape, torch.Generator().manual_seed(seed))
    if kind == "index":
        wanted = torch.Size([*sizes[:1], *sizes[1:]])
        count = wanted.numel()
        index = draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))
        return input, torch.tensor(index, dtype=torch.int64).reshape(wanted)
    target = draw(tensors(shape, 0.0, 1.0, dtype))
    if kind == "sign":
        return input, 2 * target.round() - 1
    if draw(st.booleans()):
        return input, target.round()
    return input, torch.softmax(
        4 * target, min(1, len(shape) - 1)
    ) if kind == "distribution" else target


def labels(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Rows that list some of their classes in any order, filled up with -1."""
    order = torch.rand(shape, generator=generator).argsort(-1)
    count = torch.randint(0, shape[-1] + 1, (*shape[:-1], 1), generator=generator)
    return torch.where(torch.arange(shape[-1]) < count, order, -1)


def sample(
    entry: Entry,
    kind: str,
    shape: tuple[int, ...] = (3, 4),
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """An example drawn by seed, away from kinks. `shape` is the input's, classes in dimension 1."""
    for at in range(seed, seed + 100_000, 1000):
        input, target = drawn(entry, kind, shape, dtype, torch.Generator().manual_seed(at))
        if not near_kink(entry, input, target):
            return input, target
    raise AssertionError(f"{entry.name} has kinks everywhere")


def drawn(
    entry: Entry,
    kind: str,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    def uniform() -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    low, high = RANGES[entry.takes]
    # Between 5 % and 95 % of the range.
    input = (low + (high - low) * (0.05 + 0.9 * uniform())).to(dtype)
    classes = min(1, len(shape) - 1)
    if kind == "probability":
        return input, (0.05 + 0.9 * uniform()).to(dtype)
    if kind == "distribution":
        return input, torch.softmax(2 * uniform(), classes).to(dtype)
    if kind == "logits":
        return input, (4 * uniform() - 2).to(dtype)
    if kind == "sign":
        return input, (2 * uniform().round() - 1).to(dtype)
    if kind == "labels":
        return input, labels(shape, generator)
    wanted = (*shape[:1], *shape[2:]) if len(shape) > 1 else ()
    return input, torch.randint(shape[classes], wanted, generator=generator)


def near_kink(
    entry: Entry, input: Tensor, target: Tensor, reach: float = 1e-3, loss: Any = None
) -> bool:
    """Whether the value or the gradient jumps or bends within about `reach` of the input, of the
    entry's loss or of another `loss`."""
    loss = loss or entry.reference
    loss = loss or (lambda z, t, reduction: entry.build(reduction=reduction)(z, t))
    wide = input.double()
    target = target.double() if target.is_floating_point() else target

    def both(z: Tensor) -> Tensor:
        value, gradient = value_and_gradient(lambda x: loss(x, target, reduction="none"), z)
        return torch.cat([value.flatten(), gradient.flatten()])

    # Elements move by different amounts, so that the differences of a row change too.
    amount = (reach * (1 + torch.arange(wide.numel()) % 7 / 7)).reshape(wide.shape)
    path = torch.stack([both(wide + at / 4 * amount) for at in range(-4, 5)])
    # What is smooth changes about as much at every step, what jumps all at once.
    steps = path.diff(dim=0).abs()
    usual = 4 * steps.median(0).values + 1e-6 * (1 + path[4].abs())
    return bool((steps.amax(0) > usual).any())


def normal(*shape: int, spread: float = 2.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(shape, dtype=torch.float64, generator=generator)


def cotangent(like: Tensor) -> Tensor:
    """Weights that differ from element to element, so that no two rows can be exchanged."""
    return (1 + torch.arange(like.numel(), dtype=like.dtype)).reshape(like.shape) / 4


def value_and_gradient(loss: Any, input: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    leaf = input.detach().requires_grad_()
    value = loss(leaf, *rest)
    (gradient,) = torch.autograd.grad(value, leaf, cotangent(value))
    return value.detach(), gradient


def kept_bytes(loss: Any, *inputs: Tensor) -> int:
    """Bytes of the tensors that a loss saves for its backward pass, each storage once."""
    kept: dict[int, Tensor] = {}

    def pack(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        value = loss(*inputs)
    del value
    return sum(x.untyped_storage().nbytes() for x in kept.values())


def truth(entry: Entry, input: Tensor, target: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    """Value and gradient of the loss's textbook formula, in float64."""
    if target.is_floating_point():
        target = target.double()
    assert entry.reference is not None
    return value_and_gradient(entry.reference, input.double(), target, reduction)


def exactly(name: str, input: Tensor, target: Tensor, **settings: Any) -> tuple[Tensor, Tensor]:
    """Values (N,) and gradients of the input's shape, by arithmetic of many digits.

    Inputs are (N,) or rows (N, C), targets of the same shape or class indices.
    """
    digits = 400 if input.dtype == torch.float64 else 160
    rows = target if target.shape == input.shape else F.one_hot(target, input.shape[-1])
    examples = zip(*(x.reshape(len(x), -1).tolist() for x in (input, rows)), strict=True)
    found = [exact.truth(name, z, t, digits, **settings) for z, t in examples]
    value = torch.tensor([float(each.value) for each in found], dtype=torch.float64)
    slopes = [[math.nan if g is None else float(g) for g in each.gradient] for each in found]
    return value, torch.tensor(slopes, dtype=torch.float64).reshape(input.shape)


def assert_near(actual: Tensor, expected: Tensor, ulps: float = 32, room: float = 1.0) -> None:
    """|actual - expected| within `ulps` of (room + |expected|), the ulp being that of `actual`.

    `room` is the size of the terms that were added up to give it. NaN and inf must be the same.
    """
    assert actual.shape == expected.shape
    allowed = ulps * torch.finfo(actual.dtype).eps * (room + expected.abs().double())
    same = (actual.double() == expected) | (actual.isnan() & expected.isnan())
    bad = ~(same | ((actual.double() - expected).abs() <= allowed))
    assert not bad.any(), f"{actual[bad].tolist()} instead of {expected[bad].tolist()}"
