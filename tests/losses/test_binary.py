"""Losses of one logit: digits in the tails, where the textbook formula has none, and the facts
about them that can be proved on paper. Truth in the tails is arithmetic of many digits."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from torch import Tensor

from lossbench.losses import functional, registry

from .cases import QUICK, WIDE, assert_near, dtypes, exactly, tensors, value_and_gradient

LOGIT_LOSSES = ["zero-one", "probability-sum", "bce-with-logits", "sigmoid-mse"]
each_logit_loss = pytest.mark.parametrize("name", LOGIT_LOSSES)
INF = float("inf")


def relative_error(actual: Tensor, expected: Tensor) -> Tensor:
    """The largest one; below the smallest normal number, where digits end, relative to that."""
    floor = torch.finfo(actual.dtype).tiny
    return ((actual.double() - expected).abs() / expected.abs().clamp_min(floor)).max()


def one_by_one(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda z, t: loss(z, t, reduction="none")


def slopes(name: str, z: Tensor, t: Tensor) -> Tensor:
    loss = registry.get(name, reduction="sum")
    z = z.detach().requires_grad_()
    return torch.autograd.grad(loss(z, t), z)[0]


# --- the tails -----------------------------------------------------------------------------------


# Eight ulp: sigmoid, product and sum each round once, and float32 exp is good to about two ulp.
# float64 squares of 1e-35 stay normal numbers; float32 ones do not, which is why 40 is the end
# where the loss holds a square.
@dtypes(WIDE)
@pytest.mark.parametrize(
    ("name", "far"), [("bce-with-logits", 80.0), ("probability-sum", 80.0), ("sigmoid-mse", 40.0)]
)
@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
def test_tails_keep_their_digits(name: str, far: float, hard: bool, dtype: torch.dtype) -> None:
    side = torch.linspace(10, far, 141, dtype=dtype)
    z = torch.cat([-side, side, torch.linspace(-10, 10, 40, dtype=dtype)])
    for target in (0.0, 1.0) if hard else (0.25, 0.75):
        t = torch.full_like(z, target)
        value = registry.get(name, reduction="none")(z, t)
        value_truth, slope_truth = exactly(name, z, t)
        assert relative_error(value, value_truth) <= 8 * torch.finfo(dtype).eps * (1 if hard else 4)
        # A soft target has a zero of the gradient in the middle, where only the size of t counts.
        error = (slopes(name, z, t).double() - slope_truth).abs()
        if hard:
            assert relative_error(slopes(name, z, t), slope_truth) <= 8 * torch.finfo(dtype).eps
        else:
            assert error.max() <= 4 * torch.finfo(dtype).eps


def test_the_gradient_of_bce_is_not_rounded_away_like_sigmoid_minus_target() -> None:
    z, t = torch.tensor([20.0, 40.0, 80.0]), torch.ones(3)
    assert torch.equal(torch.sigmoid(z) - t, torch.zeros(3))
    assert (slopes("bce-with-logits", z, t) < 0).all()


# --- infinities and NaN --------------------------------------------------------------------------


@each_logit_loss
@pytest.mark.parametrize(("z", "t"), [(INF, 1.0), (-INF, 0.0)], ids=["cat", "dog"])
def test_certain_and_right_is_no_loss(name: str, z: float, t: float) -> None:
    loss = registry.get(name, reduction="none")
    value, gradient = value_and_gradient(loss, torch.tensor([z, 0.0]), torch.tensor([t, t]))
    assert value[0] == 0
    assert gradient[0] == 0
    assert value.isfinite().all()
    assert gradient.isfinite().all()


@each_logit_loss
@pytest.mark.parametrize(("z", "t"), [(-INF, 1.0), (INF, 0.0)], ids=["cat", "dog"])
def test_certain_and_wrong_is_the_greatest_loss(name: str, z: float, t: float) -> None:
    greatest = {"bce-with-logits": INF, "sigmoid-mse": 0.5}.get(name, 1.0)
    # Of the four only cross-entropy still pulls, with all the strength it has.
    vjp = 1.0 if name == "bce-with-logits" else 0.0
    input, target = torch.tensor([z]), torch.tensor([t])
    assert registry.get(name)(input, target) == greatest
    assert slopes(name, input, target).item() == vjp * (1 - 2 * t)


def test_bce_has_the_bounds_of_torch_at_zero_and_one() -> None:
    x = torch.tensor([0.0, 1.0, 0.0, 1.0, 1e-30, 1 - 2**-24])
    t = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    ours = value_and_gradient(one_by_one(functional.binary_cross_entropy), x, t)
    theirs = value_and_gradient(one_by_one(F.binary_cross_entropy), x, t)
    torch.testing.assert_close(ours, theirs, rtol=4e-7, atol=0.0)
    assert ours[0].tolist()[:4] == [0.0, 0.0, 100.0, 100.0]
    assert ours[1].isfinite().all()


# --- facts ---------------------------------------------------------------------------------------

logits = tensors((5,), -30.0, 30.0, torch.float64)
targets = tensors((5,), 0.0, 1.0, torch.float64)


@QUICK
@given(z=logits, t=targets)
def test_the_gradient_of_zero_one_is_zero_everywhere(z: Tensor, t: Tensor) -> None:
    assert slopes("zero-one", z, t).tolist() == [0.0] * 5
    assert slopes("zero-one", torch.zeros(5), t.float()).tolist() == [0.0] * 5


def test_zero_one_counts_wrong_predictions() -> None:
    z, t = torch.tensor([2.0, -2.0, 1.0, -1.0, 0.0]), torch.tensor([1.0, 1.0, 0.0, 0.0, 1.0])
    assert functional.zero_one(z, t, reduction="none").tolist() == [0.0, 1.0, 1.0, 0.0, 1.0]
    assert functional.zero_one(z, t, reduction="sum") == 3
    assert functional.zero_one(z, t).item() == pytest.approx(0.6)


@QUICK
@given(z=logits, t=targets)
def test_the_gradient_of_bce_is_the_error(z: Tensor, t: Tensor) -> None:
    assert_near(slopes("bce-with-logits", z, t), torch.sigmoid(z) - t)


@QUICK
@given(z=logits, t=targets)
def test_sigmoid_mse_pulls_weaker_than_bce_by_the_slope_of_the_sigmoid(
    z: Tensor, t: Tensor
) -> None:
    f = torch.sigmoid(z)
    assert_near(slopes("sigmoid-mse", z, t), slopes("bce-with-logits", z, t) * f * (1 - f))


def test_the_strongest_pull_of_sigmoid_mse_is_four_27ths() -> None:
    # (f - t) f (1 - f) at t = 0 is f^2 (1 - f), greatest where 2 f = 3 f^2, so f = 2/3, z = ln 2.
    z = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    vjp = slopes("sigmoid-mse", z, torch.zeros_like(z)).abs()
    assert vjp.max() <= 4 / 27
    best = torch.tensor([2.0], dtype=torch.float64).log()
    assert slopes("sigmoid-mse", best, torch.zeros_like(best)).item() == pytest.approx(4 / 27)
    assert slopes("sigmoid-mse", -best, torch.ones_like(best)).item() == pytest.approx(-4 / 27)


@QUICK
@given(z=logits)
def test_bce_of_probabilities_is_bce_of_their_logits(z: Tensor) -> None:
    z = z / 4
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    loss = functional.binary_cross_entropy(torch.sigmoid(z), t, reduction="none")
    expected = functional.binary_cross_entropy_with_logits(z, t, reduction="none")
    assert_near(loss, expected, 1e5)


@each_logit_loss
@QUICK
@given(z=logits, t=targets)
def test_cats_and_dogs_can_be_exchanged(name: str, z: Tensor, t: Tensor) -> None:
    z = torch.where(z == 0, 1.0, z)  # zero-one has to say something there, and says dog.
    loss = registry.get(name, reduction="none")
    assert_near(loss(z, t), loss(-z, 1 - t))
    assert_near(slopes(name, z, t), -slopes(name, -z, 1 - t))


@each_logit_loss
def test_a_weight_of_two_is_the_example_twice(name: str) -> None:
    z = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)
    t = torch.tensor([1.0, 0.0, 0.25], dtype=torch.float64)
    weight = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    twice = torch.tensor([0, 1, 1, 2])
    weighted = registry.get(name, weight=weight, reduction="sum")(z, t)
    assert_near(weighted, registry.get(name, reduction="sum")(z[twice], t[twice]))


def test_a_positive_weight_of_two_is_every_cat_twice() -> None:
    z = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)
    t = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    twice = torch.tensor([0, 0, 1, 2, 2])
    loss = registry.get("bce-with-logits", pos_weight=torch.tensor(2.0), reduction="sum")
    assert_near(loss(z, t), registry.get("bce-with-logits", reduction="sum")(z[twice], t[twice]))
