"""Losses of the right class's probability, and those that forgive wrong labels: identities,
limits, a kink, and what they refuse."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor

from lossbench import losses
from lossbench.losses import functional, registry

from .cases import assert_near, each_reduction, normal, value_and_gradient

INF = math.inf
SHAPES = [(), (0,), (5,), (2, 3), (2, 3, 4)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)) or "0-d")


def uniform(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def same(ours: Callable[..., Tensor], theirs: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Values and gradients by the logits and by soft targets."""
    value, gradient = value_and_gradient(ours, *inputs)
    expected, expected_gradient = value_and_gradient(theirs, *inputs)
    assert_near(value, expected, 1e4, room=max(1, inputs[0].numel()))
    assert_near(gradient, expected_gradient, 1e4, room=max(1, inputs[0].numel()))


# --- sigmoid focal loss: torchvision's -----------------------------------------------------------


@each_shape
@each_reduction
@pytest.mark.parametrize("alpha", [-1, 0.0, 0.25, 1.0])
@pytest.mark.parametrize("gamma", [0, 0.5, 2])
@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
def test_focal_loss_is_that_of_torchvision(
    shape: tuple[int, ...], reduction: str, alpha: float, gamma: float, hard: bool
) -> None:
    z, t = normal(*shape), uniform(*shape)
    t = t.round() if hard else t
    options = {"alpha": alpha, "gamma": gamma, "reduction": reduction}

    def ours(z: Tensor, t: Tensor) -> Tensor:
        return functional.sigmoid_focal_loss(z, t, **options)

    def theirs(z: Tensor, t: Tensor) -> Tensor:
        return torchvision.ops.sigmoid_focal_loss(z, t, **options)

    same(ours, theirs, z, t)
    if not hard:
        same(lambda t, z: ours(z, t), lambda t, z: theirs(z, t), t, z)


def test_focal_parameters_are_those_of_torchvision() -> None:
    theirs = inspect.signature(torchvision.ops.sigmoid_focal_loss).parameters
    ours = inspect.signature(functional.sigmoid_focal_loss).parameters
    assert {k: p.default for k, p in ours.items()} == {k: p.default for k, p in theirs.items()}
    assert list(ours) == list(theirs)
    assert repr(registry.get("focal", gamma=0.5)).count("gamma=0.5") == 1


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2])
@pytest.mark.parametrize("z", [100.0, 1e4, -100.0, -1e4, INF, -INF])
@pytest.mark.parametrize("t", [0.0, 1.0])
def test_focal_derivatives_are_finite_where_the_model_is_certain(
    gamma: float, z: float, t: float
) -> None:
    logit = torch.tensor(z, requires_grad=True)
    value = functional.sigmoid_focal_loss(logit, torch.tensor(t), gamma=gamma)
    (first,) = torch.autograd.grad(value, logit, create_graph=True)
    (second,) = torch.autograd.grad(first, logit)
    weight = 0.25 if t else 0.75
    wrong = (z < 0) == (t == 1)
    # A certain and wrong example has the gradient of cross-entropy, a certain and right one none.
    assert first.item() == pytest.approx((weight if z > 0 else -weight) if wrong else 0, abs=1e-19)
    assert second.item() == pytest.approx(0, abs=1e-19)
    assert value.item() == pytest.approx(weight * abs(z) if wrong else 0, abs=1e-19)


# --- identities ----------------------------------------------------------------------------------

ROWS = [(4,), (5, 4), (3, 4, 2), (0, 4)]
each_rows = pytest.mark.parametrize("shape", ROWS, ids=lambda s: "x".join(map(str, s)))
WEIGHT = torch.tensor([0.5, 2.0, 0.0, 1.25], dtype=torch.float64)


