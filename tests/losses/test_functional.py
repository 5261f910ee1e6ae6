"""Every option of the functions that torch.nn.functional has too, against it in float64."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lossbench.losses import functional

from .cases import QUICK, assert_near, each_reduction, normal, value_and_gradient

SHAPES = [(4,), (5, 4), (3, 4, 2), (2, 4, 2, 3), (1, 4, 2, 1, 2)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))
WEIGHT = torch.tensor([0.5, 2.0, 0.0, 1.25], dtype=torch.float64)
each_weight = pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])


def indices(shape: tuple[int, ...], low: int = 0) -> Tensor:
    wanted = (*shape[:1], *shape[2:]) if len(shape) > 1 else ()
    return torch.randint(low, 4, wanted, generator=torch.Generator().manual_seed(0))


def compare(name: str, input: Tensor, target: Tensor, **options: Any) -> None:
    def one(functions: Any) -> Callable[..., Tensor]:
        return lambda z, t: getattr(functions, name)(z, t, **options)

    value, gradient = value_and_gradient(one(functional), input, target)
    expected, expected_gradient = value_and_gradient(one(F), input, target)
    assert_near(value, expected, room=max(1, input.numel()))
    assert_near(gradient, expected_gradient, room=max(1, input.numel()))


# --- cross-entropy and nll -----------------------------------------------------------------------


@each_shape
@each_weight
@each_reduction
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("ignore_index", [-100, -1, 2], ids=["none", "negative", "a-class"])
def test_cross_entropy_of_indices(
    shape: tuple[int, ...],
    weight: Tensor | None,
    reduction: str,
    smoothing: float,
    ignore_index: int,
) -> None:
    compare(
        "cross_entropy",
        normal(*shape),
        indices(shape, low=-1 if ignore_index == -1 else 0),
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=smoothing,
    )


@each_shape
@each_weight
@each_reduction
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("kind", ["distribution", "one-hot", "unnormalised", "zeros"])
def test_cross_entropy_of_distributions(
    shape: tuple[int, ...], weight: Tensor | None, reduction: str, smoothing: float, kind: str
) -> None:
    classes = min(1, len(shape) - 1)
    target = {
        "distribution": torch.softmax(normal(*shape, seed=1), classes),
        "one-hot": F.one_hot(indices(shape), 4).movedim(-1, classes).double(),
        "unnormalised": normal(*shape, seed=1).abs(),
        "zeros": torch.zeros(shape, dtype=torch.float64),
    }[kind]
    options = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing}
    compare("cross_entropy", normal(*shape), target, **options)


@each_shape
@each_weight
@each_reduction
@pytest.mark.parametrize("ignore_index", [-100, -1, 2], ids=["none", "negative", "a-class"])
def test_nll(
    shape: tuple[int, ...], weight: Tensor | None, reduction: str, ignore_index: int
) -> None:
    target = indices(shape, low=-1 if ignore_index == -1 else 0)
    options = {"weight": weight, "reduction": reduction, "ignore_index": ignore_index}
    compare("nll_loss", normal(*shape), target, **options)


@each_reduction
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("ignored", [255, 7], ids=["255", "7"])
def test_uint8_targets(name: str, reduction: str, ignored: int) -> None:
    target = torch.tensor([0, 3, ignored, 1], dtype=torch.uint8)
    compare(name, normal(4, 4), target, reduction=reduction, ignore_index=ignored)


@each_reduction
@each_weight
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_all_ignored(name: str, weight: Tensor | None, reduction: str) -> None:
    target = torch.full((5,), -100)
    compare(name, normal(5, 4), target, weight=weight, reduction=reduction)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_a_class_weight_of_two_is_its_examples_twice(name: str) -> None:
    z, target = normal(3, 4), torch.tensor([1, 0, 3])
    weight = torch.tensor([1.0, 2.0, 1.0, 1.0], dtype=torch.float64)
    loss, twice = getattr(functional, name), torch.tensor([0, 0, 1, 2])
    for reduction in ("sum", "mean"):
        weighted = loss(z, target, weight=weight, reduction=reduction)
        assert_near(weighted, loss(z[twice], target[twice], reduction=reduction))


@QUICK
@given(smoothing=st.floats(0, 1), seed=st.integers(0, 99))
def test_smoothing_is_a_mixture_with_the_uniform_distribution(smoothing: float, seed: int) -> None:
    z, target = normal(5, 4, seed=seed), torch.tensor([0, 1, 2, 3, 0])
    soft = (1 - smoothing) * F.one_hot(target, 4).double() + smoothing / 4
    by_option = functional.cross_entropy(z, target, label_smoothing=smoothing)
    assert_near(by_option, functional.cross_entropy(z, soft))


# --- binary losses -------------------------------------------------------------------------------

BROADCAST = [(), (1,), (3,), (2, 1), (1, 3), (2, 3)]
each_broadcast = pytest.mark.parametrize("shape", BROADCAST, ids=lambda s: "x".join(map(str, s)))


@each_broadcast
@each_reduction
@pytest.mark.parametrize("option", ["weight", "pos_weight"])
def test_bce_with_logits_weights_are_broadcast(
    shape: tuple[int, ...], reduction: str, option: str
) -> None:
    target, factor = torch.sigmoid(normal(2, 3, seed=1)), normal(*shape, seed=2).abs()
    options = {option: factor, "reduction": reduction}
    compare("binary_cross_entropy_with_logits", normal(2, 3), target, **options)
    options["pos_weight"] = torch.tensor([1.0, 3.0, 0.0], dtype=torch.float64)
    compare("binary_cross_entropy_with_logits", normal(2, 3), target, **options)


@each_broadcast
@each_reduction
def test_bce_weight_is_broadcast(shape: tuple[int, ...], reduction: str) -> None:
    x, target = torch.sigmoid(normal(2, 3)), torch.sigmoid(normal(2, 3, seed=1))
    weight = normal(*shape, seed=2).abs()
    compare("binary_cross_entropy", x, target, weight=weight, reduction=reduction)


@each_broadcast
@pytest.mark.parametrize("name", ["zero_one", "probability_sum", "sigmoid_mse"])
def test_weights_of_the_other_binary_losses_multiply(name: str, shape: tuple[int, ...]) -> None:
    z, target, weight = normal(2, 3), torch.sigmoid(normal(2, 3, seed=1)), normal(*shape).abs()
    loss = getattr(functional, name)
    each = loss(z, target, reduction="none")
    assert_near(loss(z, target, weight=weight, reduction="none"), weight * each)
    assert_near(loss(z, target, weight=weight), (weight * each).mean())
    assert_near(loss(z, target, weight=weight, reduction="sum"), (weight * each).sum())


@each_reduction
def test_mse_weight(reduction: str) -> None:
    weight = normal(2, 3, seed=2).abs()
    compare("mse_loss", normal(2, 3), normal(2, 3, seed=1), weight=weight, reduction=reduction)


@each_reduction
@pytest.mark.parametrize("shape", [(), (3,), (2, 1), (4, 2, 3)], ids=lambda s: str(list(s)))
def test_mse_broadcasts_and_warns_as_torch_does(reduction: str, shape: tuple[int, ...]) -> None:
    with pytest.warns(UserWarning, match=r"target size .* input size") as record:
        functional.mse_loss(normal(2, 3), normal(*shape), reduction=reduction)
    # The warning points at the caller's line.
    assert record[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compare("mse_loss", normal(2, 3), normal(*shape), reduction=reduction)


def test_mse_of_one_shape_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        functional.mse_loss(normal(2, 3), normal(2, 3))


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "mse_loss", "softmax_mse"])
@pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16], ids=str)
def test_under_autocast_the_loss_is_float32(name: str, narrow: torch.dtype) -> None:
    z = torch.randn(4, 3).to(narrow).requires_grad_()
    target = torch.randn(4, 3).to(narrow) if name == "mse_loss" else torch.arange(4) % 3
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = getattr(functional, name)(z, target)
    assert loss.dtype == torch.float32
    # The first scale of torch.amp.GradScaler overflows float16.
    (gradient,) = torch.autograd.grad(65536 * loss, z)
    assert gradient.isfinite().all()
    assert getattr(functional, name)(z, target).dtype == narrow


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "softmax_mse", "bernoulli_sum"])
def test_an_index_out_of_range_is_an_error_where_values_are_not_read(name: str) -> None:
    loss = getattr(functional, name)
    with pytest.raises((RuntimeError, IndexError)):
        torch.func.vmap(loss)(torch.zeros(2, 3), torch.tensor([0, 7]))


@pytest.mark.parametrize("name", ["cross_entropy", "softmax_mse", "bernoulli_sum"])
def test_a_masked_class_costs_nothing_and_pulls_nothing(name: str) -> None:
    rows = torch.tensor([[0.0, -torch.inf], [0.0, -torch.inf]]).double().requires_grad_()
    loss = getattr(functional, name)(rows, torch.tensor([0, 0]))
    (gradient,) = torch.autograd.grad(loss, rows, create_graph=True)
    assert loss.item() == 0
    assert gradient.tolist() == [[0.0, 0.0], [0.0, 0.0]]
