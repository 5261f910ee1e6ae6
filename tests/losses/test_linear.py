"""The cross-entropy of a linear layer in parts. Truth is torch's linear layer and cross_entropy."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck

from lossbench.losses import functional

from .cases import dtypes, each_reduction
from .linear_cases import (
    WEIGHT,
    B,
    C,
    D,
    N,
    T,
    W,
    X,
    Y,
    check,
    derivatives,
    each_target,
    generator,
    normal,
    parts,
    textbook,
)

linear_cross_entropy = functional.linear_cross_entropy
# --- values and first derivatives ----------------------------------------------------------------


@parts
@each_target
@each_reduction
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_and_gradients_are_those_of_the_layer_and_cross_entropy(
    target: Tensor, reduction: str, weight: Tensor | None, smoothing: float, in_parts: list[int]
) -> None:
    options = {"reduction": reduction, "weight": weight, "label_smoothing": smoothing}
    found = derivatives(linear_cross_entropy, target, **options)
    check(found, derivatives(textbook, target, **options))
    # Once, or again in the backward pass, of a few rows at a time.
    assert len(in_parts) == 1 + (reduction == "none")
    assert max(in_parts) <= max(1, N // 8)


@parts
@each_target
@each_reduction
def test_a_layer_without_bias_and_an_ignored_class(target: Tensor, reduction: str) -> None:
    ignored = {"ignore_index": 2} if target is Y else {}
    target = target.clamp_min(0)
    options = {"reduction": reduction, **ignored}
    found = derivatives(linear_cross_entropy, target, (X, W, None), **options)
    check(found, derivatives(textbook, target, (X, W, None), **options))


@parts
@each_target
@each_reduction
def test_z_loss_and_softcap_are_those_of_cross_entropy(target: Tensor, reduction: str) -> None:
    options = {"reduction": reduction, "z_loss": 0.3, "softcap": 2.5, "label_smoothing": 0.1}

    def expected(x: Tensor, w: Tensor, target: Tensor, linear_bias: Tensor, **_: Any) -> Tensor:
        return functional.cross_entropy(F.linear(x, w, linear_bias), target, **options)

    found = derivatives(linear_cross_entropy, target, **options)
    check(found, derivatives(expected, target))


@parts
@each_reduction
@pytest.mark.parametrize("soft", [False, True], ids=["index", "distribution"])
def test_several_losses_of_a_row(reduction: str, soft: bool) -> None:
    layer = (X, normal(C, 2, 3, D), normal(C, 2, 3))
    target = torch.softmax(normal(N, C, 2, 3), 1)
    if not soft:
        target = target.argmax(1)
        target[0, 0, 0] = -100
    found = derivatives(linear_cross_entropy, target, layer, reduction=reduction)
    check(found, derivatives(textbook, target, layer, reduction=reduction))


@parts
def test_layouts_and_integers_do_not_matter() -> None:
    layer = (X.t().contiguous().t(), W.t().contiguous().t(), B)
    expected = derivatives(textbook, Y.clamp_min(0))
    for dtype in (torch.uint8, torch.int32):
        check(derivatives(linear_cross_entropy, Y.clamp_min(0).to(dtype), layer), expected)


@pytest.mark.parametrize("size", [(1, C), (0, C), None], ids=["one-row", "empty", "vector"])
def test_few_rows(size: tuple[int, int] | None) -> None:
    x, target = (X[0], Y[0]) if size is None else (X[: size[0]], Y[: size[0]])
    found = derivatives(linear_cross_entropy, target, (x, W, B))
    check(found, derivatives(textbook, target, (x, W, B)), equal_nan=True)  # type: ignore[arg-type]


@parts
@each_reduction
def test_all_rows_ignored(reduction: str) -> None:
    target = torch.full((N,), -100)
    found = derivatives(linear_cross_entropy, target, reduction=reduction)
    expected = derivatives(textbook, target, reduction=reduction)
    check(found, expected, equal_nan=True)  # type: ignore[arg-type]


@parts
@pytest.mark.parametrize("wanted", [0, 1, 2])
@each_reduction
def test_only_what_requires_a_gradient_gets_one(wanted: int, reduction: str) -> None:
    layer = [a.clone().requires_grad_(k == wanted) for k, a in enumerate((X, W, B))]
    linear_cross_entropy(
        layer[0], layer[1], Y, linear_bias=layer[2], reduction=reduction
    ).sum().backward()
    expected = derivatives(textbook, Y, reduction="mean" if reduction == "mean" else "sum")
    assert [a.grad is not None for a in layer] == [k == wanted for k in range(3)]
    torch.testing.assert_close(layer[wanted].grad, expected[1 + wanted])


@parts
def test_without_gradients_only_the_loss_is_computed(in_parts: list[int]) -> None:
    x = X.clone().requires_grad_()
    with torch.no_grad():
        loss = linear_cross_entropy(x, W, Y)
    assert not loss.requires_grad
    assert not linear_cross_entropy(X, W, Y).requires_grad
    torch.testing.assert_close(loss, textbook(X, W, Y))
    assert len(in_parts) == 2


@parts
def test_options_say_how_many_rows(in_parts: list[int]) -> None:
    class Options:
        batch_chunk_size = 10

    found = derivatives(linear_cross_entropy, Y, options=Options())
    check(found, derivatives(textbook, Y))
    assert in_parts == [10]


@pytest.mark.usefixtures("in_parts", "switched_on")
@each_target
@each_reduction
def test_kernels_agree(target: Tensor, reduction: str) -> None:
    options = {"reduction": reduction, "weight": WEIGHT, "label_smoothing": 0.1}
    found = derivatives(linear_cross_entropy, target, **options)
    check(found, derivatives(textbook, target, **options))


# --- dtypes --------------------------------------------------------------------------------------


def errors(found: list[Tensor], truth: list[Tensor]) -> list[float]:
    return [float((a.double() - b).norm() / b.norm()) for a, b in zip(found, truth, strict=True)]


@parts
@each_reduction
@dtypes([torch.bfloat16, torch.float16, torch.float32])
def test_narrow_dtypes_are_as_near_to_the_truth_as_torch(
    dtype: torch.dtype, reduction: str
) -> None:
    layer = tuple(a.to(dtype) for a in (normal(64, 16), normal(50, 16) / 4, normal(50)))
    target = torch.randint(50, (64,), generator=generator)
    wide = tuple(a.double() for a in layer)
    truth = derivatives(textbook, target, wide, reduction=reduction)
    found = derivatives(linear_cross_entropy, target, layer, reduction=reduction)
    theirs = derivatives(textbook, target, layer, reduction=reduction)
    assert [a.dtype for a in found] == [a.dtype for a in theirs]
    # A gradient is rounded once for every part that is added.
    for ours, of_torch in zip(errors(found, truth), errors(theirs, truth), strict=True):
        assert ours <= of_torch + 2 * torch.finfo(dtype).eps


@parts
@pytest.mark.parametrize("target", [Y, T.float()], ids=["index", "distribution"])
@each_reduction
def test_under_autocast_the_layer_is_narrow_and_the_loss_is_not(
    target: Tensor, reduction: str
) -> None:
    layer, weight = (X.float(), W.float(), B.float()), WEIGHT.float()

    def cast(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def inner(*arguments: Any, **options: Any) -> Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return loss(*arguments, **options)

        return inner

    options = {"reduction": reduction, "weight": weight}
    found = derivatives(cast(linear_cross_entropy), target, layer, **options)
    assert {a.dtype for a in found} == {torch.float32}
    expected = derivatives(cast(textbook), target, layer, **options)
    torch.testing.assert_close(found[0], expected[0])
    check(found, expected, rtol=0.02, atol=0.02)


@parts
def test_under_autocast_second_derivatives_are_those_of_the_narrow_layer() -> None:
    x = X.float().requires_grad_()

    def penalty(loss: Callable[..., Tensor]) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = loss(x, W.float(), Y)
        (gradient,) = torch.autograd.grad(value, x, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), x)[0]

    expected = penalty(textbook)
    torch.testing.assert_close(penalty(linear_cross_entropy), expected, rtol=0.05, atol=1e-3)


# --- derivatives of other kinds ------------------------------------------------------------------


@pytest.mark.slow
@parts
@each_target
@each_reduction
def test_second_derivatives(target: Tensor, reduction: str) -> None:
    layer = [a.clone().requires_grad_() for a in (X[:3, :2], W[:3, :2], B[:3])]
    target = torch.tensor([2, -100, 0]) if target is Y else T[:3, :3]
    options = {"reduction": reduction, "weight": WEIGHT[:3] + 0.1, "label_smoothing": 0.1}

    def loss(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return linear_cross_entropy(x, w, target, linear_bias=b, **options)

    assert gradcheck(loss, layer, check_batched_grad=True)
    assert gradgradcheck(loss, layer)


@pytest.mark.slow
@parts
@each_reduction
def test_derivatives_by_soft_target_and_class_weight(reduction: str) -> None:
    tensors = (X[:2, :2], W[:3, :2], T[:2, :3], WEIGHT[:3] + 0.1)
    layer = [a.clone().requires_grad_() for a in tensors]

    def loss(x: Tensor, w: Tensor, t: Tensor, weight: Tensor) -> Tensor:
        return linear_cross_entropy(x, w, t, weight=weight, reduction=reduction)

    assert gradcheck(loss, layer)
    assert gradgradcheck(loss, layer)


@parts
def test_one_tensor_as_input_and_weight() -> None:
    w = W.clone().requires_grad_()
    target = torch.arange(C)

    def penalty(loss: Callable[..., Tensor]) -> list[Tensor]:
        value = loss(2 * w, w, target)
        (gradient,) = torch.autograd.grad(value, w, create_graph=True)
        return [gradient, *torch.autograd.grad(gradient.square().sum(), w)]

    check(penalty(linear_cross_entropy), penalty(textbook))


@parts
@each_target
@each_reduction
def test_forward_mode(target: Tensor, reduction: str) -> None:
    tangents = (normal(N, D), normal(C, D), normal(C))

    def of(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda x, w, b: loss(x, w, target, linear_bias=b, reduction=reduction)

    found = torch.func.jvp(of(linear_cross_entropy), (X, W, B), tangents)
    check(list(found), list(torch.func.jvp(of(textbook), (X, W, B), tangents)))
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(X, tangents[0])
        loss = linear_cross_entropy(dual, W, target, linear_bias=B, reduction=reduction)
        by_input = forward_ad.unpack_dual(loss).tangent
    expected = torch.func.jvp(lambda x: of(textbook)(x, W, B), (X,), tangents[:1])[1]
    torch.testing.assert_close(by_input, expected)


@parts
@each_reduction
def test_transforms_of_torch_func(reduction: str) -> None:
    inputs, targets = normal(3, 6, D), torch.randint(C, (3, 6), generator=generator)

    def of(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def total(x: Tensor, w: Tensor, y: Tensor) -> Tensor:
            return loss(x, w, y, reduction=reduction).square().sum()

        return total

    def each(loss: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        gradient = torch.func.grad(of(loss), argnums=(0, 1))
        return torch.func.vmap(gradient, (0, None, 0))(inputs, W, targets)

    check(list(each(linear_cross_entropy)), list(each(textbook)))
    found, expected = (
        torch.func.hessian(of(loss))(inputs[0], W, targets[0])
        for loss in (linear_cross_entropy, textbook)
    )
    torch.testing.assert_close(found, expected)


@parts
@each_reduction
def test_upstream_gradients_in_a_batch(reduction: str) -> None:
    x = X.clone().requires_grad_()

    def gradients(loss: Callable[..., Tensor]) -> Tensor:
        value = loss(x, W, Y, reduction=reduction)
        upstream = torch.stack([torch.full_like(value, factor) for factor in (1.0, 2.0, -3.0)])
        (found,) = torch.autograd.grad(value, x, upstream, is_grads_batched=True)
        return found

    torch.testing.assert_close(gradients(linear_cross_entropy), gradients(textbook))


@pytest.mark.slow
@parts
@each_target
@each_reduction
def test_compiled_whole(target: Tensor, reduction: str) -> None:
    torch.compiler.reset()
    compiled = torch.compile(linear_cross_entropy, fullgraph=True, backend="aot_eager")
    found = derivatives(compiled, target, reduction=reduction)
    check(found, derivatives(textbook, target, reduction=reduction))