@each_rows
@each_reduction
@pytest.mark.parametrize("soft", [True, False], ids=["distribution", "index"])
@pytest.mark.parametrize(
    ("name", "settings", "factor"),
    [
        ("softmax_focal_loss", {"gamma": 0.0}, 1),
        ("poly1", {"epsilon": 0.0}, 1),
        ("generalized_cross_entropy", {"q": 1e-9}, 1),
        ("symmetric_cross_entropy", {"alpha": 0.5, "beta": 0.0}, 0.5),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_what_is_cross_entropy_in_the_limit(
    shape: tuple[int, ...],
    reduction: str,
    soft: bool,
    name: str,
    settings: dict[str, Any],
    factor: float,
) -> None:
    z, classes = normal(*shape), min(1, len(shape) - 1)
    t = torch.softmax(normal(*shape), classes) if soft else normal(*shape).argmax(classes)
    options = {"weight": WEIGHT, "reduction": reduction}

    def ours(z: Tensor) -> Tensor:
        return getattr(functional, name)(z, t, **settings, **options)

    def theirs(z: Tensor) -> Tensor:
        # Weights of distributions: one a row here, one a term in cross_entropy.
        if soft:
            each = functional.cross_entropy(z, t, reduction="none")
            scale = (t.movedim(classes, -1) * WEIGHT).sum(-1)
            each = scale * each
            whole = each.mean() if reduction == "mean" else each.sum()
            return factor * (each if reduction == "none" else whole)
        return factor * torch.nn.functional.cross_entropy(z, t, **options)

    value, gradient = value_and_gradient(ours, z)
    expected, expected_gradient = value_and_gradient(theirs, z)
    torch.testing.assert_close(value, expected, rtol=1e-7, atol=1e-7, equal_nan=True)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-7, atol=1e-7, equal_nan=True)


# The loss of one logit z is that of the two logits (0, z), and a target t is the row (1 - t, t).
TWINS = {
    "probability_sum": ("softmax_probability_sum", {}),
    "sigmoid_poly1": ("poly1", {"epsilon": -0.7}),
    "sigmoid_generalized_cross_entropy": ("generalized_cross_entropy", {"q": 0.4}),
    "sigmoid_squared_log": ("squared_log", {}),
    "sigmoid_symmetric_cross_entropy": (
        "symmetric_cross_entropy",
        {"alpha": 0.3, "beta": 2.0, "log_zero": -3.0},
    ),
    "sigmoid_bi_tempered_logistic": ("bi_tempered_logistic", {"t1": 0.3, "t2": 1.7}),
}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
def test_one_logit_is_two_classes(name: str, hard: bool) -> None:
    rows, settings = TWINS[name]
    z, t = normal(50), uniform(50)
    t = t.round() if hard else t

    def two(z: Tensor, t: Tensor) -> Tensor:
        row, targets = torch.stack([0 * z, z], -1), torch.stack([1 - t, t], -1)
        return getattr(functional, rows)(row, targets, **settings, reduction="none")

    def one(z: Tensor, t: Tensor) -> Tensor:
        return getattr(functional, name)(z, t, **settings, reduction="none")

    same(one, two, z, t)
    if not hard:
        same(lambda t, z: one(z, t), lambda t, z: two(z, t), t, z)


@each_shape
def test_limits_of_losses_of_one_logit(shape: tuple[int, ...]) -> None:
    z, t = normal(*shape), uniform(*shape)
    bce = functional.binary_cross_entropy_with_logits
    focal = functional.sigmoid_focal_loss
    hard = t.round()
    asymmetric = functional.asymmetric_loss
    same(lambda z: asymmetric(z, t, gamma_neg=0.0, clip=0.0), lambda z: bce(z, t), z)
    same(
        lambda z: asymmetric(z, hard, gamma_pos=2.0, gamma_neg=2.0, clip=0.0),
        lambda z: focal(z, hard, -1, 2.0, "mean"),
        z,
    )
    same(lambda z: functional.sigmoid_poly1(z, t, epsilon=0.0), lambda z: bce(z, t), z)
    same(
        lambda z: functional.sigmoid_generalized_cross_entropy(z, t, q=1.0),
        lambda z: functional.probability_sum(z, t),
        z,
    )


def test_a_weight_of_one_logit_multiplies() -> None:
    z, t, weight = normal(2, 3), uniform(2, 3), torch.tensor([0.5, 2.0, 0.0]).double()
    for name in (*TWINS, "asymmetric_loss"):
        loss = getattr(functional, name)
        assert_near(loss(z, t, weight, reduction="none"), weight * loss(z, t, reduction="none"))


# --- top-1 error ---------------------------------------------------------------------------------


def test_multiclass_zero_one_counts() -> None:
    z = torch.tensor([[1.0, 2.0, 2.0], [3.0, 0.0, 0.0], [0.0, -INF, INF], [0.0, math.nan, 1.0]])
    y = torch.tensor([2, 0, 2, 0])
    each = functional.multiclass_zero_one(z, y, reduction="none")
    # Of equal logits the first predicts, as torch.argmax has it.
    assert each[:3].tolist() == [1, 0, 0]
    assert each[3].isnan()
    t = torch.tensor([[0.2, 0.7, 0.1]]).expand(4, 3)
    expected = torch.nn.functional.one_hot(z[:3].argmax(-1), 3)
    soft = functional.multiclass_zero_one(z, t, reduction="none")
    torch.testing.assert_close(soft[:3], 1 - (t[:3] * expected).sum(-1))
    leaf = z[:3].clone().requires_grad_()
    functional.multiclass_zero_one(leaf, y[:3]).backward()
    assert not leaf.grad.any()


# --- infinite logits -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(
    "name",
    [
        "softmax-probability-sum",
        "poly-1",
        "generalized-cross-entropy",
        "squared-log",
        "symmetric-cross-entropy",
        "bi-tempered-logistic",
    ],
)
def test_an_infinite_logit_of_the_right_class_costs_nothing(name: str, dtype: torch.dtype) -> None:
    loss = registry.get(name, reduction="none")
    rows = [[INF, 0.0, -3.0], [0.0, -INF, -INF], [1e4, -1e4, -INF]]
    z = torch.tensor(rows, dtype=dtype)
    value, gradient = value_and_gradient(loss, z, torch.tensor([0, 0, 0]))
    # The tails of the tempered softmax are those of a power: 1e4 is not infinity.
    assert (value <= (1e-15 if name == "bi-tempered-logistic" else 0)).all()
    assert (gradient.abs() <= 1e-15).all()


