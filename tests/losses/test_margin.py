"""The margin losses: torch's own over all their options, kinks, tails, and what can be proved."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench.losses import functional, registry

from .cases import assert_near, each_reduction, exactly, labels, value_and_gradient
from .test_closed_form import check_derivatives, leaves

INF = float("inf")
DOUBLE = torch.float64
generator = torch.Generator().manual_seed(0)
Z = 2 * torch.randn(5, 4, dtype=DOUBLE, generator=generator)
# On the grid of the kinks: differences and distances to the margin are 0 again and again.
GRID = torch.randint(-3, 4, (60, 4), generator=generator).to(DOUBLE) / 2
T = torch.rand(5, 4, dtype=DOUBLE, generator=generator)
SIGN = 2 * (T > 0.5).to(DOUBLE) - 1
REAL = torch.tensor([1.0, -1.0, 0.0, 0.5, -2.0], dtype=DOUBLE).unsqueeze(1).expand(5, 4)
Y = torch.tensor([0, 3, 1, 1, 2])
# In order, out of order, twice the same, none, all; what stands after a -1 is not read.
LISTS = torch.tensor([[0, 2, -1, -1], [3, 0, -1, 1], [1, 1, 2, -1], [-1, 0, 1, 2], [2, 0, 3, 1]])
WEIGHT = torch.tensor([0.5, 2.0, 0.0, 1.25], dtype=DOUBLE)


def compare(name: str, input: Tensor, target: Tensor, **options: Any) -> None:
    """Value and gradient of ours are those of torch's."""

    def one(functions: Any) -> Callable[..., Tensor]:
        return lambda z: getattr(functions, name)(z, target, **options)

    value, gradient = value_and_gradient(one(functional), input)
    expected, expected_gradient = value_and_gradient(one(F), input)
    assert value.dtype == expected.dtype
    assert_near(value, expected, room=input.numel())
    assert_near(gradient, expected_gradient, room=input.numel())


# --- as in torch ---------------------------------------------------------------------------------

# Function: the targets and the options with which it is compared.
OPTIONS: dict[str, tuple[list[Tensor], list[dict[str, Any]]]] = {
    "multi_margin_loss": (
        [Y],
        [
            {"p": p, "margin": margin, "weight": weight}
            for p in (1, 2)
            for margin in (1.0, 0.25, 0.0, -1.0)
            for weight in (None, WEIGHT)
        ],
    ),
    "multilabel_margin_loss": ([LISTS, LISTS.flip(-1)], [{}]),
    "hinge_embedding_loss": (
        [SIGN, REAL, SIGN.long(), SIGN > 0, SIGN.float()],
        [{"margin": margin} for margin in (1.0, 0.3, -1.0)],
    ),
    "soft_margin_loss": ([SIGN, REAL, SIGN.long()], [{}]),
    "multilabel_soft_margin_loss": (
        [T, T.round(), T.round().long()],
        [{"weight": w} for w in (None, WEIGHT, WEIGHT[1], T, T[:, :1])],
    ),
}
EVERY = [
    pytest.param(name, target, options, id=f"{name}-{i}-{k}")
    for name, (targets, choices) in OPTIONS.items()
    for i, target in enumerate(targets)
    for k, options in enumerate(choices)
]
each_option = pytest.mark.parametrize(("name", "target", "options"), EVERY)


@each_option
@each_reduction
def test_torchs_options(name: str, target: Tensor, options: dict[str, Any], reduction: str) -> None:
    compare(name, Z, target, reduction=reduction, **options)
    if not any(isinstance(value, Tensor) and value.dim() > 1 for value in options.values()):
        # One row alone.
        compare(name, Z[0], target[0], reduction=reduction, **options)


