"""The fused kernels: each is its closed form, at any size, layout and option."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lossbench.losses import functional

from .cases import WIDE, dtypes
from .kernel_cases import (
    ELEMENTWISE,
    INF,
    NAN,
    SIZES,
    assert_same,
    each_elementwise,
    each_reduction,
    numbers,
    shares,
    target_of,
    value_and_gradient,
)

# The smallest number above 0 in float32.
LAST = 2.0**-149
pytestmark = pytest.mark.usefixtures("switched_on")


@each_elementwise
@dtypes(WIDE)
@each_reduction
def test_elementwise_kernels_are_their_closed_forms(
    name: str, dtype: torch.dtype, reduction: str
) -> None:
    loss, inputs, targets = ELEMENTWISE[name]
    for size in SIZES:
        z, t = inputs(numbers((size,), dtype)), targets(shares((size,), dtype))
        assert_same(lambda z, t=t: loss(z, t, reduction), z)


@each_elementwise
@dtypes(WIDE)
def test_any_layout_is_that_of_its_numbers(name: str, dtype: torch.dtype) -> None:
    loss, inputs, targets = ELEMENTWISE[name]
    z, t = inputs(numbers((9, 14), dtype)), targets(shares((9, 14), dtype))
    layouts: list[Callable[[Tensor], Tensor]] = [
        lambda x: x[1:, 3:],
        lambda x: x.t(),
        lambda x: x[::2, ::3],
        lambda x: x.unsqueeze(1).expand(9, 2, 14),
        lambda x: x[0, 0],
    ]
    for a, b in itertools.product(layouts, repeat=2):
        if a(z).shape == b(t).shape:
            assert_same(lambda z, b=b: loss(z, b(t), "none"), a(z))


EDGES = [0.0, -0.0, 1e-45, -1e-45, 1e-38, 20.0, -20.0, 88.0, -88.0, 104.0, -104.0, 1e4, -1e4, 3e38]


@each_elementwise
def test_the_edges_of_the_range_are_those_of_the_closed_forms(name: str) -> None:
    loss, _, targets = ELEMENTWISE[name]
    # Without infinity times 0, about which the formulas' own tests have something to say.
    edges = torch.tensor([*EDGES, INF, -INF, NAN])
    if name == "bce":
        edges = torch.tensor([0.0, 1.0, 1e-45, 1e-38, 1 - 2**-24, 0.5])
    if name.startswith("kl_div"):
        edges = -edges.abs()
    ends = targets(torch.tensor([0.0, 1.0, 0.25 if name not in ("bce",) else 0.0]))
    for t in ends:
        assert_same(lambda z, t=t: loss(z, t.expand(z.shape), "none"), edges, rtol=4e-6, atol=LAST)


@dtypes(WIDE)
@each_reduction
def test_weights_are_broadcast(dtype: torch.dtype, reduction: str) -> None:
    z, t = numbers((5, 6), dtype), shares((5, 6), dtype)
    for shape in ((), (6,), (5, 1), (1, 6), (5, 6)):
        w = shares(shape, dtype) + 0.1
        assert_same(
            lambda z, w=w: functional.binary_cross_entropy_with_logits(
                z, t, weight=w, pos_weight=2 * w, reduction=reduction
            ),
            z,
        )
        assert_same(
            lambda z, w=w: functional.binary_cross_entropy(
                z, t.round(), weight=w, reduction=reduction
            ),
            torch.sigmoid(z),
        )


@dtypes([torch.float32])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 1.7, 2.0, 3.0, 5.0])
@pytest.mark.parametrize("alpha", [-1, 0.0, 0.25, 1.0])
def test_focal_has_any_gamma(dtype: torch.dtype, gamma: float, alpha: float) -> None:
    z, t = 10 * numbers((500,), dtype), shares((500,), dtype).round()
    assert_same(
        lambda z: functional.sigmoid_focal_loss(z, t, alpha, gamma, "none"), z, rtol=1e-5, atol=LAST
    )


ROWS = [
    *[(5,), (1, 1), (3, 2), (130, 3), (64, 10), (5, 32), (5, 33), (7, 1000), (2, 5000)],
    *[(2, 3, 4, 5), (1, 21, 16, 17), (2, 40, 3), (3, 2, 129), (2, 7, 1), (2, 50, 1, 1)],
]
OPTIONS = [
    dict(zip(("weighted", "smoothing", "soft", "ignored"), choice, strict=True))
    for choice in itertools.product((False, True), (0.0, 0.1), (False, True), (False, True))
    if not (choice[2] and choice[3])
]


@pytest.mark.parametrize("shape", ROWS, ids=str)
@dtypes(WIDE)
def test_cross_entropy_is_its_closed_form(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    z = 4 * numbers(shape, dtype)
    classes = shape[min(1, len(shape) - 1)]
    for options, reduction in itertools.product(OPTIONS, ("mean", "sum", "none")):
        t = target_of(z, options["soft"], options["ignored"])
        w = shares((classes,), dtype) + 0.1 if options["weighted"] else None
        assert_same(
            lambda z, t=t, w=w, o=options, r=reduction: functional.cross_entropy(
                z, t, w, label_smoothing=o["smoothing"], reduction=r
            ),
            z,
        )


@pytest.mark.parametrize("shape", ROWS, ids=str)
@dtypes(WIDE)
@each_reduction
def test_nll_is_its_closed_form(shape: tuple[int, ...], dtype: torch.dtype, reduction: str) -> None:
    x = -numbers(shape, dtype).abs()
    for ignored in (False, True):
        y = target_of(x, False, ignored)
        for w in (None, shares((shape[min(1, len(shape) - 1)],), dtype) + 0.1):
            assert_same(lambda x, y=y, w=w: functional.nll_loss(x, y, w, reduction=reduction), x)


@pytest.mark.parametrize("soft", [False, True])
def test_cross_entropy_takes_any_layout(soft: bool) -> None:
    z = 4 * numbers((3, 21, 6, 10), torch.float32)
    t = target_of(z, soft, False)
    for change in (
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
        lambda x: x.expand(3, 21, 6, 10),
    ):
        for of_target in (lambda x: x, change if soft else lambda x: x.mT.contiguous().mT):
            laid_out = of_target(t)
            assert_same(lambda z, t=laid_out: functional.cross_entropy(z, t), change(z))
    for part in (slice(1, None), slice(None, None, 2)):
        assert_same(
            lambda z, t=t[part, :, 1:] if soft else t[part, 1:]: functional.cross_entropy(z, t),
            z[part, :, 1:],
        )


def test_indices_may_be_any_integers() -> None:
    z = numbers((6, 4), torch.float32)
    y = torch.tensor([0, 1, 2, 3, 0, 1])
    expected = value_and_gradient(lambda z: functional.cross_entropy(z, y), z)
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
        given = y.to(dtype)
        found = value_and_gradient(lambda z, y=given: functional.cross_entropy(z, y), z)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("classes", [3, 40])
def test_the_edges_of_cross_entropy_are_those_of_its_closed_form(classes: int) -> None:
    edges = torch.tensor([0.0, 1e-45, 30.0, -30.0, 88.0, -104.0, 1e4, -1e4, INF, -INF, NAN])
    rows = torch.cartesian_prod(edges, edges)
    z = torch.zeros(len(rows), classes)
    z[:, 0], z[:, -1] = rows[:, 0], rows[:, 1]
    for y in (0, 1, classes - 1):
        index = torch.full((len(rows),), y)
        assert_same(
            lambda z, y=index: functional.cross_entropy(z, y, reduction="none"),
            z,
            rtol=4e-6,
            atol=LAST,
        )
    assert_same(
        lambda z: functional.cross_entropy(z, torch.zeros(5, dtype=torch.long), reduction="none"),
        torch.full((5, classes), -INF),
    )


def test_float32_keeps_the_digits_of_small_losses() -> None:
    z = torch.tensor([[0.0, 8.0], [40.0, 0.0], [0.0, 100.0]]).requires_grad_()
    y = torch.tensor([1, 0, 1])
    value, gradient = value_and_gradient(
        lambda z: functional.cross_entropy(z, y, reduction="none"), z
    )
    truth = torch.log1p(torch.exp(-torch.tensor([8.0, 40.0, 100.0]).double()))
    torch.testing.assert_close(value.double(), truth, rtol=4e-6, atol=LAST)
    torch.testing.assert_close(
        gradient[[0, 1, 2], y].double(), -torch.expm1(truth).div(truth.exp()), rtol=4e-6, atol=LAST
    )


@dtypes(WIDE)
@each_reduction
@pytest.mark.parametrize("power", [1, 2])
def test_pairs_are_their_closed_form(dtype: torch.dtype, reduction: str, power: int) -> None:
    for shape in ((1, 1), (5, 4), (9, 33), (3, 200)):
        z, w = numbers(shape, dtype), shares(shape[1:], dtype) + 0.1
        y = torch.arange(shape[0]) % shape[1]
        for weight in (None, w):
            assert_same(
                lambda z, y=y, w=weight: functional.multi_margin_loss(
                    z, y, power, 0.7, w, reduction=reduction
                ),
                z,
            )
        lists = torch.where(torch.arange(shape[1]) < 3, z.argsort(1), -1)
        lists[:, 1:2] = lists[:, :1]
        assert_same(
            lambda z, y=lists: functional.multilabel_margin_loss(z, y, reduction=reduction), z
        )
