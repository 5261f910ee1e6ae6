"""The mechanism: every rung of a ladder is the derivative of the one below, nothing is saved but
inputs. Finite differences are the judge, so nothing here trusts a formula."""

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from lossbench.losses import ClosedForms, differentiable, functional
from lossbench.losses.kernels.__main__ import requests
from lossbench.losses.kernels.eager import call
from lossbench.losses.kernels.switches import by_formulas_only
from lossbench.losses.registry import Entry
from lossbench.losses.regression import mse_formula

from .cases import each_built_in_case, each_case, each_smooth_case, kept_bytes, sample

generator = torch.Generator().manual_seed(0)


def positive(*shape: int) -> Tensor:
    return 0.5 + torch.rand(shape, dtype=torch.float64, generator=generator)


def leaves(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(x.clone().requires_grad_(x.is_floating_point()) for x in tensors)


def check_derivatives(function: Callable[..., Tensor], *inputs: Tensor) -> None:
    """First and second derivatives by every leaf, both modes, batched, by finite differences."""
    assert gradcheck(
        function,
        inputs,
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
    )
    assert gradgradcheck(function, inputs, check_fwd_over_rev=True, check_batched_grad=True)


# --- every registered loss -----------------------------------------------------------------------


@each_case
def test_first_and_second_derivatives(entry: Entry, kind: str) -> None:
    check_derivatives(entry.build(reduction="none"), *leaves(*sample(entry, kind, (2, 3))))


@pytest.mark.slow
@each_case
def test_third_derivative(entry: Entry, kind: str) -> None:
    input, target = leaves(*sample(entry, kind, (2, 3)))
    loss = entry.build(reduction="none")

    def second(z: Tensor) -> Tensor:
        along = torch.arange(1.0, z.numel() + 1, dtype=z.dtype).reshape(z.shape)
        _, vjp = torch.func.vjp(torch.func.grad(lambda x: loss(x, target).sum()), z)
        return vjp(along)[0]

    assert gradcheck(second, (input,), check_forward_ad=True)


@pytest.mark.slow
@each_smooth_case
def test_third_derivative_with_the_target_in_between(entry: Entry, kind: str) -> None:
    input, target = leaves(*sample(entry, kind, (2, 3)))
    loss = entry.build(reduction="none")

    def first(z: Tensor, t: Tensor) -> Tensor:
        return torch.autograd.grad(loss(z, t).sum(), z, create_graph=True)[0]

    # Mixed derivatives: d2L/dz dt, and the next one.
    assert gradcheck(first, (input, target))
    assert gradgradcheck(first, (input, target))


# --- weights -------------------------------------------------------------------------------------

Z = torch.randn(2, 3, dtype=torch.float64, generator=generator)
T = torch.rand(2, 3, dtype=torch.float64, generator=generator) * 0.9 + 0.05
Y = torch.tensor([2, 0])
X = torch.rand(2, 3, dtype=torch.float64, generator=generator) * 0.9 + 0.05
WEIGHTED: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "bce": (lambda x, t, w: functional.binary_cross_entropy(x, t, w), (X, T, positive(3))),
    "bce-with-logits": (
        lambda z, t, w, p: functional.binary_cross_entropy_with_logits(z, t, w, pos_weight=p),
        (Z, T, positive(2, 1), positive(3)),
    ),
    "sigmoid-mse": (lambda z, t, w: functional.sigmoid_mse(z, t, w), (Z, T, positive(3))),
    "probability-sum": (lambda z, t, w: functional.probability_sum(z, t, w), (Z, T, positive(1))),
    "zero-one": (lambda z, t, w: functional.zero_one(z, t, w), (Z, T, positive(2, 3))),
    "mse": (lambda z, t, w: functional.mse_loss(z, t, weight=w), (Z, T, positive(2, 3))),
    "cross-entropy-index": (
        lambda z, y, w: functional.cross_entropy(z, y, w, label_smoothing=0.2),
        (Z, Y, positive(3)),
    ),
    "cross-entropy-distribution": (
        lambda z, t, w: functional.cross_entropy(z, t, w, label_smoothing=0.2),
        (Z, T, positive(3)),
    ),
    "nll": (lambda x, y, w: functional.nll_loss(x, y, w), (Z, Y, positive(3))),
}


@pytest.mark.parametrize(("function", "inputs"), WEIGHTED.values(), ids=list(WEIGHTED))
def test_derivatives_by_targets_and_weights(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...]
) -> None:
    check_derivatives(function, *leaves(*inputs))


@each_built_in_case
def test_derivatives_by_the_weights_of_every_loss(entry: Entry, kind: str) -> None:
    if "weight" not in inspect.signature(entry.module).parameters:
        pytest.skip("has no weights")
    input, target = sample(entry, kind)
    # One weight a class for rows, one a column for single logits.
    input, weight = leaves(input, positive(4))

    def loss(z: Tensor, w: Tensor) -> Tensor:
        return entry.build(weight=w)(z, target)

    assert gradcheck(loss, (input, weight), check_forward_ad=True)
    assert gradgradcheck(loss, (input, weight))


