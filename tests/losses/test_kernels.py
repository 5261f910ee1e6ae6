"""The kernels of single losses and of a user's own: settings, indices, threads, traces."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from lossbench.losses import ClosedForms, differentiable, functional, kernels
from lossbench.losses.arguments import ELEMENTS, rows

from .cases import dtypes
from .kernel_cases import INF, USED, assert_same, numbers, shares, value_and_gradient

# The smallest number above 0 in float32.
LAST = 2.0**-149
pytestmark = pytest.mark.usefixtures("switched_on")


@dtypes([torch.float32])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 1.7, 2.0, 3.0, 5.0])
@pytest.mark.parametrize("alpha", [-1, 0.0, 0.25, 1.0])
def test_focal_has_any_gamma(dtype: torch.dtype, gamma: float, alpha: float) -> None:
    z, t = 10 * numbers((500,), dtype), shares((500,), dtype).round()
    assert_same(
        lambda z: functional.sigmoid_focal_loss(z, t, alpha, gamma, "none"), z, rtol=1e-5, atol=LAST
    )


def test_indices_may_be_any_integers() -> None:
    z = numbers((6, 4), torch.float32)
    y = torch.tensor([0, 1, 2, 3, 0, 1])
    expected = value_and_gradient(lambda z: functional.cross_entropy(z, y), z)
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
        given = y.to(dtype)
        found = value_and_gradient(lambda z, y=given: functional.cross_entropy(z, y), z)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_row_of_minus_infinity_is_that_of_the_closed_form() -> None:
    for classes in (3, 40):
        assert_same(
            lambda z: functional.cross_entropy(z, torch.zeros(5).long(), reduction="none"),
            torch.full((5, classes), -INF),
        )


def test_class_weights_may_be_negative_as_in_torch() -> None:
    z, y = numbers((20, 5), torch.float32), torch.arange(20) % 5
    w = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0])
    for options in ({}, {"label_smoothing": 0.1}, {"reduction": "sum"}):
        ours = functional.cross_entropy(z, y, w, **options)
        expected = torch.nn.functional.cross_entropy(z, y, w, **options)
        torch.testing.assert_close(ours, expected)


def test_a_loss_of_the_users_own_gets_a_kernel() -> None:
    cosh = differentiable(
        ClosedForms(
            "log_cosh_of_rows",
            value=lambda z, t, a: torch.log1p(a * (z - t).square()).sum(-1),
            gradient=lambda z, t, a: 2 * a * (z - t) / (1 + a * (z - t).square()),
            hvp=lambda z, v, t, a: 2 * a * v / (1 + a * (z - t).square()),
            rows=True,
        )
    )
    z, y = numbers((6, 4), torch.float32).requires_grad_(), torch.arange(6) % 4
    loss = rows(cosh, "log_cosh", z, y, None, -100, "mean", 0.3)
    assert loss.grad_fn is not None
    assert loss.grad_fn.name() == USED
    one_hot = torch.nn.functional.one_hot(y, 4).float()
    expected = torch.log1p(0.3 * (z - one_hot).square()).sum(-1).mean()
    torch.testing.assert_close(loss, expected)
    found, wanted = (torch.autograd.grad(x, z)[0] for x in (loss, expected))
    torch.testing.assert_close(found, wanted)


FUNCTIONS = ["exp", *(pytest.param(x, marks=pytest.mark.slow) for x in ("expm1", "log", "log1p"))]


@pytest.mark.parametrize("function", [*FUNCTIONS, pytest.param("tanh", marks=pytest.mark.slow)])
@dtypes([torch.float32, torch.float64])
def test_functions_of_numbers_are_torch_s_to_their_ends(function: str, dtype: torch.dtype) -> None:
    of = getattr(torch, function)
    loss = differentiable(
        ClosedForms(
            f"only_{function}",
            value=lambda z, t: of(z) + 0 * t,
            gradient=lambda z, t: of(z) + 0 * t,
            hvp=lambda z, v, _t: v * of(z),
        )
    )
    info = torch.finfo(dtype)
    ends = torch.tensor(
        [0, info.tiny, info.eps, 1, 88, 88.7, 89, 104, 709, 709.7, 746, info.max, INF]
    )
    z = torch.cat([ends, -ends, torch.tensor([float("nan")]), torch.linspace(-20, 20, 101)])
    z = z.to(dtype)
    found = kernels.compute(loss, ELEMENTS, z, torch.zeros_like(z), None, None, -100, "none", ())
    assert found is not None
    torch.testing.assert_close(found, of(z), rtol=8 * info.eps, atol=0, equal_nan=True)


def test_a_formula_that_cannot_be_traced_is_computed_all_the_same() -> None:
    odd = differentiable(
        ClosedForms(
            "cumulative",
            value=lambda z, t: (t * z.cumsum(-1)).sum(-1),
            gradient=lambda _z, t: t.flip(-1).cumsum(-1).flip(-1),
            hvp=lambda z, _v, _t: torch.zeros_like(z),
            rows=True,
        )
    )
    z, t = numbers((6, 4), torch.float32).requires_grad_(), numbers((6, 4), torch.float32, 1)
    loss = rows(odd, "cumulative", z, t, None, -100, "sum")
    torch.testing.assert_close(loss, (t * z.cumsum(-1)).sum())


def test_threads_that_need_a_kernel_at_once_get_the_same() -> None:
    loss = differentiable(
        ClosedForms(
            "quartic",
            value=lambda z, t, a: a * (z - t).square().square(),
            gradient=lambda z, t, a: 4 * a * (z - t) * (z - t).square(),
            hvp=lambda z, v, t, a: 12 * a * (z - t).square() * v,
        )
    )
    z, t = numbers((5000,), torch.float32), numbers((5000,), torch.float32, 1)

    def work(_: int) -> float:
        found = kernels.compute(loss, ELEMENTS, z, t, None, None, -100, "sum", (0.7,))
        assert found is not None
        return found.item()

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(work, range(40)))
    assert len(found) == 1


@pytest.mark.parametrize("wrong", [-1, 5, 2**40, -(2**62)])
def test_an_index_that_is_no_class_reaches_no_memory(wrong: int) -> None:
    z = torch.zeros(3, 5, requires_grad=True)
    y = torch.tensor([0, wrong, 1])
    for loss in (functional.cross_entropy, functional.nll_loss, functional.multi_margin_loss):
        with pytest.raises((IndexError, ValueError, RuntimeError)):
            loss(z, y)
    if wrong != -1:
        with pytest.raises((IndexError, ValueError, RuntimeError)):
            functional.multilabel_margin_loss(z, y.new_full((3, 5), wrong))
