"""What every registered loss does: it agrees with its plain torch version in value, gradient and
Hessian, and can be batched, pushed forward and compiled. A new loss is tested by being registered.
"""

import os
import shutil
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vmap

from losses.registry import Entry

from .cases import (
    QUICK,
    RANGES,
    WIDE,
    assert_near,
    cotangent,
    dtypes,
    each_case,
    each_loss,
    each_reduction,
    each_smooth_case,
    examples,
    sample,
    truth,
    value_and_gradient,
)

# float32 is held to 32 ulp of the truth. In float64 the truth is a plain formula with rounding
# errors of its own, up to exp(8) = 3,000 ulp for the range that inputs are drawn from.
ULPS = {torch.float32: 32.0, torch.float64: 1e5}
COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")


def scalar(entry: Entry) -> Callable[[Tensor, Tensor], Tensor]:
    loss = entry.build(reduction="none")

    def weighed(input: Tensor, target: Tensor) -> Tensor:
        each = loss(input, target)
        return (cotangent(each) * each).sum()

    return weighed


# --- against plain torch -------------------------------------------------------------------------


@dtypes(WIDE)
@each_reduction
@each_case
@QUICK
@given(data=st.data())
def test_value_and_gradient_are_those_of_the_reference(
    entry: Entry, kind: str, reduction: str, dtype: torch.dtype, data: st.DataObject
) -> None:
    input, target = data.draw(examples(entry, kind, dtype))
    value, gradient = value_and_gradient(entry.build(reduction=reduction), input, target)
    expected, expected_gradient = truth(entry, input, target, reduction)
    room = max(1, input.numel()) if reduction == "sum" else 1
    assert value.dtype == gradient.dtype == dtype
    assert_near(value, expected, ULPS[dtype], room)
    assert_near(gradient, expected_gradient, ULPS[dtype], cotangent(expected).sum().item() + 1)


@each_smooth_case
def test_derivatives_by_target_are_those_of_the_reference(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind)
    flipped = value_and_gradient(lambda t: entry.build(reduction="none")(input, t), target)
    expected = value_and_gradient(lambda t: entry.reference(input, t, "none"), target)
    assert_near(flipped[1], expected[1], 1e5)


@each_loss
def test_mean_over_nothing_is_nan_and_sum_over_nothing_is_zero(entry: Entry) -> None:
    empty = torch.zeros((0,) if entry.task == "binary" else (0, 3), requires_grad=True)
    target = torch.zeros(0) if entry.task == "binary" else torch.zeros(0, dtype=torch.int64)
    assert entry.build(reduction="mean")(empty, target).isnan()
    assert entry.build(reduction="sum")(empty, target) == 0
    assert entry.build(reduction="none")(empty, target).shape == (0,)


@each_loss
def test_the_default_reduction_is_the_mean_of_the_unreduced_losses(entry: Entry) -> None:
    for kind in ("float",) if entry.task == "binary" else ("index",):
        input, target = sample(entry, kind, (3, 4, 2))
        each = entry.build(reduction="none")(input, target)
        assert_near(entry.build()(input, target), each.mean())
        assert_near(entry.build(reduction="sum")(input, target), each.sum())


@each_loss
def test_a_perfect_prediction_is_the_minimum(entry: Entry) -> None:
    low, _ = RANGES[entry.takes]
    if entry.task == "binary":
        input, target = sample(entry, "float", (40,))
        target = target.round()
        sure = 60 * (2 * target - 1)
        perfect = sure if entry.takes == "logits" else target
    else:
        input, target = sample(entry, "index", (40, 3))
        right = torch.nn.functional.one_hot(target, 3).double()
        perfect = 60 * right if entry.takes == "logits" else low * 10 * (1 - right)
    loss = entry.build(reduction="none")
    best = loss(perfect, target)
    assert_near(best, torch.zeros_like(best))
    assert (best <= loss(input, target)).all()