@pytest.mark.parametrize("shape", [(), (0,), (6,), (0, 3), (2, 1, 3)], ids=str)
@pytest.mark.parametrize("name", ["hinge_embedding_loss", "soft_margin_loss"])
@each_reduction
def test_shapes_of_single_numbers(name: str, shape: tuple[int, ...], reduction: str) -> None:
    input = torch.linspace(-2, 2, torch.Size(shape).numel(), dtype=DOUBLE).reshape(shape)
    compare(name, input, input.sign(), reduction=reduction)


@pytest.mark.parametrize("shape", [(0,), (3,), (0, 3), (3, 0), (2, 1, 3)], ids=str)
@each_reduction
def test_the_classes_of_multilabel_soft_margin_are_last(
    shape: tuple[int, ...], reduction: str
) -> None:
    input = torch.linspace(-2, 2, torch.Size(shape).numel(), dtype=DOUBLE).reshape(shape)
    compare("multilabel_soft_margin_loss", input, input.sigmoid(), reduction=reduction)


@each_reduction
def test_shapes_are_broadcast_as_in_torch(reduction: str) -> None:
    for target in (SIGN[0], SIGN[:, :1], SIGN[0, 0]):
        compare("soft_margin_loss", Z, target, reduction=reduction)
        compare("hinge_embedding_loss", Z, target, reduction=reduction)
        compare("multilabel_soft_margin_loss", Z, target, reduction=reduction)
    compare("hinge_embedding_loss", Z[0], SIGN, reduction=reduction)
    compare("multilabel_soft_margin_loss", Z[0], T, reduction=reduction)


@each_reduction
def test_one_class_and_one_number(reduction: str) -> None:
    one, zero = torch.tensor(0.5, dtype=DOUBLE), torch.tensor(0)
    for input, target in ((one, zero), (one, zero[None]), (one[None], zero), (Z[:, :1], 0 * Y)):
        compare("multi_margin_loss", input, target, reduction=reduction)
    for input, target in ((one, zero), (one, zero[None] - 1), (one[None], zero)):
        compare("multilabel_margin_loss", input, target, reduction=reduction)
    compare("multi_margin_loss", Z[0], Y[:1], reduction=reduction)


@pytest.mark.parametrize("name", ["multi_margin_loss", "multilabel_margin_loss"])
def test_over_no_rows(name: str) -> None:
    # torch's mean over no rows is whatever was in memory.
    target = Y[:0] if name == "multi_margin_loss" else LISTS[:0]
    loss = getattr(functional, name)
    assert loss(Z[:0], target).isnan()
    assert loss(Z[:0], target, reduction="sum") == 0
    assert loss(Z[:0], target, reduction="none").shape == (0,)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.uint8], ids=str)
def test_indices_of_every_integer_type(dtype: torch.dtype) -> None:
    expected = F.multi_margin_loss(Z, Y)
    assert_near(functional.multi_margin_loss(Z, Y.to(dtype)), expected)
    if dtype.is_signed:
        expected = F.multilabel_margin_loss(Z, LISTS)
        assert_near(functional.multilabel_margin_loss(Z, LISTS.to(dtype)), expected)


# --- kinks ---------------------------------------------------------------------------------------


def test_gradients_at_kinks_are_torchs() -> None:
    y = torch.arange(60) % 4
    for p in (1, 2):
        compare("multi_margin_loss", GRID, y, p=p)
    compare("multilabel_margin_loss", GRID, labels((60, 4), torch.Generator().manual_seed(0)))


def slope_of_clamp_at_its_bound() -> float:
    zero = torch.zeros((), requires_grad=True)
    return torch.autograd.grad(zero.clamp_min(0), zero)[0].item()


@pytest.mark.skipif(slope_of_clamp_at_its_bound() != 0, reason="torch's clamp was another one")
@pytest.mark.parametrize("target", [1.0, -1.0, 0.0, 0.25])
def test_the_gradient_at_the_kink_of_hinge_embedding_is_torchs(target: float) -> None:
    compare("hinge_embedding_loss", GRID, torch.full_like(GRID, target))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int64])
