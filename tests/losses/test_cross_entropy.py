"""What is made of cross-entropy: z-loss, soft-capping, logit adjustment, class-balanced weights.
Truth is torch's cross_entropy of what they do to its logits, and the textbook formula."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from mpmath import mp
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from lossbench import losses
from lossbench.losses import functional

from .cases import assert_near, each_reduction, exactly, value_and_gradient

mpmath = mp.clone()  # A context of its own, because precision is global.
mpmath.dps = 60
generator = torch.Generator().manual_seed(0)
Z = 4 * torch.randn(6, 4, 3, generator=generator, dtype=torch.float64)
Y = torch.randint(4, (6, 3), generator=generator)
Y[0, 0] = -100
T = torch.softmax(torch.randn(6, 4, 3, generator=generator, dtype=torch.float64), 1)
WEIGHT = torch.tensor([0.5, 2.0, 0.0, 1.25], dtype=torch.float64)
each_weight = pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
each_target = pytest.mark.parametrize("target", [Y, T], ids=["index", "distribution"])


def check(ours: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor]) -> None:
    value, gradient = value_and_gradient(ours, Z)
    expected, expected_gradient = value_and_gradient(theirs, Z)
    assert_near(value, expected, room=100)
    assert_near(gradient, expected_gradient, room=100)


def rows_of_z_loss(target: Tensor, weight: Tensor | None) -> Tensor:
    """What a row's squared log-partition counts: its weight, 0 where it is ignored."""
    w = torch.ones(4, dtype=torch.float64) if weight is None else weight
    if target.is_floating_point():
        return (target * w[:, None]).sum(1)
    return torch.where(target < 0, 0.0, w[target.clamp_min(0)])


@each_target
@each_weight
@each_reduction
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("softcap", [None, 2.5])
def test_z_loss_and_soft_capping(
    target: Tensor, weight: Tensor | None, reduction: str, smoothing: float, softcap: float | None
) -> None:
    def plain(z: Tensor) -> Tensor:
        if softcap is not None:
            z = softcap * torch.tanh(z / softcap)
        options = {"weight": weight, "label_smoothing": smoothing}
        loss = F.cross_entropy(z, target, reduction=reduction, **options)
        counts = rows_of_z_loss(target, weight)
        extra = 0.3 * counts * torch.logsumexp(z, 1).square()
        if reduction == "mean":
            return loss + extra.sum() / (counts.sum() if target is Y else counts.numel())
        return loss + (extra.sum() if reduction == "sum" else extra)

    check(
        lambda z: functional.cross_entropy(
            z,
            target,
            weight,
            reduction=reduction,
            label_smoothing=smoothing,
            z_loss=0.3,
            softcap=softcap,
        ),
        plain,
    )


