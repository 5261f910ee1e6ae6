"""The Kullback-Leibler divergence, the one likelihood loss with a reduction of its own."""

import inspect
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import losses
from lossbench.losses import functional

from .cases import assert_near, value_and_gradient
from .test_closed_form import check_derivatives, leaves

INF = float("inf")
generator = torch.Generator().manual_seed(0)
X = torch.randn(5, 4, dtype=torch.float64, generator=generator).log_softmax(-1)
T = torch.randn(5, 4, dtype=torch.float64, generator=generator).softmax(-1)
each_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])


def compare(input: Tensor, target: Tensor, **options: Any) -> None:
    ours = value_and_gradient(lambda x: functional.kl_div(x, target, **options), input)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's 'mean' warns.
        theirs = value_and_gradient(lambda x: F.kl_div(x, target, **options), input)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        assert_near(one, other, room=max(1, input.numel()))


@each_reduction
@pytest.mark.parametrize("log_target", [False, True])
def test_torchs_options(reduction: str, log_target: bool) -> None:
    options = {"reduction": reduction, "log_target": log_target}
    for shape in ((5, 4), (20,), (5, 2, 2), (1, 5, 4)):
        x, t = X.reshape(shape), T.reshape(shape)
        compare(x, t.log() if log_target else t, **options)
    compare(X[0, 0], T[0, 0], **options)
    compare(X[:0], T[:0], **options)
    wide = functional.kl_div(X.float(), T, **options)
    assert wide.dtype == torch.float64
    # Broadcast, both ways; the batch is that of the input.
    compare(X, T[0], **options)
    compare(X[0], T, **options)


@each_reduction
def test_hard_targets(reduction: str) -> None:
    hard = F.one_hot(torch.arange(5) % 4, 4).double()
    compare(X, hard, reduction=reduction)
    nll = functional.nll_loss(X, torch.arange(5) % 4, reduction="none")
    assert_near(functional.kl_div(X, hard, reduction="none").sum(-1), nll)


@each_reduction
def test_no_warning(reduction: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        functional.kl_div(X, T, reduction=reduction)


@pytest.mark.parametrize("log_target", [False, True])
def test_a_target_of_zero_contributes_nothing(log_target: bool) -> None:
    x = torch.tensor([-INF, -2.0, -INF, 0.0]).requires_grad_()
    t = torch.tensor([0.0, 0.0, 0.5, 1.0])
    t = (t.log() if log_target else t).requires_grad_()
    assert F.kl_div(x, t, reduction="none", log_target=log_target)[0].isnan()
    value = functional.kl_div(x, t, reduction="none", log_target=log_target)
    assert torch.equal(value, torch.tensor([0.0, 0.0, INF, 0.0]))
    by_input, by_target = torch.autograd.grad(value[[0, 1, 3]].sum(), (x, t), create_graph=True)
    assert torch.equal(by_input, torch.tensor([0.0, 0.0, 0.0, -1.0]))
    assert torch.equal(by_target[[0, 1, 3]], torch.tensor([0.0, 0.0, 1.0]))


def test_it_is_least_where_the_distributions_are_the_same() -> None:
    assert_near(functional.kl_div(T.log(), T, reduction="none"), torch.zeros_like(T))
    assert (functional.kl_div(X, T, reduction="none").sum(-1) > 0).all()
    entropy = -(T * T.log()).sum(-1)
    cross = functional.cross_entropy(X, T, reduction="none")
    assert_near(functional.kl_div(X, T, reduction="none").sum(-1), cross - entropy)


def test_derivatives_by_input_and_target() -> None:
    for reduction in ("none", "batchmean"):
        check_derivatives(lambda x, t: functional.kl_div(x, t, reduction=reduction), *leaves(X, T))  # noqa: B023
    check_derivatives(lambda x, s: functional.kl_div(x, s, log_target=True), *leaves(X, T.log()))


@pytest.mark.parametrize(
    ("input", "target", "message"),
    [
        (X.long(), T, r"input\.float"),
        (X, T.long(), r"target\.float"),
        (X, T > 0.5, r"target\.float"),
        (X, T[:, :3], "must match"),
    ],
    ids=["input-int", "target-int", "target-bool", "shape"],
)
def test_what_torch_rejects(input: Tensor, target: Tensor, message: str) -> None:
    with pytest.raises(RuntimeError):
        F.kl_div(input, target, reduction="sum")
    with pytest.raises(RuntimeError, match=message):
        functional.kl_div(input, target, reduction="sum")


@pytest.mark.parametrize("reduction", ["batch_mean", "Mean", None], ids=repr)
def test_bad_reductions(reduction: Any) -> None:
    for build in (lambda: functional.kl_div(X, T, reduction=reduction), losses.KLDivLoss):
        with pytest.raises(ValueError, match=r"not a valid value for reduction.*batchmean"):
            build() if build is not losses.KLDivLoss else build(reduction=reduction)
    # It is this loss's alone.
    with pytest.raises(ValueError, match="'batchmean' is not a valid"):
        losses.NLLLoss(reduction="batchmean")
    with pytest.raises(ValueError, match="'batchmean' is not a valid"):
        functional.nll_loss(X, torch.zeros(5, dtype=torch.int64), reduction="batchmean")


def test_module() -> None:
    def parameters(of: Any) -> list[tuple[str, Any]]:
        known = inspect.signature(of).parameters.values()
        return [(p.name, p.default) for p in known if p.name not in ("size_average", "reduce")]

    assert parameters(losses.KLDivLoss) == parameters(nn.KLDivLoss)
    assert parameters(functional.kl_div) == parameters(F.kl_div)
    settings = {"reduction": "batchmean", "log_target": True}
    ours, theirs = losses.KLDivLoss(**settings), nn.KLDivLoss(**settings)
    assert_near(ours(X, T.log()), theirs(X, T.log()))
    assert repr(ours) == "KLDivLoss(log_target=True, reduction='batchmean')"
