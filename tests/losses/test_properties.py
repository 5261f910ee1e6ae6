"""What every registered loss does: it agrees with its textbook formula in value, gradient and
Hessian, and can be batched and pushed forward. A new loss is tested by being registered.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vmap

from lossbench.losses.registry import Entry

from .cases import (
    QUICK,
    WIDE,
    assert_near,
    cotangent,
    drawn,
    dtypes,
    each_case,
    each_loss,
    each_of_torch,
    each_reduction,
    each_referenced,
    each_smooth_case,
    examples,
    near_kink,
    sample,
    truth,
    value_and_gradient,
)

# float32 is held to 32 ulp of the truth. In float64 the truth is a plain formula with rounding
# errors of its own, up to exp(8) = 3,000 ulp for the range that inputs are drawn from.
ULPS = {torch.float32: 32.0, torch.float64: 1e5}


def scalar(entry: Entry) -> Callable[[Tensor, Tensor], Tensor]:
    loss = entry.build(reduction="none")

    def weighed(input: Tensor, target: Tensor) -> Tensor:
        each = loss(input, target)
        return (cotangent(each) * each).sum()

    return weighed


# --- against the textbook formula -----------------------------------------------------------------


@dtypes(WIDE)
@each_reduction
@each_referenced
@QUICK
@given(data=st.data())
def test_value_and_gradient_are_those_of_the_reference(
    entry: Entry, kind: str, reduction: str, dtype: torch.dtype, data: st.DataObject
) -> None:
    input, target = data.draw(examples(entry, kind, dtype))
    assume(not near_kink(entry, input, target))
    value, gradient = value_and_gradient(entry.build(reduction=reduction), input, target)
    expected, expected_gradient = truth(entry, input, target, reduction)
    room = max(1, input.numel()) if reduction == "sum" else 1
    assert value.dtype == gradient.dtype == dtype
    assert_near(value, expected, ULPS[dtype], room)
    assert_near(gradient, expected_gradient, ULPS[dtype], cotangent(expected).sum().item() + 1)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@each_reduction
@each_of_torch
def test_the_textbook_formula_is_the_loss_of_torch(entry: Entry, kind: str, reduction: str) -> None:
    of_torch = entry.build_of_torch(reduction=reduction)
    for shape in ((3, 4), (3, 4, 2)) if entry.images else ((3, 4),):
        input, target = sample(entry, kind, shape)
        found = value_and_gradient(entry.reference, input, target, reduction)
        expected = value_and_gradient(of_torch, input, target)
        assert_near(found[0], expected[0], 1e4)
        assert_near(found[1], expected[1], 1e4)


@each_smooth_case
def test_derivatives_by_target_are_those_of_the_reference(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind)
    flipped = value_and_gradient(lambda t: entry.build(reduction="none")(input, t), target)
    expected = value_and_gradient(lambda t: entry.reference(input, t, "none"), target)
    assert_near(flipped[1], expected[1], 1e5)


@each_loss
def test_mean_over_nothing_is_nan_and_sum_over_nothing_is_zero(entry: Entry) -> None:
    binary = entry.task == "binary"
    kind = entry.targets[0]
    empty = torch.zeros((0,) if binary else (0, 3), requires_grad=True)
    target = {
        "index": torch.zeros(0, dtype=torch.int64),
        "labels": torch.zeros(0, 3, dtype=torch.int64),
    }.get(kind, torch.zeros_like(empty))
    assert entry.build(reduction="mean")(empty, target).isnan()
    assert entry.build(reduction="sum")(empty, target) == 0
    assert entry.build(reduction="none")(empty, target).shape[0] == 0
    (gradient,) = torch.autograd.grad(entry.build(reduction="sum")(empty, target), empty)
    assert gradient.shape == empty.shape


@each_loss
def test_the_default_reduction_is_the_mean_of_the_unreduced_losses(entry: Entry) -> None:
    input, target = sample(entry, entry.targets[0], (3, 4, 2) if entry.images else (3, 4))
    each = entry.build(reduction="none")(input, target)
    assert_near(entry.build()(input, target), each.mean())
    assert_near(entry.build(reduction="sum")(input, target), each.sum())


def bound(text: str, settings: Any) -> float:
    """An end of a range as the catalogue has it, for a module with these settings."""
    if text in ("∞", "-∞"):
        return float(text.replace("∞", "inf"))
    if text == "1/q":
        return 1 / settings.q
    if text == "1/(1 - t₁)":
        return 1 / (1 - settings.t1)
    return float(Fraction(text))


@each_case
def test_values_are_in_the_range_that_the_catalogue_states(entry: Entry, kind: str) -> None:
    if not entry.range:
        pytest.skip("states none")
    ends = entry.range.partition(";")[0].strip()[1:-1].split(",", 1)
    low, high = (bound(end.strip(), entry.build()) for end in ends)
    generator = torch.Generator().manual_seed(0)
    input, target = drawn(entry, kind, (1000, 4), torch.float64, generator)
    if entry.takes == "logits":
        input = 10 * input
    value = entry.build(reduction="none")(input, target)
    if kind == "probability":
        value = torch.cat([value, entry.build(reduction="none")(input, target.round())])
    assert value.isfinite().all()
    assert value.min() >= low - 1e-12
    assert value.max() <= high * (1 + 1e-12) + 1e-12


@each_loss
def test_the_right_class_costs_less_than_the_wrong_one(entry: Entry) -> None:
    if entry.takes not in ("logits", "log-probabilities") or entry.targets[0] == "labels":
        pytest.skip("stated for logits and a right class")
    sign = torch.tensor([1.0, -1.0]).double()
    z = 4 * sign if entry.task == "binary" else 4 * torch.stack([sign, -sign], 1)
    z = torch.log_softmax(z, -1) if entry.takes == "log-probabilities" else z
    right = {
        "probability": (z > 0).double(),
        "distribution": (z == z.amax(-1, keepdim=True)).double(),
        "logits": z,
        "sign": sign,
        "index": torch.tensor([0, 1]),
    }[entry.targets[0]]
    loss = entry.build()
    assert loss(z, right) < loss(z.flip(0), right)


# --- torch.func ----------------------------------------------------------------------------------


@each_referenced
def test_hessian_is_that_of_the_reference(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind)

    def plain(z: Tensor) -> Tensor:
        assert entry.reference is not None
        each = entry.reference(z, target, "none")
        return (cotangent(each) * each).sum()

    expected = torch.autograd.functional.hessian(plain, input)
    loss = scalar(entry)
    # torch's own second derivative of bce adds 1e-12 to its denominators: hence 1e6 ulp.
    assert_near(hessian(loss)(input, target), expected, 1e6)
    assert_near(jacrev(jacrev(loss))(input, target), expected, 1e6)
    assert_near(torch.autograd.functional.hessian(lambda z: loss(z, target), input), expected, 1e6)


@each_case
def test_forward_mode_is_the_transpose_of_reverse_mode(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind)
    loss = entry.build(reduction="none")
    by_rows = jacrev(loss)(input, target)
    assert_near(jacfwd(loss)(input, target), by_rows)
    assert by_rows.any() or entry.name.endswith("zero-one")
    along = torch.randn(input.shape, dtype=input.dtype, generator=torch.Generator().manual_seed(1))
    value, change = jvp(lambda z: loss(z, target), (input,), (along,))
    assert_near(value, loss(input, target))
    assert_near(change, (by_rows * along).flatten(value.dim()).sum(-1))


@each_smooth_case
def test_jvp_along_input_and_target_together(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind)
    loss, along = entry.build(reduction="none"), sample(entry, kind, seed=1)
    _, change = jvp(loss, (input, target), along)
    _, expected = jvp(lambda z, t: entry.reference(z, t, "none"), (input, target), along)
    assert_near(change, expected, 1e5)


@each_case
def test_vmap_is_a_loop(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind, (3, 4))
    slope = grad(scalar(entry))
    per_example = [slope(z, t) for z, t in zip(input, target, strict=True)]
    assert_near(vmap(slope)(input, target), torch.stack(per_example))
    per_input = torch.stack([slope(z, target[0]) for z in input])
    assert_near(vmap(slope, in_dims=(0, None))(input, target[0]), per_input)
    per_target = torch.stack([slope(input[0], t) for t in target])
    assert_near(vmap(slope, in_dims=(None, 0))(input[0], target), per_target)


@each_loss
def test_per_example_parameter_gradients(entry: Entry) -> None:
    # The usual recipe of torch.func: the gradient of every example through a model.
    binary = entry.task == "binary"
    _, target = sample(entry, entry.targets[0], (5,) if binary else (5, 3))
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1 if binary else 3).double()
    features = torch.randn(5, 2, dtype=torch.float64)

    def of_one(parameters: dict[str, Tensor], x: Tensor, t: Tensor) -> Tensor:
        logits = functional_call(model, parameters, (x,))
        return entry.build()(entry.input_from_logits(logits.squeeze(-1) if binary else logits), t)

    parameters = dict(model.named_parameters())
    batched = vmap(grad(of_one), in_dims=(None, 0, 0))(parameters, features, target)
    for i in range(5):
        alone = torch.autograd.grad(
            of_one(parameters, features[i], target[i]), list(parameters.values())
        )
        for one, row in zip(alone, batched.values(), strict=True):
            assert_near(row[i], one)
