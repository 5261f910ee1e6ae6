"""Losses of a row of logits: digits where the model is certain, infinities, and the facts about
them that can be proved on paper. Truth is arithmetic of many digits: a plain float64 formula
cancels as well."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lossbench.losses import functional, registry

from .cases import QUICK, assert_near, exactly, tensors, value_and_gradient

NAMES = ["cross-entropy", "softmax-mse", "bernoulli-sum"]
each_softmax_loss = pytest.mark.parametrize("name", NAMES)
INF = float("inf")


def errors(name: str, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The largest relative error of the values and of the gradients (by their largest entry)."""
    # The dtype is that of the rows; the classes are last.
    value, gradient = value_and_gradient(registry.get(name, reduction="sum"), z, t)
    value = registry.get(name, reduction="none")(z, t)
    value_truth, truth = exactly(name, z, t)
    floor = torch.finfo(z.dtype).tiny  # Below this digits end.
    off = (value.double() - value_truth).abs() / value_truth.clamp_min(floor)
    size = truth.abs().amax(-1, keepdim=True).clamp_min(floor)
    # value_and_gradient pulls back 1/4, the first of its weights.
    return off.max(), ((4 * gradient.double() - truth).abs() / size).max()


def rows(classes: int, spread: float, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z = spread * torch.randn(120, classes, generator=generator)
    y = torch.randint(classes, (120,), generator=generator)
    # Half of the rows are right, so that both small and large losses occur.
    y[::2] = z.argmax(-1)[::2]
    return z.to(dtype), F.one_hot(y, classes).to(dtype)


# --- digits --------------------------------------------------------------------------------------

# A logit difference d is rounded to within d / 2 ulp and exp makes of that a relative error of the
# same size: at most 6e-8 * 45 at spread 8 and 6e-8 * 88 at spread 50, where float32 underflows.
# A square doubles it.
BOUNDS = {1.0: 2e-6, 8.0: 4e-6, 50.0: 1e-5}


@pytest.mark.parametrize("spread", list(BOUNDS))
@each_softmax_loss
def test_float64_keeps_its_digits(name: str, spread: float) -> None:
    # Differences reach 250 here, because float64 does not underflow at 88.
    value, gradient = errors(name, *rows(3, spread, torch.float64))
    assert value <= 5 * BOUNDS[spread] * 2.0**-29
    assert gradient <= 5 * BOUNDS[spread] * 2.0**-29


def test_two_classes_at_spread_8_are_as_good_as_torch_or_better() -> None:
    generator = torch.Generator().manual_seed(0)
    z = 8 * torch.randn(4096, 2, generator=generator)
    y = torch.randint(2, (4096,), generator=generator)
    # Of two classes the loss is softplus of one difference, which float64 has to 1e-13.
    d = (z.double() * (1 - 2 * F.one_hot(y, 2))).sum(-1)
    expected, expected_slope = F.softplus(d), torch.sigmoid(d)
    truth = torch.where(d < -30, torch.exp(d), expected)
    ours, slope = value_and_gradient(lambda x: functional.cross_entropy(x, y, reduction="sum"), z)
    ours = functional.cross_entropy(z, y, reduction="none")
    theirs = F.cross_entropy(z, y, reduction="none")
    worst = ((ours.double() - truth).abs() / truth).max()
    assert worst <= 4e-6
    assert worst <= ((theirs.double() - truth).abs() / truth).max()
    assert (ours > 0).all()
    at_target = -4 * slope.gather(-1, y.unsqueeze(-1)).squeeze(-1)
    elsewhere = 4 * slope.gather(-1, 1 - y.unsqueeze(-1)).squeeze(-1)
    for entry in (at_target, elsewhere):
        assert ((entry.double() - expected_slope).abs() / expected_slope).max() <= 4e-6


def test_indices_and_one_hot_rows_keep_the_same_digits() -> None:
    z, t = rows(4, 8.0, torch.float32)
    loss = registry.get("cross-entropy", reduction="none")
    torch.testing.assert_close(loss(z, t.argmax(-1)), loss(z, t), rtol=1e-6, atol=0.0)
    by_index = value_and_gradient(loss, z, t.argmax(-1))[1]
    torch.testing.assert_close(by_index, value_and_gradient(loss, z, t)[1], rtol=2e-6, atol=1e-30)


# --- infinities, NaN, ties, a single class -------------------------------------------------------


def index_and_row(name: str, z: list[float], y: int) -> list[tuple[Tensor, Tensor]]:
    input, loss = torch.tensor([z]), registry.get(name, reduction="none")
    index = torch.tensor([y])
    return [value_and_gradient(loss, input, t) for t in (index, F.one_hot(index, len(z)).float())]


@each_softmax_loss
def test_an_infinite_logit_on_the_right_class_is_no_loss(name: str) -> None:
    for value, gradient in index_and_row(name, [0.0, INF, 1.0], 1):
        assert value.tolist() == [0.0]
        assert gradient.tolist() == [[0.0, 0.0, 0.0]]


@each_softmax_loss
def test_an_infinite_logit_on_a_wrong_class_is_the_greatest_loss(name: str) -> None:
    for value, _ in index_and_row(name, [0.0, INF, 1.0], 0):
        assert value.item() == (2.0 if name == "softmax-mse" else INF)


@each_softmax_loss
@pytest.mark.parametrize("right", [0, 1, 2])
def test_two_infinite_logits_share_the_probability(name: str, right: int) -> None:
    equal = index_and_row(name, [30.0, 30.0, -200.0], right)
    for (value, gradient), (same, same_gradient) in zip(
        index_and_row(name, [INF, INF, 1.0], right), equal, strict=True
    ):
        assert_near(gradient, same_gradient)
        if right < 2 or name == "softmax-mse":
            assert_near(value, same)
        else:
            assert value.item() == INF


@each_softmax_loss
def test_a_masked_class_changes_nothing(name: str) -> None:
    masked, open_ = index_and_row(name, [0.5, -INF, 1.0], 2), index_and_row(name, [0.5, 1.0], 1)
    for (value, gradient), (expected, expected_gradient) in zip(masked, open_, strict=True):
        assert_near(value, expected)
        assert_near(gradient[:, [0, 2]], expected_gradient)
        assert gradient[0, 1] == 0
    for value, _ in index_and_row(name, [0.5, -INF, 1.0], 1):
        assert value.item() == INF or name == "softmax-mse"


@each_softmax_loss
@pytest.mark.parametrize("y", [0, 2], ids=["tied", "below"])
def test_ties_of_the_largest_logit_are_not_special(name: str, y: int) -> None:
    z = torch.tensor([[1.0, 1.0, -1.0, 1.0]], dtype=torch.float64)
    target = torch.tensor([y])
    entry = registry.entry(name)

    def ours(x: Tensor) -> Tensor:
        return entry.build()(x, target)

    def plain(x: Tensor) -> Tensor:
        return entry.reference(x, target)

    assert_near(ours(z), plain(z))
    assert_near(torch.func.grad(ours)(z), torch.func.grad(plain)(z))
    assert_near(torch.func.hessian(ours)(z), torch.autograd.functional.hessian(plain, z), ulps=1000)


@each_softmax_loss
def test_one_class_is_always_right(name: str) -> None:
    for value, gradient in index_and_row(name, [0.7], 0):
        assert value.tolist() == [0.0]
        assert gradient.tolist() == [[0.0]]


# --- facts ---------------------------------------------------------------------------------------

logits = tensors((3, 4), -9.0, 9.0, torch.float64)
pairs = tensors((5, 2), -9.0, 9.0, torch.float64)
indices = st.lists(st.integers(0, 3), min_size=3, max_size=3).map(torch.tensor)
mixtures = tensors((3, 4), 0.0, 1.0, torch.float64).map(lambda x: torch.softmax(x, -1))
probabilities = tensors((5,), 0.0, 1.0, torch.float64)


def gradients(name: str, z: Tensor, target: Tensor) -> Tensor:
    return value_and_gradient(registry.get(name, reduction="none"), z, target)[1]


@each_softmax_loss
@QUICK
@given(z=logits, target=st.one_of(indices, mixtures), by=st.floats(-50, 50))
def test_only_differences_of_logits_count(name: str, z: Tensor, target: Tensor, by: float) -> None:
    loss = registry.get(name, reduction="none")
    # The shift itself is rounded, to 50 ulp, and the weights of value_and_gradient are below 2.
    assert_near(loss(z + by, target), loss(z, target), ulps=1000)
    assert_near(gradients(name, z + by, target), gradients(name, z, target), ulps=1000)
    sums = gradients(name, z, target).sum(-1)
    assert_near(sums, torch.zeros_like(sums))


@each_softmax_loss
@QUICK
@given(z=logits, target=mixtures, order=st.permutations(range(4)))
def test_classes_can_be_renumbered(name: str, z: Tensor, target: Tensor, order: Any) -> None:
    loss = registry.get(name, reduction="none")
    assert_near(loss(z[:, order], target[:, order]), loss(z, target))
    moved = gradients(name, z[:, order], target[:, order])
    assert_near(moved, gradients(name, z, target)[:, order])


@QUICK
@given(z=pairs, t=probabilities)
def test_two_classes_are_one_logit(z: Tensor, t: Tensor) -> None:
    # Class 1 is what a single logit speaks of: its logit is the difference z_1 - z_0.
    d, both = z[:, 1] - z[:, 0], torch.stack([1 - t, t], -1)
    cross_entropy = functional.cross_entropy(z, both, reduction="none")
    bce = functional.binary_cross_entropy_with_logits(d, t, reduction="none")
    assert_near(cross_entropy, bce)
    assert_near(functional.bernoulli_sum(z, both, reduction="none"), 2 * cross_entropy)
    brier = functional.softmax_mse(z, both, reduction="none")
    assert_near(brier, 4 * functional.sigmoid_mse(d, t, reduction="none"))


@QUICK
@given(z=logits, y=indices)
def test_cross_entropy_is_nll_of_log_softmax(z: Tensor, y: Tensor) -> None:
    expected = functional.nll_loss(torch.log_softmax(z, -1), y, reduction="none")
    assert_near(functional.cross_entropy(z, y, reduction="none"), expected)


@each_softmax_loss
@QUICK
@given(z=logits, target=mixtures)
def test_the_target_itself_is_the_best_prediction(name: str, z: Tensor, target: Tensor) -> None:
    # Proper scoring rules: no prediction beats the distribution that the examples come from.
    loss = registry.get(name, reduction="none")
    best = loss(target.log(), target)
    assert (loss(z, target) >= best - 1e-12).all()
    still = gradients(name, target.log(), target)
    assert_near(still, torch.zeros_like(still))