def test_hinge_embedding_reads_a_target_of_any_dtype(dtype: torch.dtype) -> None:
    numbers = [1, -1, 0, 2] if dtype == torch.int64 else [1, -1, 0.5, float("nan")]
    target = torch.tensor(numbers, dtype=dtype)
    z = torch.tensor([0.5, 0.25, 3.0, 1.0])
    ours = functional.hinge_embedding_loss(z, target, reduction="none")
    expected = torch.nn.functional.hinge_embedding_loss(z, target, reduction="none")
    # torch takes NaN for no target; ours is NaN.
    expected[target.isnan()] = torch.nan
    torch.testing.assert_close(ours, expected, equal_nan=True)


@pytest.mark.parametrize("power", [1, 2, 3])
def test_gradients_of_hinges_at_kinks_are_those_of_relu(power: int) -> None:
    target = torch.tensor([0.0, 1.0, 0.25, 0.5], dtype=DOUBLE).expand(60, 4)
    ours = value_and_gradient(lambda z: functional.hinge(z, target, power=power), GRID)
    plain_hinge = registry.entry("hinge").reference
    plain = value_and_gradient(lambda z: plain_hinge(z, target, power=power), GRID)
    assert_near(ours[0], plain[0])
    assert_near(ours[1], plain[1])
    at = torch.tensor([1.0, -1.0])
    _, gradient = value_and_gradient(functional.hinge, at, torch.tensor([1.0, 0.0]))
    assert torch.equal(gradient, torch.zeros(2))


# --- digits --------------------------------------------------------------------------------------


def test_pairs_near_the_margin_keep_their_digits() -> None:
    # z_1 - z_0 is rounded to float32, and the margin takes all of its leading digits away.
    start = torch.linspace(0.05, 0.45, 500)
    z = torch.stack([start, start - 1 + 1e-3 * torch.rand(500, generator=generator)], -1)
    truth = (1 - z.double()[:, 0] + z.double()[:, 1]).clamp_min(0) / 2
    naive = F.multi_margin_loss(z, 0 * z[:, 0].long(), reduction="none")
    ours = functional.multi_margin_loss(z, 0 * z[:, 0].long(), reduction="none")
    error = [((x.double() - truth) / truth)[truth > 1e-6].abs().max() for x in (naive, ours)]
    assert error[0] > 1e-4
    assert error[1] <= 2 * 2.0**-24
    listed = torch.tensor([0, -1]).expand(500, 2)
    assert torch.equal(functional.multilabel_margin_loss(z, listed, reduction="none"), ours)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_soft_margin_keeps_its_digits_and_does_not_overflow(sign: float) -> None:
    side = torch.linspace(1, 100, 200)
    x, y = torch.cat([-side, side, 100 * side, -100 * side]), torch.full((800,), sign)
    value, gradient = value_and_gradient(
        lambda z: functional.soft_margin_loss(z, y, reduction="none"), x
    )
    value_truth, slope_truth = exactly("soft-margin", x, y)
    for got, truth in (
        (value, value_truth),
        (gradient / (1 + torch.arange(800)) * 4, slope_truth),
    ):
        normal = truth.abs() > torch.finfo(torch.float32).tiny
        assert ((got.double() - truth).abs() <= 8 * 2.0**-24 * truth.abs())[normal].all()


def test_torch_overflows_where_we_do_not() -> None:
    x, y = torch.tensor([-200.0]), torch.ones(1)
    assert F.soft_margin_loss(x, y).isinf()
    value, gradient = value_and_gradient(functional.soft_margin_loss, x, y)
    assert value == 200
    assert gradient == -0.25


def test_hinge_embedding_of_a_far_distance_under_both_terms() -> None:
    # x + max(0, 1 - x) is 0 in float32.
    assert functional.hinge_embedding_loss(torch.tensor(-1e9), torch.tensor(0.0)) == 1


