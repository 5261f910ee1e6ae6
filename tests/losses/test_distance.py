"""Distances: l1 as torch has it, digits where the model is certain, kinks, and the facts about the
distances of a row that can be proved on paper. Truth in the tails is arithmetic of 400 digits."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from lossbench import losses
from lossbench.losses import functional, registry

from .cases import QUICK, assert_near, each_reduction, normal, tensors, value_and_gradient

INF, NAN = float("inf"), float("nan")
OF_OUTPUTS = ["one-vs-rest-l1", "rescaled-square", "squentropy"]
OF_SOFTMAX = ["softmax-mse", "expectation", "chebyshev", "tanimoto", "cauchy-schwarz"]
ROWS = [*OF_OUTPUTS, *OF_SOFTMAX]
each_row_loss = pytest.mark.parametrize("name", ROWS)


def of_rows(name: str) -> Callable[..., Tensor]:
    return getattr(functional, name.replace("-", "_"))


def one_by_one(name: str, **settings: Any) -> Callable[..., Tensor]:
    return lambda z, t: of_rows(name)(z, t, reduction="none", **settings)


def assert_both_near(
    ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...], ulps: float = 32
) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert_near(mine, other, ulps)


# --- l1, as torch has it -------------------------------------------------------------------------


def compare(input: Tensor, target: Tensor, **options: Any) -> None:
    ours = value_and_gradient(lambda x, t: functional.l1_loss(x, t, **options), input, target)
    theirs = value_and_gradient(lambda x, t: F.l1_loss(x, t, **options), input, target)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == other.dtype
        assert_near(mine, other, room=max(1, input.numel()))


@each_reduction
@pytest.mark.parametrize("shape", [(), (0,), (4,), (2, 0), (2, 3, 2, 2)], ids=str)
def test_l1_of_any_shape(reduction: str, shape: tuple[int, ...]) -> None:
    compare(normal(*shape), normal(*shape, seed=1), reduction=reduction)
    compare(normal(*shape).float(), normal(*shape, seed=1), reduction=reduction)
    weight = normal(*shape, seed=2).abs()
    compare(normal(*shape), normal(*shape, seed=1), weight=weight, reduction=reduction)


@each_reduction
@pytest.mark.parametrize("shape", [(), (3,), (2, 1), (4, 2, 3)], ids=lambda s: str(list(s)))
def test_l1_broadcasts_and_warns_as_torch_does(reduction: str, shape: tuple[int, ...]) -> None:
    for name in ("l1_loss", "mse_loss"):
        with pytest.warns(UserWarning, match=r"target size .* input size") as record:
            getattr(functional, name)(normal(2, 3), normal(*shape), reduction=reduction)
        # The warning points at the caller's line.
        assert record[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compare(normal(2, 3), normal(*shape), reduction=reduction)


def test_at_its_kink_l1_pulls_nowhere_as_in_torch() -> None:
    x = torch.tensor([0.0, -0.0, 1.0, 2.0, INF, -INF, 1e-45, 3e38])
    compare(x, torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, -3e38]), reduction="none")


Z = torch.zeros(2, 3)
BAD_L1: dict[str, tuple[tuple[Tensor, Tensor], dict[str, Any], str]] = {
    "shapes": ((Z, torch.zeros(4)), {}, r"\(2, 3\) and target of size \(4,\)"),
    "weight": ((Z, Z), {"weight": torch.ones(3)}, "weight of size"),
    "reduction": ((Z, Z), {"reduction": "means"}, "did you mean 'mean'"),
    "integers": ((Z.long(), Z.long()), {}, "convert it with input.float"),
}


@pytest.mark.filterwarnings("ignore:.*target size")
@pytest.mark.parametrize(("arguments", "options", "message"), BAD_L1.values(), ids=list(BAD_L1))
def test_bad_arguments_of_l1(
    arguments: tuple[Tensor, Tensor], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        F.l1_loss(*arguments, **options)
    with pytest.raises(theirs.type, match=message):
        functional.l1_loss(*arguments, **options)


# --- bad arguments of the row losses -------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, -1.0, INF, NAN], ids=str)
@pytest.mark.parametrize("setting", ["k", "m"])
def test_settings_out_of_range(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"rescaled_square: {setting}=.* finite number above 0"):
        functional.rescaled_square(Z, Z, **{setting: value})
    with pytest.raises(ValueError, match=setting):
        losses.RescaledSquareLoss(**{setting: value})(Z, Z)


@pytest.mark.parametrize("target", [torch.tensor([0]), torch.ones(1, 1)], ids=["index", "row"])
def test_squentropy_wants_a_wrong_class(target: Tensor) -> None:
    with pytest.raises(ValueError, match=r"has 1 classes .* at least 2"):
        functional.squentropy(torch.zeros(1, 1), target)


# --- infinities and NaN --------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_SOFTMAX)
def test_a_masked_class_changes_nothing(name: str) -> None:
    z, t = torch.tensor([[0.5, -INF, 1.0]]).double(), torch.tensor([[0.25, 0.0, 0.75]]).double()
    value, gradient = value_and_gradient(one_by_one(name), z, t)
    expected = value_and_gradient(one_by_one(name), z[:, [0, 2]], t[:, [0, 2]])
    assert_both_near((value, gradient[:, [0, 2]]), expected)
    assert gradient[0, 1] == 0


def test_squentropy_of_infinite_logits() -> None:
    z, y = torch.tensor([[0.0, INF, 1.0], [0.0, INF, 1.0], [0.0, 3e38, 1.0]]), [1, 0, 1]
    for target in (torch.tensor(y), F.one_hot(torch.tensor(y), 3).float()):
        value, gradient = value_and_gradient(one_by_one("squentropy"), z, target)
        # The right class costs nothing, the others (0 + 1) / 2.
        assert value.tolist() == [0.5, INF, 0.5]
        assert not gradient.isnan().any()


# --- kinks ---------------------------------------------------------------------------------------


def test_where_it_is_exactly_right_expectation_pulls_nowhere() -> None:
    for classes in range(2, 8):
        uniform = torch.full((1, classes), 1 / classes)
        gradient = value_and_gradient(one_by_one("expectation"), torch.zeros(1, classes), uniform)
        assert not gradient[1].any()


@pytest.mark.parametrize(
    "t",
    [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]],
    ids=str,
)
@pytest.mark.parametrize("z", [[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0]], ids=str)
@pytest.mark.parametrize("name", ["chebyshev", "expectation", "one-vs-rest-l1"])
def test_ties_are_shared_as_in_torch(name: str, z: list[float], t: list[float]) -> None:
    input, target = torch.tensor([z]).double(), torch.tensor([t]).double()
    reference = registry.entry(name).reference
    assert reference is not None
    expected = value_and_gradient(reference, input, target, "none")
    assert_both_near(value_and_gradient(one_by_one(name), input, target), expected)


# --- facts ---------------------------------------------------------------------------------------

logits = tensors((3, 4), -9.0, 9.0, torch.float64)
indices = st.lists(st.integers(0, 3), min_size=3, max_size=3).map(torch.tensor)
mixtures = tensors((3, 4), 0.0, 1.0, torch.float64).map(lambda x: torch.softmax(x, -1))


@each_row_loss
@QUICK
@given(z=logits, y=indices)
def test_indices_are_one_hot_rows(name: str, z: Tensor, y: Tensor) -> None:
    by_index = value_and_gradient(one_by_one(name), z, y)
    by_row = value_and_gradient(one_by_one(name), z, F.one_hot(y, 4).double())
    assert_both_near(by_index, by_row)


@each_row_loss
def test_class_weights_and_ignored_rows(name: str) -> None:
    z, y = normal(4, 3), torch.tensor([2, 0, -1, 1])
    weight = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
    loss = of_rows(name)
    each = torch.tensor([1.0, 0.5, 0.0, 2.0]) * one_by_one(name)(z, y.clamp_min(0))
    options = {"weight": weight, "ignore_index": -1}
    assert_near(loss(z, y, **options, reduction="none"), each)
    assert_near(loss(z, y, **options, reduction="sum"), each.sum())
    assert_near(loss(z, y, **options), each.sum() / 3.5)
    t = torch.softmax(normal(4, 3, seed=1), -1)
    each = (t * weight).sum(-1) * one_by_one(name)(z, t)
    assert_near(loss(z, t, weight, reduction="none"), each)
    assert_near(loss(z, t, weight), each.mean())


@QUICK
@given(z=logits, y=indices)
def test_of_a_right_class_they_are_older_losses(z: Tensor, y: Tensor) -> None:
    lack = 1 - torch.softmax(z, -1).gather(-1, y.unsqueeze(-1)).squeeze(-1)
    assert_near(functional.expectation(z, y, reduction="none"), 2 * lack)
    assert_near(functional.chebyshev(z, y, reduction="none"), lack)
    assert_near(functional.cauchy_schwarz(z, y), F.cross_entropy(2 * z, y) / 2)


@QUICK
@given(z=logits, t=mixtures)
def test_distances_are_least_at_the_target(z: Tensor, t: Tensor) -> None:
    for name in OF_SOFTMAX:
        least = -1.0 if name == "tanimoto" else 0.0
        loss = one_by_one(name)
        best = loss(t.log(), t)
        assert_near(best, torch.full_like(best, least))
        assert (loss(z, t) >= best - 1e-12).all()
        if name not in ("expectation", "chebyshev"):
            assert value_and_gradient(loss, t.log(), t)[1].abs().max() <= 1e-12


@QUICK
@given(z=logits, t=mixtures, size=st.floats(0.01, 100))
def test_the_size_of_a_target_does_not_count_for_cauchy_schwarz(
    z: Tensor, t: Tensor, size: float
) -> None:
    loss = one_by_one("cauchy-schwarz")
    assert_both_near(value_and_gradient(loss, z, size * t), value_and_gradient(loss, z, t), 1000)


@pytest.mark.parametrize("name", ["tanimoto", "cauchy-schwarz"])
def test_a_row_without_targets_is_no_loss(name: str) -> None:
    z, t = normal(2, 3).requires_grad_(), torch.zeros(2, 3, dtype=torch.float64)
    value = one_by_one(name)(z, t)
    (gradient,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    (second,) = torch.autograd.grad(gradient[:, 0].sum(), z)
    assert not value.any()
    assert not gradient.any()
    assert not second.any()


@QUICK
@given(z=logits, t=mixtures, k=st.floats(0.01, 20), m=st.floats(0.01, 30))
def test_rescaled_square_is_a_mean_of_squares(z: Tensor, t: Tensor, k: float, m: float) -> None:
    loss = one_by_one("rescaled-square", k=k, m=m)
    assert_near(loss(z, t), ((1 + (k - 1) * t) * (z - m * t) ** 2).mean(-1), 1000)
    assert_near(functional.rescaled_square(z, t), F.mse_loss(z, t))


def test_a_small_weight_of_the_right_class_keeps_its_digits() -> None:
    z, y = torch.tensor([[3.0, 0.0]]), torch.tensor([0])
    value = functional.rescaled_square(z, y, k=1e-6, m=1.0)
    assert value.item() == pytest.approx(2e-6, rel=1e-6)


# --- derivatives by hard targets -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["squentropy", "rescaled-square", "tanimoto", "cauchy-schwarz"])
def test_derivatives_where_targets_are_zero_and_one(name: str) -> None:
    z = normal(2, 3).requires_grad_()
    t = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]).double().requires_grad_()
    loss = one_by_one(name)
    assert gradcheck(loss, (z, t), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(loss, (z, t))


@each_row_loss
def test_derivatives_by_hard_targets_are_numbers(name: str) -> None:
    z = torch.tensor([[40.0, -40.0, 0.0], [90.0, -90.0, 0.0]])
    for y in range(3):
        t = F.one_hot(torch.tensor([y, y]), 3).float().requires_grad_()
        (by_target,) = torch.autograd.grad(one_by_one(name)(z, t).sum(), t)
        assert not by_target.isnan().any()