@each_target
def test_derivatives_of_all_options_together(target: Tensor) -> None:
    z = Z[:2].clone().requires_grad_()
    t = target[:2].clone().requires_grad_(target.is_floating_point())
    weight = (WEIGHT + 0.1).requires_grad_()

    def loss(z: Tensor, t: Tensor, weight: Tensor) -> Tensor:
        options = {"label_smoothing": 0.1, "z_loss": 0.2, "softcap": 3.0}
        return functional.cross_entropy(z, t, weight, **options)

    assert gradcheck(loss, (z, t, weight), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(loss, (z, t, weight), check_fwd_over_rev=True)


@pytest.mark.parametrize("far", [3.0, 60.0, 200.0, 3000.0])
def test_a_cap_keeps_the_digits_of_a_pull_that_it_nearly_stops(far: float) -> None:
    # dL/dz of a logit beyond the cap is that at the cap over cosh^2: in float32 1 - tanh^2 is 0.
    z = torch.tensor([[far, -far]])
    _, gradient = value_and_gradient(
        lambda z: functional.cross_entropy(z, torch.tensor([1]), softcap=30.0), z
    )
    _, expected = exactly("soft-capped", z, torch.tensor([1]))
    assert 4 * gradient[0, 0].item() == pytest.approx(expected[0, 0].item(), rel=4e-6, abs=1e-38)


def test_a_wide_cap_is_none_and_a_z_loss_of_nothing_is_none() -> None:
    plain = functional.cross_entropy(Z, Y, reduction="none")
    assert_near(functional.cross_entropy(Z, Y, reduction="none", softcap=1e9), plain)
    assert torch.equal(functional.cross_entropy(Z, Y, reduction="none", z_loss=0.0), plain)


def test_z_loss_is_least_where_the_partition_is_one() -> None:
    z = torch.log_softmax(Z, 1)
    at_one = functional.cross_entropy(z, Y, z_loss=1.0)
    assert_near(at_one, functional.cross_entropy(z, Y))
    for shift in (-0.5, 0.5):
        assert_near(functional.cross_entropy(z + shift, Y, z_loss=1.0), at_one + 0.25)


# --- logit adjustment ----------------------------------------------------------------------------

COUNTS = torch.tensor([1000, 200, 30, 1])


@each_target
@each_weight
@each_reduction
@pytest.mark.parametrize("tau", [1.0, 0.5, -2.0])
def test_logits_are_shifted_by_the_prior(
    target: Tensor, weight: Tensor | None, reduction: str, tau: float
) -> None:
    shift = tau * torch.log(COUNTS.double() / COUNTS.sum())[:, None]
    options = {"weight": weight, "reduction": reduction}
    check(
        lambda z: functional.logit_adjusted_cross_entropy(
            z, target, prior=COUNTS, tau=tau, **options
        ),
        lambda z: F.cross_entropy(z + shift, target, **options),
    )


def test_counts_and_frequencies_are_the_same_prior() -> None:
    one = functional.logit_adjusted_cross_entropy(Z, Y, prior=COUNTS)
    assert_near(functional.logit_adjusted_cross_entropy(Z, Y, prior=COUNTS / 1231), one, 1e9)
    assert not torch.allclose(one, functional.cross_entropy(Z, Y))


def test_an_equal_prior_and_no_tau_are_cross_entropy() -> None:
    plain = functional.cross_entropy(Z, Y)
    for prior, tau in ((None, 1.0), (torch.full((4,), 7), 1.0), (COUNTS, 0.0)):
        assert_near(functional.logit_adjusted_cross_entropy(Z, Y, prior=prior, tau=tau), plain)


def test_one_row_has_a_prior_too() -> None:
    row = functional.logit_adjusted_cross_entropy(Z[1, :, 0], Y[1, 0], prior=COUNTS)
    assert_near(row, functional.logit_adjusted_cross_entropy(Z[1:2, :, 0], Y[1:2, 0], prior=COUNTS))


def test_narrow_logits_are_shifted_in_float32() -> None:
    z = Z.bfloat16()
    shift = torch.log(COUNTS.double())[:, None]
    ours = functional.logit_adjusted_cross_entropy(z, Y, prior=COUNTS, reduction="none")
    exact = F.cross_entropy(z.double() + shift, Y, reduction="none")
    assert ours.dtype == torch.bfloat16
    assert_near(ours, exact, ulps=0.51, room=0)


@pytest.mark.parametrize(
    ("prior", "error", "words"),
    [
        (torch.tensor([3, 2, 0, 1]), ValueError, ("prior", "above 0", "(2,)")),
        (torch.tensor([3.0, -2.0, 1.0, 1.0]), ValueError, ("prior", "-2.0", "(1,)")),
        (torch.tensor([3.0, float("nan"), 1.0, 1.0]), ValueError, ("prior", "nan")),
        (torch.ones(3), RuntimeError, ("prior", "4 classes", "(3,)")),
    ],
    ids=["zero", "negative", "nan", "short"],
)
def test_a_prior_that_is_none(prior: Tensor, error: type, words: tuple[str, ...]) -> None:
    with pytest.raises(error) as caught:
        functional.logit_adjusted_cross_entropy(Z, Y, prior=prior)
    assert all(word in str(caught.value) for word in words)


def test_the_prior_is_state() -> None:
    module = losses.LogitAdjustedLoss(prior=COUNTS, tau=0.5)
    assert set(module.state_dict()) == {"prior"}
    assert "tau=0.5" in repr(module)
    assert "prior=[4]" in repr(module)
    assert_near(module(Z, Y), functional.logit_adjusted_cross_entropy(Z, Y, prior=COUNTS, tau=0.5))


# --- class-balanced weights ----------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.9999, 1 - 1e-9])
def test_class_balanced_weights_are_those_of_the_formula(beta: float) -> None:
    b = mpmath.mpf(beta)
    exact = [(1 - b) / (1 - b**n) for n in COUNTS.tolist()]
    scale = 4 / mpmath.fsum(exact)
    expected = torch.tensor([float(w * scale) for w in exact], dtype=torch.float64)
    weight = functional.class_balanced_weight(COUNTS, beta)
    assert weight.dtype == torch.float32
    assert_near(weight, expected, ulps=1, room=0)
    assert weight.sum().item() == pytest.approx(4, rel=1e-6)


def test_large_counts_are_not_rounded() -> None:
    # One more than float32 can tell apart.
    counts = torch.tensor([2**24 + 1, 2**24, 1])
    torch.set_default_dtype(torch.float64)
    try:
        weight = functional.class_balanced_weight(counts, 1 - 1e-12)
    finally:
        torch.set_default_dtype(torch.float32)
    assert weight[0] < weight[1]


def test_the_ends_of_beta_are_no_weights_and_inverse_frequencies() -> None:
    assert functional.class_balanced_weight(COUNTS, 0.0).tolist() == [1.0] * 4
    inverse = 1 / COUNTS.double()
    weight = functional.class_balanced_weight(COUNTS, 1 - 1e-12)
    assert_near(weight, 4 * inverse / inverse.sum(), ulps=4, room=0)


@pytest.mark.parametrize(
    ("counts", "beta", "words"),
    [
        (torch.tensor([3, 0]), 0.9, ("counts", "at least 1", "(1,)")),
        (torch.tensor([[3, 1]]), 0.9, ("counts", "(1, 2)", "(C,)")),
        (COUNTS, 1.0, ("beta=1.0", "below 1")),
        (COUNTS, -0.1, ("beta=-0.1", "at least 0")),
        (COUNTS, float("nan"), ("beta=nan",)),
    ],
    ids=["no-example", "two-dimensional", "one", "negative", "nan"],
)
def test_counts_and_betas_that_are_none(
    counts: Tensor, beta: float, words: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        functional.class_balanced_weight(counts, beta)
    assert all(word in str(caught.value) for word in words)
