"""The bi-tempered logistic loss: against high precision, its limits, its derivatives."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from lossbench.losses import functional
from lossbench.losses.bi_tempered import tempered

from .cases import assert_near, exactly, normal, value_and_gradient

# 17/16 is a float64; of 1.05 the rounding error, times 20 in an exponent, would be seen.
TEMPERATURES = [(0.8, 1.2), (1, 1), (0.5, 1), (1, 1.5), (0, 2), (0.5, 4), (0.9, 17 / 16)]
each_temperature = pytest.mark.parametrize(("t1", "t2"), TEMPERATURES)
SPREADS = [8, *(pytest.param(spread, marks=pytest.mark.slow) for spread in (1, 50, 1e4))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("spread", SPREADS)
@each_temperature
def test_value_and_gradient_in_high_precision(
    t1: float, t2: float, spread: float, dtype: torch.dtype
) -> None:
    z = normal(12, 4, spread=spread).to(dtype)
    y = torch.arange(12) % 4
    y[::2] = z[::2].argmax(-1)
    leaf = z.clone().requires_grad_()
    value = functional.bi_tempered_logistic(leaf, y, t1=t1, t2=t2, reduction="none")
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    allowed = 4 * torch.finfo(dtype).eps * (1 if dtype == torch.float32 else 64)
    smallest = torch.finfo(dtype).tiny
    true = exactly("bi-tempered-logistic", z, y, t1=t1, t2=t2)
    for ours, exact in ((value[:, None], true[0][:, None]), (gradient, true[1])):
        size = exact.abs().amax(-1, keepdim=True)
        counts = (size > smallest).expand(exact.shape)
        assert ((ours.double() - exact).abs() <= allowed * size)[counts].all()


@pytest.mark.parametrize("t2", [1.05, 1.2, 2.0, 4.0])
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_probabilities_add_up_to_one(classes: int, t2: float) -> None:
    z = torch.cat([normal(20, classes, spread=s) for s in (0.0, 1.0, 50.0, 1e4)])
    # One logit ahead of the others by every distance: where Newton's steps are slowest.
    ahead = torch.zeros(200, classes, dtype=torch.float64)
    ahead[:, 0] = torch.logspace(-3, 6, 200, dtype=torch.float64)
    p = torch.exp(-tempered(torch.cat([z, ahead]), t2).s)
    assert_near(p.sum(-1), torch.ones(len(p), dtype=torch.float64), 64)


# --- limits --------------------------------------------------------------------------------------


def test_without_temperatures_it_is_cross_entropy() -> None:
    z, y = normal(40, 5, spread=8.0), torch.arange(40) % 5
    ours = value_and_gradient(lambda z: functional.bi_tempered_logistic(z, y, t1=1.0, t2=1.0), z)
    expected = value_and_gradient(lambda z: functional.cross_entropy(z, y), z)
    for a, b in zip(ours, expected, strict=True):
        assert_near(a, b)
    t = torch.softmax(normal(40, 5), -1)
    divergence = functional.bi_tempered_logistic(z, t, t1=1.0, t2=1.0)
    entropy = -(t * t.log()).sum(-1).mean()
    assert_near(divergence, functional.cross_entropy(z, t) - entropy)


@pytest.mark.parametrize("t2", [1 + 1e-15, 1 + 1e-12, 1 + 1e-9])
def test_the_limit_of_small_temperatures_is_reached_smoothly(t2: float) -> None:
    z, y = normal(40, 5, spread=8.0), torch.arange(40) % 5
    near = value_and_gradient(lambda z: functional.bi_tempered_logistic(z, y, t1=0.8, t2=t2), z)
    at = value_and_gradient(lambda z: functional.bi_tempered_logistic(z, y, t1=0.8, t2=1.0), z)
    for a, b in zip(near, at, strict=True):
        torch.testing.assert_close(a, b, rtol=2e3 * (t2 - 1) + 1e-14, atol=1e3 * (t2 - 1))


@each_temperature
def test_the_target_itself_is_the_minimum(t1: float, t2: float) -> None:
    z = normal(20, 4)
    p = torch.exp(-tempered(z, t2).s)
    value, gradient = value_and_gradient(
        lambda z: functional.bi_tempered_logistic(z, p, t1=t1, t2=t2, reduction="none"), z
    )
    assert_near(value, torch.zeros_like(value))
    assert_near(gradient, torch.zeros_like(gradient), 128)


def test_the_loss_is_bounded_and_its_gradient_falls() -> None:
    z = torch.tensor([[1e1, 0.0], [1e3, 0.0], [1e30, 0.0]], requires_grad=True)
    loss = functional.bi_tempered_logistic(z, torch.tensor([1, 1, 1]), t1=0.5, reduction="none")
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    assert (loss <= 2).all()
    assert gradient.abs().amax(-1).diff().lt(0).all()


# --- derivatives ---------------------------------------------------------------------------------


@pytest.mark.slow
@each_temperature
def test_derivatives_of_every_temperature(t1: float, t2: float) -> None:
    z = normal(2, 3).requires_grad_()
    t = torch.softmax(normal(2, 3).flip(0), -1).requires_grad_()

    def loss(z: Tensor, t: Tensor) -> Tensor:
        return functional.bi_tempered_logistic(z, t, t1=t1, t2=t2, reduction="none")

    assert gradcheck(loss, (z, t), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(loss, (z, t), check_fwd_over_rev=True)

    def hvp(z: Tensor) -> Tensor:
        (first,) = torch.autograd.grad(loss(z, t.detach()).sum(), z, create_graph=True)
        along = torch.arange(6.0, dtype=z.dtype).reshape(2, 3)
        return torch.autograd.grad((first * along).sum(), z, create_graph=True)[0]

    # The third and the fourth derivative go through the steps that find lambda.
    assert gradcheck(hvp, (z,))
    assert gradgradcheck(hvp, (z,))


@each_temperature
def test_derivatives_by_hard_targets_are_finite(t1: float, t2: float) -> None:
    z = normal(4, 3)
    t = torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0]].requires_grad_()
    loss = functional.bi_tempered_logistic(z, t, t1=t1, t2=t2)
    assert torch.autograd.grad(loss, t)[0].isfinite().all()


@pytest.mark.parametrize("classes", [2, 1000, 30_000])
def test_the_hottest_softmax_of_many_classes_is_finite(classes: int) -> None:
    loss = functional.bi_tempered_logistic(torch.zeros(1, classes), torch.tensor([0]), t2=10.0)
    assert loss.isfinite()
    with pytest.raises(ValueError, match=r"t2=10\.5 must be .* at most 10"):
        functional.bi_tempered_logistic(torch.zeros(1, 3), torch.tensor([0]), t2=10.5)