# --- infinities ----------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [1, 2, 3])
def test_hinges_at_infinity(power: int) -> None:
    z, t = torch.tensor([INF, -INF, INF, -INF]), torch.tensor([1.0, 0.0, 0.0, 1.0])
    value = functional.hinge(z, t, power=power, reduction="none")
    assert torch.equal(value, torch.tensor([0.0, 0.0, INF, INF]))
    slope = torch.func.grad(lambda x: functional.hinge(x, t, power=power, reduction="sum"))(z)
    far = 1.0 if power == 1 else INF
    assert torch.equal(slope, torch.tensor([0.0, 0.0, far, -far]))


def test_pairs_at_infinity() -> None:
    z = torch.tensor([[INF, 0.0, -INF], [-INF, 0.0, 0.0], [INF, INF, -INF], [-INF, -INF, 0.0]])
    y = torch.zeros(4, dtype=torch.int64)
    value = functional.multi_margin_loss(z, y, reduction="none")
    # Equal scores are 0 apart, also infinite ones.
    assert_near(value, torch.tensor([0.0, INF, 1 / 3, INF]))
    gradient = torch.func.grad(lambda x: functional.multi_margin_loss(x, y, reduction="sum"))(z)
    third = torch.tensor([[0.0, 0, 0], [-2, 1, 1], [-1, 1, 0], [-2, 1, 1]]) / 3
    assert_near(gradient, third)


def test_soft_margin_at_infinity() -> None:
    x, y = torch.tensor([INF, -INF, INF, -INF, INF]), torch.tensor([1.0, -1.0, -1.0, 1.0, 0.0])
    value = functional.soft_margin_loss(x, y, reduction="none")
    assert_near(value, torch.tensor([0.0, 0.0, INF, INF, 0.6931472]))
    slope = torch.func.grad(lambda z: functional.soft_margin_loss(z, y, reduction="sum"))(x)
    assert_near(slope, torch.tensor([0.0, 0.0, 1.0, -1.0, 0.0]))


# --- what can be proved --------------------------------------------------------------------------


@pytest.mark.parametrize("power", [1, 2, 3])
def test_one_vs_rest_is_a_sum_of_hinges(power: int) -> None:
    rows = nn.functional.one_hot(Y, 4).to(DOUBLE)
    for target, dense in ((Y, rows), (T, T)):
        each = functional.hinge(Z, dense, margin=0.7, power=power, reduction="none")
        whole = functional.one_vs_rest_hinge(Z, target, margin=0.7, power=power, reduction="none")
        assert_near(whole, each.sum(-1))
    images = Z.reshape(5, 4, 1).expand(5, 4, 3)
    value = functional.one_vs_rest_hinge(images, Y[:, None].expand(5, 3), power=power)
    assert_near(value, functional.one_vs_rest_hinge(Z, Y, power=power))


@pytest.mark.parametrize("p", [1, 2])
def test_two_classes_are_a_hinge_of_their_difference(p: int) -> None:
    z, y = Z[:, :2], Y % 2
    single = functional.hinge(z[:, 1] - z[:, 0], y.to(DOUBLE), power=p, reduction="none")
    assert_near(functional.multi_margin_loss(z, y, p=p, reduction="none"), single / 2)


def test_one_listed_class_is_multi_margin() -> None:
    one = torch.full((5, 4), -1)
    one[:, 0] = Y
    several = functional.multilabel_margin_loss(Z, one, reduction="none")
    assert_near(several, functional.multi_margin_loss(Z, Y, reduction="none"))


def test_soft_margins_are_cross_entropies() -> None:
    theirs = functional.binary_cross_entropy_with_logits(Z, (SIGN + 1) / 2, reduction="none")
    assert_near(functional.soft_margin_loss(Z, SIGN, reduction="none"), theirs)
    theirs = functional.binary_cross_entropy_with_logits(Z, T, reduction="none").mean(-1)
    assert_near(functional.multilabel_soft_margin_loss(Z, T, reduction="none"), theirs)