# --- the mechanism -------------------------------------------------------------------------------


def wave(curvature: float = -1.0) -> Callable[..., Tensor]:
    """a sin z, whose second derivative is -a sin z; any other `curvature` is wrong."""
    forms = ClosedForms(
        "wave",
        lambda z, a: a * torch.sin(z),
        lambda z, a: a * torch.cos(z),
        lambda z, v, a: curvature * a * torch.sin(z) * v,
    )
    return differentiable(forms)


def test_a_name_is_that_of_one_loss() -> None:
    """Kernels are named after their closed forms, and so are files, logs and errors."""
    named: dict[str, object] = {}
    for request in requests(everything=True):
        assert named.setdefault(request.loss.forms.name, request.loss) is request.loss


def test_a_loss_of_ones_own_is_three_formulas() -> None:
    check_derivatives(wave(), *leaves(Z, positive(2, 3)))


def test_derivatives_are_the_given_rungs_and_not_autograds() -> None:
    z, a = leaves(Z, positive(2, 3))
    (first,) = torch.autograd.grad(wave(5.0)(z, a).sum(), z, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), z)
    torch.testing.assert_close(second, 5 * a * torch.sin(z))


def test_past_the_last_rung_derivatives_are_those_of_the_hvp() -> None:
    z, a = leaves(Z, positive(2, 3))
    derivative = wave()(z, a)
    sin, cos = a * torch.sin(z), a * torch.cos(z)
    for expected in (cos, -sin, -cos, sin, cos):
        (derivative,) = torch.autograd.grad(derivative.sum(), z, create_graph=True)
        torch.testing.assert_close(derivative, expected)


@pytest.mark.parametrize("shape", [(), (1,), (2, 1)], ids=str)
def test_the_gradient_of_a_target_that_is_broadcast_is_summed_once(shape: tuple[int, ...]) -> None:
    z, t = torch.tensor([[1.0, 2.0, 4.0], [0.0, -1.0, 0.5]]), torch.full(shape, 0.25)
    exact = (2 * (t - z)).sum_to_size(shape)
    loss = differentiable(mse_formula.forms)
    leaf = t.clone().requires_grad_()
    assert torch.equal(torch.autograd.grad(loss(z, leaf).sum(), leaf)[0], exact)
    assert torch.equal(torch.func.grad(lambda t: loss(z, t).sum())(t), exact)
    changed = torch.func.jvp(lambda t: loss(z, t), (t,), (torch.ones_like(t),))[1]
    assert torch.equal(changed, 2 * (t - z))


def test_one_tensor_in_both_places() -> None:
    (z,) = leaves(Z)
    (both,) = torch.autograd.grad(mse_formula(z, z).sum(), z)
    torch.testing.assert_close(both, torch.zeros_like(z))
    (both,) = torch.autograd.grad(wave()(z, z).sum(), z)
    torch.testing.assert_close(both, torch.sin(z) + z * torch.cos(z))


def test_only_what_needs_a_gradient_gets_one() -> None:
    z, a = leaves(Z, positive(2, 3))
    wave()(z, a.detach()).sum().backward()
    assert z.grad is not None
    assert a.grad is None


@each_case
def test_nothing_is_kept_but_the_inputs(
    entry: Entry, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of rows the gradient, where torch keeps their log-softmax."""
    monkeypatch.setattr(call, "SMALL", 0)
    input, target = sample(entry, kind, (64, 16), torch.float32)
    kept = kept_bytes(entry.build(), input.requires_grad_(), target)
    given = input.nbytes + target.nbytes
    with by_formulas_only():
        alone = kept_bytes(entry.build(), input, target)
    # A number a row may be kept as well: which rows count, and how much.
    assert 0 < alone <= given + 64 * 8
    assert 0 < kept <= given + 64 * 8 + input.nbytes * (entry.task != "binary")


@each_case
def test_only_what_needs_a_gradient_gets_one_from_a_loss(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind)
    loss = entry.build(reduction="none")
    assert not loss(input, target).requires_grad
    input, target = leaves(input, target)
    value = loss(input, target)
    (alone,) = torch.autograd.grad(value.sum(), input, retain_graph=True)
    if target.requires_grad:
        both = torch.autograd.grad(value.sum(), (input, target))
        assert torch.equal(both[0], alone)
        (by_target,) = torch.autograd.grad(loss(input.detach(), target).sum(), target)
        assert torch.equal(both[1], by_target)


@each_case
def test_inputs_are_never_written_to(entry: Entry, kind: str) -> None:
    input, target = leaves(*sample(entry, kind))
    kept = [x.detach().clone() for x in (input, target)]
    loss = entry.build()
    (first,) = torch.autograd.grad(loss(input, target), input, create_graph=True)
    torch.autograd.grad(first.sum(), input)
    torch.func.jvp(lambda z: loss(z, target), (input,), (torch.ones_like(input),))
    for now, before in zip((input, target), kept, strict=True):
        assert now._version == 0
        assert torch.equal(now.detach(), before)
