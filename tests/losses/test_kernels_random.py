"""The fused kernels on random shapes, strides and options, with extreme numbers among the logits:
what they give is what the closed forms give."""

from random import Random

import pytest
import torch
from torch import Tensor

from lossbench.losses import functional

from .kernel_cases import ELEMENTWISE, INF, assert_same

EXTREME = (0.0, -0.0, 1e-45, -1e-45, 1e-38, 88.0, -104.0, 1e4, -1e4, 3e38, -3e38, INF, -INF)
# Rounding that differs: the last digits of float32, and numbers that are hardly numbers.
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
SEEDS = range(40)
pytestmark = pytest.mark.usefixtures("switched_on")


def laid_out(x: Tensor, random: Random) -> Tensor:
    """The same numbers with other strides: dimensions permuted in memory, every second or third
    number of a larger tensor, a beginning that is none of an allocation, or stride 0."""
    order = list(range(x.dim()))
    random.shuffle(order)
    steps = [random.choice((1, 1, 2, 3)) for _ in order]
    room = torch.full([x.shape[d] * s + 1 for d, s in zip(order, steps, strict=True)], torch.nan)
    room = room.to(x.dtype) if x.is_floating_point() else torch.full_like(room, 7).to(x.dtype)
    view = room[tuple(slice(1, None, step) for step in steps)]
    back = [order.index(d) for d in range(x.dim())]
    found = view.permute(back).copy_(x)
    assert torch.equal(found, x) or x.isnan().any()
    if x.dim() and x.shape[0] > 1 and random.random() < 0.2:
        return found[:1].expand(x.shape)
    return found


def logits(shape: tuple[int, ...], random: Random, extreme: bool) -> Tensor:
    generator = torch.Generator().manual_seed(random.randrange(2**32))
    z = 4 * torch.randn(shape, generator=generator)
    if extreme:
        at = torch.rand(shape, generator=generator) < 0.1
        odd = torch.tensor(EXTREME)[torch.randint(len(EXTREME), shape, generator=generator)]
        z = torch.where(at, odd, z)
    return z


def shares(shape: tuple[int, ...], random: Random) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(random.randrange(2**32)))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name: str) -> None:
    loss, inputs, targets = ELEMENTWISE[name]
    for seed in SEEDS:
        random = Random(f"{name} {seed}")
        shape = tuple(random.randint(1, 9) for _ in range(random.randint(0, 4)))
        # A share of 0 of an infinite loss is none of the kernels' business.
        extreme = seed % 2 == 1 and name in ("soft_margin", "l1", "hinge_embedding")
        z = laid_out(inputs(logits(shape, random, extreme)), random)
        t = laid_out(targets(shares(shape, random)), random)
        reduction = random.choice(("mean", "sum", "none")) if not extreme else "none"
        assert_same(lambda z, t=t, r=reduction: loss(z, t, r), z, **CLOSE)


@pytest.mark.parametrize("seed", SEEDS)
def test_rows(seed: int) -> None:
    random = Random(f"rows {seed}")
    classes = random.choice((1, 2, 3, 10, 31, 32, 33, 100))
    inner = tuple(random.randint(1, 6) for _ in range(random.choice((0, 0, 1, 2, 3))))
    shape = (random.randint(1, 70), classes, *inner)
    z = laid_out(logits(shape, random, seed % 2 == 1), random)
    counts = (shape[0], *inner)
    y = (shares(counts, random) * classes).long().clamp_max(classes - 1)
    y = torch.where(shares(counts, random) < 0.2, -100, y)
    y = laid_out(y.to(random.choice((torch.int64, torch.int32))), random)
    w = laid_out(shares((classes,), random) + 0.1, random) if random.random() < 0.5 else None
    # Of a sum with infinity in it nothing is left to compare.
    reduction = random.choice(("mean", "sum", "none")) if seed % 2 == 0 else "none"
    assert_same(
        lambda z: functional.cross_entropy(z, y, w, reduction=reduction), z, rtol=1e-5, atol=1e-6
    )
    if seed % 2 == 0:
        t = laid_out(torch.softmax(logits(shape, random, False), 1), random)
        smoothing = random.choice((0.0, 0.1))
        assert_same(
            lambda z: functional.cross_entropy(
                z, t, w, reduction=reduction, label_smoothing=smoothing
            ),
            z,
            **CLOSE,
        )
        x = laid_out(-logits(shape, random, False).abs(), random)
        assert_same(lambda x: functional.nll_loss(x, y, w, reduction=reduction), x, **CLOSE)


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs(seed: int) -> None:
    random = Random(f"pairs {seed}")
    count, classes = random.randint(1, 40), random.randint(1, 70)
    z = laid_out(logits((count, classes), random, False), random)
    y = laid_out((shares((count,), random) * classes).long().clamp_max(classes - 1), random)
    w = laid_out(shares((classes,), random) + 0.1, random) if random.random() < 0.5 else None
    power, reduction = random.choice((1, 2)), random.choice(("mean", "sum", "none"))
    assert_same(
        lambda z: functional.multi_margin_loss(z, y, power, 0.7, w, reduction=reduction), z, **CLOSE
    )


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