@pytest.mark.parametrize("t", [0.0, 1.0])
def test_infinite_single_logits_have_limits(t: float) -> None:
    right, wrong = torch.tensor([INF, -INF]) if t else torch.tensor([-INF, INF])
    bounded = ["sigmoid-generalized-cross-entropy", "sigmoid-bi-tempered-logistic", "asymmetric"]
    for name in (*bounded, "sigmoid-poly-1", "sigmoid-squared-log", "focal"):
        loss = registry.get(name, reduction="none")
        value, gradient = value_and_gradient(loss, right, torch.tensor(t))
        assert value == 0
        assert gradient == 0
        value, gradient = value_and_gradient(loss, wrong, torch.tensor(t))
        assert not value.isnan()
        assert not gradient.isnan()
        if name in bounded and not (name == "asymmetric" and t):
            assert value.isfinite()
            assert gradient == 0


# --- a kink ---------------------------------------------------------------------------------------


def test_the_asymmetric_kink_is_torchs() -> None:
    # At sigma(0) = 1/2 = clip, with gamma 0, where the gradient jumps.
    z = torch.zeros((), dtype=torch.float64)
    loss = losses.AsymmetricLoss(gamma_neg=0.0, clip=0.5, reduction="none")
    reference = registry.entry("asymmetric").reference
    expected = value_and_gradient(lambda z: reference(z, 0 * z, "none", gamma_neg=0.0, clip=0.5), z)
    value, gradient = value_and_gradient(lambda z: loss(z, torch.zeros_like(z)), z)
    assert_near(value, expected[0])
    if value_and_gradient(lambda z: z.clamp(min=0), z)[1] != 0:
        pytest.skip("the clamp of this torch passes a gradient on at its bound")
    assert_near(gradient, expected[1])


# --- what they refuse ----------------------------------------------------------------------------


def test_focal_targets_are_checked() -> None:
    z = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="size"):
        functional.sigmoid_focal_loss(z, torch.zeros(3))
    with pytest.raises(ValueError, match="reduction"):
        functional.sigmoid_focal_loss(z, z, reduction="batchmean")
    with pytest.raises(RuntimeError, match="int64"):
        functional.sigmoid_focal_loss(z, z.long())
    with pytest.raises(NotImplementedError, match="sigmoid_focal_loss"):
        functional.sigmoid_focal_loss(z.long(), z)


@pytest.mark.parametrize("epsilon", [-1.0, -0.5, 0.0, 2.0])
def test_poly1_of_a_masked_class_and_of_certainty(epsilon: float) -> None:
    masked = torch.tensor([[0.0, -torch.inf, 1.0]])
    expected = functional.poly1(masked[:, [0, 2]], torch.tensor([0]), epsilon=epsilon)
    assert_near(functional.poly1(masked, torch.tensor([0]), epsilon=epsilon), expected.double())
    z, t = torch.tensor([-torch.inf, torch.inf]), torch.tensor([0.0, 1.0])
    certain = functional.sigmoid_poly1(z, t, epsilon=epsilon, reduction="none")
    assert certain.tolist() == [0.0, 0.0]
