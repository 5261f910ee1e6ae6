"""Dtypes, memory layouts and dimensions: what happens before a formula and after it."""

import inspect

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from lossbench.losses import functional
from lossbench.losses.registry import Entry

from .cases import (
    NARROW,
    QUICK,
    assert_near,
    cotangent,
    drawn,
    dtypes,
    each_built_in_case,
    each_case,
    each_loss,
    each_referenced,
    each_smooth_case,
    examples,
    near_kink,
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
@each_referenced
@QUICK
@given(data=st.data())
def test_narrow_types_are_computed_wide_and_rounded_once(
    entry: Entry, kind: str, dtype: torch.dtype, data: st.DataObject
) -> None:
    input, target = data.draw(examples(entry, kind, dtype))
    assume(not near_kink(entry, input, target))
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
@each_referenced
def test_means_of_narrow_types_do_not_overflow_or_stall(
    entry: Entry, kind: str, dtype: torch.dtype
) -> None:
    # 100,000 losses: their sum is beyond float16, and bfloat16 stops counting at 256.
    shape = (100_000,) if entry.task == "binary" else (100_000, 2)
    input, target = drawn(entry, kind, shape, dtype, torch.Generator().manual_seed(0))
    expected, _ = truth(entry, input, target, "mean")
    value = entry.build()(input, target)
    assert value.dtype == dtype
    assert (value.double() - expected).abs() <= half_ulp(expected, dtype) + 1e-5


@pytest.mark.parametrize("wider", [torch.float32, torch.float64], ids=["float32", "float64"])
@each_smooth_case
def test_mixed_types_are_promoted_and_gradients_keep_their_own(
    entry: Entry, kind: str, wider: torch.dtype
) -> None:
    if entry.name == "bce":
        pytest.skip("as torch's, it wants one dtype")
    input, target = sample(entry, kind, dtype=torch.float16)
    target = target.to(wider)
    value, gradient = value_and_gradient(entry.build(reduction="none"), input, target)
    assert value.dtype == wider
    assert gradient.dtype == torch.float16
    assert_near(value, truth(entry, input, target, "none")[0], 1e5 if wider.itemsize > 4 else 32)


@dtypes(NARROW)
@each_built_in_case
def test_under_autocast_a_loss_is_float32(entry: Entry, kind: str, dtype: torch.dtype) -> None:
    input, target = sample(entry, kind, dtype=dtype)
    input.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = entry.build()(input, target)
    assert loss.dtype == torch.float32
    # The first scale of torch.amp.GradScaler overflows float16.
    (gradient,) = torch.autograd.grad(4096 * loss, input)
    assert gradient.dtype == dtype
    assert gradient.isfinite().all()
    assert entry.build()(input, target).dtype == dtype


# --- ignored rows --------------------------------------------------------------------------------


@each_loss
def test_ignored_rows_are_as_if_they_were_not_there(entry: Entry) -> None:
    if "ignore_index" not in inspect.signature(entry.module).parameters:
        pytest.skip("ignores nothing")
    input, target = sample(entry, "index", (5, 4))
    ignored = target.clone()
    ignored[[1, 3]] = 7
    weight = torch.tensor([0.5, 2.0, 1.0, 1.5], dtype=input.dtype)
    for reduction in ("mean", "sum"):
        loss = entry.build(ignore_index=7, weight=weight, reduction=reduction)
        value, gradient = value_and_gradient(loss, input, ignored)
        rest = [0, 2, 4]
        expected, expected_gradient = value_and_gradient(loss, input[rest], target[rest])
        assert_near(value, expected)
        assert_near(gradient[rest], expected_gradient)
        assert not gradient[[1, 3]].any()
    none = torch.full_like(target, 7)
    assert entry.build(ignore_index=7)(input, none).isnan()
    assert entry.build(ignore_index=7, reduction="sum")(input, none) == 0


@each_loss
@pytest.mark.parametrize("hole", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_nothing_in_an_ignored_row_reaches_a_derivative(entry: Entry, hole: float) -> None:
    if "ignore_index" not in inspect.signature(entry.module).parameters:
        pytest.skip("ignores nothing")
    input, target = sample(entry, "index", (3, 4))
    target[1] = -100
    input[1] = hole
    weight = torch.ones(4, dtype=input.dtype).requires_grad_()
    leaf = input.requires_grad_()
    value = entry.build(weight=weight)(leaf, target)
    by_input, by_weight = torch.autograd.grad(value, (leaf, weight), allow_unused=True)
    assert value.isfinite()
    assert by_input.isfinite().all()
    assert not by_input[1].any()
    assert by_weight is None or by_weight.isfinite().all()


@each_built_in_case
def test_class_weights_stay_wide_under_autocast(entry: Entry, kind: str) -> None:
    if "weight" not in inspect.signature(entry.module).parameters:
        pytest.skip("has no weights")
    input, target = sample(entry, kind, dtype=torch.bfloat16)
    weight = torch.tensor([0.5, 2.0, 1.0, 1.5])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = entry.build(weight=weight)(input, target)
    wide_target = target.float() if target.is_floating_point() else target
    expected = entry.build(weight=weight)(input.float(), wide_target)
    assert value.dtype == torch.float32
    assert_near(value, expected.double())


# --- layouts -------------------------------------------------------------------------------------


@each_case
def test_layout_makes_no_difference(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind, (2, 4, 3, 5) if entry.images else (6, 4))
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
        (input, backwards(target)),
    ]
    if entry.images:
        layouts.append((input.to(memory_format=torch.channels_last), target))
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
    if entry.task == "binary" or not entry.images:
        shape: tuple[int, ...] = (6,) if entry.task == "binary" else (6, 4)
    else:
        shape = (2, 4, 3)
    input, target = sample(entry, kind, shape)
    loss = entry.build(reduction="none")
    value = loss(input, target)
    if not entry.images:
        assert_near(loss(input[0], target[0]), value[0])
    elif value.shape == input.shape and entry.task != "binary":
        assert_near(loss(input.movedim(1, -1), target.movedim(1, -1)), value.movedim(1, -1))
    elif entry.task == "binary":
        assert_near(loss(input.reshape(2, 3), target.reshape(2, 3)), value.reshape(2, 3))
        assert_near(loss(input[0], target[0]), value[0])
    else:
        flat = target.flatten() if kind == "index" else target.movedim(1, -1).reshape(6, 4)
        assert_near(loss(input.movedim(1, -1).reshape(6, 4), flat), value.flatten())
        assert_near(loss(input[0, :, 1], target[0, ..., 1]), value[0, 1])


def test_the_target_and_the_input_can_be_the_same_tensor() -> None:
    x = torch.tensor([0.2, 0.7], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(functional.binary_cross_entropy(x, x, reduction="sum"), x)
    # The derivative of the entropy: ln((1 - x) / x).
    assert_near(gradient, torch.log((1 - x) / x).detach())


INTEGERS = [torch.int8, torch.int16, torch.int32, torch.uint8, torch.uint16, torch.uint32]


@dtypes(INTEGERS)
@each_loss
def test_indices_of_every_integer_type(entry: Entry, dtype: torch.dtype) -> None:
    kind = "labels" if "labels" in entry.targets else "index"
    if kind not in entry.targets or (kind == "labels" and not dtype.is_signed):
        pytest.skip("takes no indices of that kind")
    input, target = sample(entry, kind)
    loss = entry.build(reduction="none")
    # Torch's operations compute some of these types in other programs.
    torch.testing.assert_close(loss(input, target.to(dtype)), loss(input, target))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8], ids=str)
def test_a_narrow_index_beside_many_classes(dtype: torch.dtype) -> None:
    # 300 does not fit into 8 bits: compared as they are, every index would be out of range.
    z, y = torch.randn(2, 300), torch.tensor([0, 100])
    assert functional.cross_entropy(z, y.to(dtype)) == functional.cross_entropy(z, y)
    assert functional.multi_margin_loss(z, y.to(dtype)) == functional.multi_margin_loss(z, y)
    with pytest.raises(IndexError, match=r"Target -1 .* position"):
        functional.cross_entropy(z, torch.tensor([0, -1], dtype=torch.int8), ignore_index=255)


@each_loss
def test_bool_targets_are_zeros_and_ones(entry: Entry) -> None:
    if entry.task == "multiclass" or entry.targets[0] != "probability":
        pytest.skip("bool means nothing to it")
    input, target = sample(entry, "probability")
    hard = target.round()
    if entry.name in ("bce", "mse", "l1"):
        # As torch: bce wants one dtype, the distances promote.
        pytest.skip("follows torch")
    loss = entry.build(reduction="none")
    assert torch.equal(loss(input, hard.bool()), loss(input, hard))
