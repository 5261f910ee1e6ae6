"""What the tests share: inputs for every registered loss, and the float64 truth about them.

A case is a registered loss and a kind of target, so a loss is tested by being registered:
'float' for a binary loss, 'index' and 'distribution' for a multiclass one.
"""

from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, settings
from torch import Tensor

from losses import registry
from losses.registry import Entry

ENTRIES = [registry.entry(name) for name in registry.names()]
WIDE = [torch.float32, torch.float64]
NARROW = [torch.float16, torch.bfloat16]
QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def kinds(entry: Entry) -> tuple[str, ...]:
    if entry.task == "binary":
        return ("float",)
    # The log-likelihood of a distribution is what cross-entropy is for: nll takes indices alone.
    return ("index",) if entry.takes == "log-probabilities" else ("index", "distribution")


def parametrized(cases: list[tuple[Entry, str]]) -> Any:
    ids = [f"{entry.name}-{kind}" for entry, kind in cases]
    return pytest.mark.parametrize(("entry", "kind"), cases, ids=ids)


CASES = [(entry, kind) for entry in ENTRIES for kind in kinds(entry)]
each_loss = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
each_case = parametrized(CASES)
# Those whose target can be differentiated by.
each_smooth_case = parametrized([case for case in CASES if case[1] != "index"])
each_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def dtypes(choice: list[torch.dtype]) -> Any:
    return pytest.mark.parametrize("dtype", choice, ids=[str(d).split(".")[1] for d in choice])


# The range of inputs that a kind of output can have, without the ends where a loss has a kink.
# Within 4 of zero the plain float64 formulas lose at most exp(8) = 3,000 ulp.
RANGES = {
    "logits": (-4.0, 4.0),
    "outputs": (-4.0, 4.0),
    "probabilities": (2.0**-7, 1 - 2.0**-7),
    "log-probabilities": (-4.0, 0.0),
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
    sizes = draw(st.lists(st.integers(0, 3), max_size=3))
    if entry.task == "binary":
        shape = tuple(sizes)
    else:
        classes = draw(st.integers(2, 5))
        shape = (sizes[0], classes, *sizes[1:]) if sizes else (classes,)
    input = draw(tensors(shape, *RANGES[entry.takes], dtype))
    if kind != "index":
        hard = draw(st.booleans())
        target = draw(tensors(shape, 0.0, 1.0, dtype))
        return input, target.round() if hard else target
    wanted = torch.Size([*sizes[:1], *sizes[1:]])
    count = wanted.numel()
    index = draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))
    return input, torch.tensor(index, dtype=torch.int64).reshape(wanted)


def sample(
    entry: Entry,
    kind: str,
    shape: tuple[int, ...] = (3, 4),
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """An example drawn by seed. `shape` is that of the input, classes in dimension 1."""
    generator = torch.Generator().manual_seed(seed)

    def uniform() -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    low, high = RANGES[entry.takes]
    middle, half = (low + high) / 2, (high - low) / 2
    # Between 5 % and 95 % of the range, never closer to its middle than 2 % of it: zero-one jumps.
    side = torch.where(uniform() < 0.5, -1.0, 1.0)
    input = middle + half * side * (0.02 + 0.88 * uniform())
    if kind == "float":
        target = 0.05 + 0.9 * uniform()
    elif kind == "distribution":
        target = torch.softmax(2 * uniform(), min(1, len(shape) - 1))
    else:
        classes = shape[min(1, len(shape) - 1)]
        wanted = (*shape[:1], *shape[2:]) if len(shape) > 1 else ()
        return input.to(dtype), torch.randint(classes, wanted, generator=generator)
    return input.to(dtype), target.to(dtype)


def cotangent(like: Tensor) -> Tensor:
    """Weights that differ from element to element, so that no two rows can be exchanged."""
    return (1 + torch.arange(like.numel(), dtype=like.dtype)).reshape(like.shape) / 4


def value_and_gradient(loss: Any, input: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    leaf = input.detach().requires_grad_()
    value = loss(leaf, *rest)
    (gradient,) = torch.autograd.grad(value, leaf, cotangent(value))
    return value.detach(), gradient


def truth(entry: Entry, input: Tensor, target: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    """Value and gradient of the loss's plain torch version, in float64."""
    if target.is_floating_point():
        target = target.double()
    return value_and_gradient(entry.reference, input.double(), target, reduction)


def assert_near(actual: Tensor, expected: Tensor, ulps: float = 32, room: float = 1.0) -> None:
    """|actual - expected| within `ulps` of (room + |expected|), the ulp being that of `actual`.

    `room` is the size of the terms that were added up to give it. NaN and inf must be the same.
    """
    assert actual.shape == expected.shape
    allowed = ulps * torch.finfo(actual.dtype).eps * (room + expected.abs().double())
    same = (actual.double() == expected) | (actual.isnan() & expected.isnan())
    bad = ~(same | ((actual.double() - expected).abs() <= allowed))
    assert not bad.any(), f"{actual[bad].tolist()} instead of {expected[bad].tolist()}"