def test_a_margin_of_zero_is_the_perceptron() -> None:
    right = T.round()
    loss = functional.hinge(Z, right, margin=0.0, reduction="none")
    assert_near(loss, torch.where((Z > 0) == (right == 1), 0.0, Z.abs()))


def test_beyond_the_margin_there_is_neither_loss_nor_gradient() -> None:
    z = torch.tensor([1.5, -1.5])
    value, gradient = value_and_gradient(functional.hinge, z, torch.tensor([1.0, 0.0]))
    assert value == 0
    assert not gradient.any()


# --- derivatives ---------------------------------------------------------------------------------

POSITIVE = 0.5 + T[0]
WEIGHTED: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "hinge": (lambda z, t, w: functional.hinge(z, t, w, power=3), (Z, T, POSITIVE)),
    "one-vs-rest-index": (
        lambda z, w: functional.one_vs_rest_hinge(z, Y, w, power=3),
        (Z, POSITIVE),
    ),
    "one-vs-rest-distribution": (
        lambda z, t, w: functional.one_vs_rest_hinge(z, t, w, power=2),
        (Z, T, POSITIVE),
    ),
    "multi-margin": (lambda z, w: functional.multi_margin_loss(z, Y, 1, 1.0, w), (Z, POSITIVE)),
    "multi-margin-2": (lambda z, w: functional.multi_margin_loss(z, Y, 2, 1.0, w), (Z, POSITIVE)),
    "multilabel-margin": (lambda z: functional.multilabel_margin_loss(z, LISTS), (Z,)),
    "hinge-embedding": (lambda x, y: functional.hinge_embedding_loss(x, y), (Z, REAL.clone())),
    "soft-margin": (lambda x, y: functional.soft_margin_loss(x, y), (Z, T)),
    "multilabel-soft-margin": (
        lambda x, t, w: functional.multilabel_soft_margin_loss(x, t, w),
        (Z, T, POSITIVE),
    ),
}


LONG = ("multi-margin", "multi-margin-2", "one-vs-rest-distribution")
"""Those whose second derivatives take seconds."""


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        pytest.param(*case, id=name, marks=[pytest.mark.slow] if name in LONG else [])
        for name, case in WEIGHTED.items()
    ],
)
def test_derivatives_by_inputs_targets_and_weights(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...]
) -> None:
    if function is WEIGHTED["hinge-embedding"][0]:
        # Its targets are compared: no small step of one is harmless.
        check_derivatives(lambda x: function(x, inputs[1]), *leaves(inputs[0]))
        _, by_target = value_and_gradient(lambda y: function(inputs[0], y), inputs[1])
        assert not by_target.any()
    else:
        check_derivatives(function, *leaves(*inputs))


def test_second_derivatives_where_torch_has_none() -> None:
    z = Z.clone().requires_grad_()
    (theirs,) = torch.autograd.grad(F.multi_margin_loss(z, Y, p=2), z, create_graph=True)
    with pytest.raises(RuntimeError, match="not implemented"):
        torch.autograd.grad(theirs.sum(), z)
    (ours,) = torch.autograd.grad(functional.multi_margin_loss(z, Y, p=2), z, create_graph=True)
    (second,) = torch.autograd.grad(ours[:, 0].sum(), z)
    assert second.any()


@pytest.mark.parametrize("classes", [3, 10, 32, 33, 40])
def test_lists_that_name_a_class_twice_or_none(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    z = 2 * torch.randn(37, classes, generator=generator)
    lists = torch.randint(classes, z.shape, generator=generator)
    ends = torch.randint(classes + 1, (37, 1), generator=generator)
    lists = torch.where(torch.arange(classes) < ends, lists, -1)
    ours = value_and_gradient(
        lambda z: functional.multilabel_margin_loss(z, lists, reduction="none"), z
    )
    torchs = value_and_gradient(
        lambda z: F.multilabel_margin_loss(z, lists, reduction="none"), z.double()
    )
    for a, b in zip(ours, torchs, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=4e-6, atol=1e-6)
