"""Dtypes, memory layouts and dimensions: what happens before a formula and after it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from losses import functional, registry
from losses.registry import Entry

from .cases import (
    NARROW,
    QUICK,
    assert_near,
    cotangent,
    dtypes,
    each_case,
    examples,
    sample,
    truth,
    value_and_gradient,
)


def half_ulp(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Half the distance of neighbours of `dtype` at x."""
    info = torch.finfo(dtype)
    _, exponent = torch.frexp(x.double())
    at_x = torch.ldexp(torch.full_like(x, info.eps, dtype=torch.float64), exponent - 1)
    return torch.maximum(at_x, torch.tensor(info.smallest_normal * info.eps).double()) / 2


# --- float16 and bfloat16 ------------------------------------------------------------------------


@dtypes(NARROW)
@each_case
@QUICK
@given(data=st.data())
def test_narrow_types_are_computed_wide_and_rounded_once(
    entry: Entry, kind: str, dtype: torch.dtype, data: st.DataObject
) -> None:
    input, target = data.draw(examples(entry, kind, dtype))
    value, gradient = value_and_gradient(entry.build(reduction="none"), input, target)
    expected, expected_gradient = truth(entry, input, target, "none")
    assert value.dtype == gradient.dtype == dtype
    # Stronger than being as good as torch in the narrow dtype: the error is that of one rounding.
    # What is left over is the float32 computation itself, 32 ulp of what is added and taken away.
    room = cotangent(expected).sum() + 1
    for ours, exact in ((value, expected), (gradient, expected_gradient)):
        error = (ours.double() - exact).abs()
        once = half_ulp(exact, dtype) + 32 * 2.0**-23 * (room + exact.abs())
        assert (error <= once).all(), f"{error.tolist()} > {once.tolist()}"


@dtypes(NARROW)
@pytest.mark.parametrize("name", registry.names())
def test_means_of_narrow_types_do_not_overflow_or_stall(name: str, dtype: torch.dtype) -> None:
    # 100,000 losses: their sum is beyond float16, and bfloat16 stops counting at 256.
    entry = registry.entry(name)
    shape = (100_000,) if entry.task == "binary" else (100_000, 2)
    input, target = sample(entry, entry.targets[0], shape, dtype)
    expected, _ = truth(entry, input, target, "mean")
    value = entry.build()(input, target)
    assert value.dtype == dtype
    assert (value.double() - expected).abs() <= half_ulp(expected, dtype) + 1e-5


@pytest.mark.parametrize("wider", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", [n for n in registry.names() if n not in ("bce", "nll")])
def test_mixed_types_are_promoted_and_gradients_keep_their_own(
    name: str, wider: torch.dtype
) -> None:
    entry = registry.entry(name)
    kind = "float" if entry.task == "binary" else "distribution"
    input, target = sample(entry, kind, dtype=torch.float16)
    target = target.to(wider)
    value, gradient = value_and_gradient(entry.build(reduction="none"), input, target)
    assert value.dtype == wider
    assert gradient.dtype == torch.float16
    assert_near(value, truth(entry, input, target, "none")[0], 1e5 if wider.itemsize > 4 else 32)


# --- layouts -------------------------------------------------------------------------------------


@each_case
def test_layout_makes_no_difference(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind, (2, 4, 3, 5))
    loss = entry.build(reduction="none")
    expected = value_and_gradient(loss, input, target)

    def spread(x: Tensor) -> Tensor:
        """x's values with gaps in memory."""
        return torch.stack([x, x], -1)[..., 0]

    def backwards(x: Tensor) -> Tensor:
        """x's values with the dimensions in memory in reverse."""
        order = tuple(reversed(range(x.dim())))
        return x.permute(order).contiguous().permute(order)

    layouts = [
        (spread(input), spread(target)),
        (backwards(input), backwards(target)),
        (input.to(memory_format=torch.channels_last), target),
        (input, backwards(target)),
    ]
    for layout in layouts:
        value, gradient = value_and_gradient(loss, *layout)
        assert_near(value, expected[0])
        assert_near(gradient, expected[1])


@each_case
def test_expanded_inputs_add_up_their_gradients(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind)
    one = input[:1].clone().requires_grad_()
    loss = entry.build(reduction="sum")
    (gradient,) = torch.autograd.grad(loss(one.expand(3, 4), target), one)
    repeated = input[:1].repeat(3, 1).requires_grad_()
    (expected,) = torch.autograd.grad(loss(repeated, target), repeated)
    assert_near(gradient, expected.sum(0, keepdim=True))


@each_case
def test_classes_are_in_dimension_one(entry: Entry, kind: str) -> None:
    if entry.task == "binary":
        shape: tuple[int, ...] = (6,)
    else:
        shape = (2, 4, 3)
    input, target = sample(entry, kind, shape)
    loss = entry.build(reduction="none")
    value = loss(input, target)
    if entry.task == "binary":
        assert_near(loss(input.reshape(2, 3), target.reshape(2, 3)), value.reshape(2, 3))
        assert_near(loss(input[0], target[0]), value[0])
    else:
        flat = target.movedim(1, -1).reshape(6, 4) if kind == "distribution" else target.flatten()
        assert_near(loss(input.movedim(1, -1).reshape(6, 4), flat), value.flatten())
        assert_near(loss(input[0, :, 1], target[0, ..., 1]), value[0, 1])


def test_the_target_and_the_input_can_be_the_same_tensor() -> None:
    x = torch.tensor([0.2, 0.7], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(functional.binary_cross_entropy(x, x, reduction="sum"), x)
    # The derivative of the entropy: ln((1 - x) / x).
    assert_near(gradient, torch.log((1 - x) / x).detach())