# --- torch.func ----------------------------------------------------------------------------------


@each_case
def test_hessian_is_that_of_the_reference(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind)

    def plain(z: Tensor) -> Tensor:
        each = entry.reference(z, target, "none")
        return (cotangent(each) * each).sum()

    expected = torch.autograd.functional.hessian(plain, input)
    loss = scalar(entry)
    assert_near(hessian(loss)(input, target), expected, 1e5)
    assert_near(jacrev(jacrev(loss))(input, target), expected, 1e5)
    assert_near(torch.autograd.functional.hessian(lambda z: loss(z, target), input), expected, 1e5)


@each_case
def test_forward_mode_is_the_transpose_of_reverse_mode(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind)
    loss = entry.build(reduction="none")
    by_rows = jacrev(loss)(input, target)
    assert_near(jacfwd(loss)(input, target), by_rows)
    assert by_rows.any() or entry.name == "zero-one"
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
    input, target = sample(entry, entry.targets[0], (5,) if binary else (5, 3))
    squash = torch.sigmoid if entry.takes == "probabilities" else torch.nn.Identity()
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1 if binary else 3).double()
    features = torch.randn(5, 2, dtype=torch.float64)
    del input

    def of_one(parameters: dict[str, Tensor], x: Tensor, t: Tensor) -> Tensor:
        output = squash(functional_call(model, parameters, (x,)))
        return entry.build()(output.squeeze(-1) if binary else output, t)

    parameters = dict(model.named_parameters())
    batched = vmap(grad(of_one), in_dims=(None, 0, 0))(parameters, features, target)
    for i in range(5):
        alone = torch.autograd.grad(
            of_one(parameters, features[i], target[i]), list(parameters.values())
        )
        for one, row in zip(alone, batched.values(), strict=True):
            assert_near(row[i], one)


# --- torch.compile -------------------------------------------------------------------------------


def check_compiled(entry: Entry, kind: str, backend: str, dynamic: bool) -> None:
    torch.compiler.reset()
    loss = entry.build(reduction="mean")
    compiled = torch.compile(loss, fullgraph=True, backend=backend, dynamic=dynamic)
    for shape in ((3, 4), (5, 4)) if dynamic else ((3, 4),):
        input, target = sample(entry, kind, shape)
        value, gradient = value_and_gradient(compiled, input, target)
        expected, expected_gradient = value_and_gradient(loss, input, target)
        assert_near(value, expected)
        assert_near(gradient, expected_gradient)


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@each_case
def test_compiled_whole_is_the_same(entry: Entry, kind: str, dynamic: bool) -> None:
    check_compiled(entry, kind, "aot_eager", dynamic)


@each_loss
def test_compiled_per_example_gradients_are_the_same(entry: Entry) -> None:
    torch.compiler.reset()
    input, target = sample(entry, entry.targets[0], (3, 4))
    slope = vmap(grad(scalar(entry)))
    compiled = torch.compile(slope, fullgraph=True, backend="aot_eager")
    assert_near(compiled(input, target), slope(input, target))


@each_loss
def test_compiled_jvp_keeps_the_tangent(entry: Entry) -> None:
    # A tangent that is dropped gives zeros and no error.
    torch.compiler.reset()
    input, target = sample(entry, entry.targets[0])

    def change(z: Tensor) -> Tensor:
        return jvp(lambda x: entry.build()(x, target), (z,), (torch.ones_like(z),))[1]

    compiled = torch.compile(change, fullgraph=True, backend="aot_eager")
    assert_near(compiled(input), change(input))


@pytest.mark.skipif(COMPILER is None, reason="inductor needs a C++ compiler")
@pytest.mark.parametrize("name", ["bce-with-logits", "cross-entropy"])
def test_compiled_by_inductor_is_the_same(name: str) -> None:
    from losses import registry

    entry = registry.entry(name)
    check_compiled(entry, entry.targets[0], "inductor", False)
