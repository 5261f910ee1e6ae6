"""The kernel of every registered loss: it is the closed form in float64, in every dtype, at every
shape, layout, option and width, and it ran."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from random import Random
from typing import Any

import mpmath
import pytest
import torch
from torch import Tensor

from lossbench.losses import kernels, registry
from lossbench.losses.kernels.source import source
from lossbench.losses.registry import Entry

from .cases import WIDE, dtypes, kept_bytes, labels, parametrized
from .kernel_cases import used_kernel

pytestmark = pytest.mark.usefixtures("switched_on")

ENTRIES = [registry.entry(name) for name in registry.names()]
CASES = [(entry, kind) for entry in ENTRIES for kind in entry.targets]
each_case = parametrized(CASES)
SHAPES = ((37, 2), (50, 10), (7, 33), (9, 1000), (3, 5, 4, 4))
# Relative rounding of the result.
ROOM = {torch.float64: 2e-12, torch.float32: 4e-6, torch.bfloat16: 2**-8, torch.float16: 2**-10.9}
# Below the normal numbers digits are lost; float16 is computed in float32.
LAST = {dtype: torch.finfo(dtype).tiny for dtype in ROOM} | {torch.float16: 2.0**-23}
# Gradients that are 0 for an input at which nothing vanishes by itself: the terms of a sum over the
# classes cancel (p = alpha/C under smoothing, p = p.p). There the room is that of the terms.
CROSSING = {
    *("bernoulli-sum", "label-smoothing", "softmax-mse", "squentropy", "tanimoto"),
    *("cauchy-schwarz", "bi-tempered-logistic"),
}


def drawn(
    entry: Entry,
    kind: str,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    seed: int = 0,
    spread: float = 4.0,
    soft: bool = False,
) -> tuple[Tensor, Tensor]:
    """An input of normal logits and a target: one right class, or `soft` probabilities."""
    generator = torch.Generator().manual_seed(seed)
    z = spread * torch.randn(shape, generator=generator, dtype=torch.float64)
    if entry.task == "binary":
        t = torch.rand(shape, generator=generator, dtype=torch.float64)
        t = t if soft and kind == "probability" else t.round()
        return entry.input_from_logits(z).to(dtype), (2 * t - 1 if kind == "sign" else t).to(dtype)
    at = min(1, len(shape) - 1)
    z = entry.input_from_logits(z.movedim(at, -1)).movedim(-1, at).to(dtype)
    if kind == "labels":
        return z, labels(shape, generator)
    y = torch.randint(shape[at], (*shape[:at], *shape[at + 1 :]), generator=generator)
    if kind == "index":
        return z, y
    t = torch.nn.functional.one_hot(y, shape[at]).movedim(-1, at).to(dtype)
    if kind == "logits":
        return z, 4 * torch.randn(shape, generator=generator).to(dtype) if soft else t.log()
    if soft:
        t = torch.softmax(torch.randn(shape, generator=generator), at).to(dtype)
    return z, t


def results(
    loss: Callable[[Tensor, Tensor], Tensor], z: Tensor, t: Tensor, without: bool = False
) -> tuple[Tensor, Tensor]:
    """Value and gradient, with another upstream factor per loss; of a kernel unless `without`."""
    z = z.detach().requires_grad_()
    value = loss(z, t)
    assert without or used_kernel(value.grad_fn)
    upstream = (1 + torch.arange(value.numel()) % 3).to(value.dtype).reshape(value.shape)
    return value.detach(), torch.autograd.grad(value, z, upstream)[0]


def truth(loss: Callable[[Tensor, Tensor], Tensor], z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Value and gradient of the closed forms in float64."""
    with kernels.closed_forms_only():
        return results(loss, z.double(), t.double() if t.is_floating_point() else t, without=True)


def assert_near(ours: Tensor, truth: Tensor, dtype: torch.dtype, terms: Any = 0.0) -> None:
    """Be within the relative rounding of the dtype, and a few roundings of the `terms`."""
    room = ROOM[dtype] * truth.abs() + LAST[dtype] + 2**-21 / 2**29 ** (dtype.itemsize == 8) * terms
    wide, most = ours.double(), torch.finfo(dtype).max * (1 - torch.finfo(dtype).eps)
    same = (wide == truth) | (wide.isnan() & truth.isnan())
    overflown = (truth.abs() >= most) & (wide == truth.sign() * torch.inf)
    bad = ~(same | overflown | ((wide - truth).abs() <= room))
    assert not bad.any(), f"{ours[bad][:5]} instead of {truth[bad][:5]}"


def each_dtype() -> Iterator[Any]:
    for (entry, kind), dtype in product(CASES, ROOM):
        yield pytest.param(entry, kind, dtype, id=f"{entry.name}-{kind}-{str(dtype)[6:]}")


@pytest.mark.parametrize(("entry", "kind", "dtype"), list(each_dtype()))
def test_the_kernel_is_the_closed_form(entry: Entry, kind: str, dtype: torch.dtype) -> None:
    loss = entry.build(reduction="none")
    shapes = ((4097,),) if entry.task == "binary" else SHAPES if entry.images else SHAPES[:-1]
    for (k, shape), spread in product(enumerate(shapes), (1, 8, 50)):
        z, t = drawn(entry, kind, shape, dtype, k, spread)
        (value, gradient), (v, g) = results(loss, z, t), truth(loss, z, t)
        assert value.dtype == gradient.dtype == dtype
        assert gradient.stride() == z.stride()
        assert_near(value, v, dtype)
        assert_near(gradient, g, dtype, largest(g) if entry.name in CROSSING else 0.0)


OF_PROBABILITY = [x for x in CASES if x[0].task == "binary" and x[1] == "probability"]


@parametrized(OF_PROBABILITY)
def test_a_soft_target_among_hard_ones(entry: Entry, kind: str) -> None:
    """Blocks whose targets are all 0 or 1 are computed by the loss of the right class alone."""
    z, t = drawn(entry, kind, (4097,), torch.float32)
    t[5] = 0.25
    loss = entry.build(reduction="none")
    for ours, true in zip(results(loss, z, t), truth(loss, z, t), strict=True):
        assert_near(ours, true, torch.float32)


def test_which_losses_are_the_same_of_both_classes() -> None:
    alike = {
        entry.name
        for entry, _ in OF_PROBABILITY
        for request in requested(entry)
        if "has_right_gradient = true" in source(request).text
    }
    assert alike == {
        *("bce-with-logits", "probability-sum", "sigmoid-generalized-cross-entropy"),
        *("sigmoid-mse", "sigmoid-poly-1", "sigmoid-squared-log"),
        "sigmoid-symmetric-cross-entropy",
    }


def requested(entry: Entry) -> list[kernels.Request]:
    """The kernels that a loss of single elements asks for."""
    z, t = drawn(entry, "probability", (3,), torch.float32)
    with kernels.collected() as requests:
        entry.build()(z, t)
    return requests


OF_LOGITS = [x for x in CASES if x[0].images and x[0].takes == "logits"]


# 1 - p of bernoulli-sum's largest class is a difference of logarithms, which large logits round.
@parametrized([x for x in OF_LOGITS if x[0].name != "bernoulli-sum"])
def test_logits_far_from_zero_keep_their_digits(entry: Entry, kind: str) -> None:
    """Kernels split the logits, or their distances from the largest one; see `Base`."""
    loss = entry.build(reduction="none")
    for shift, shape in product((-361, -257, -255, 255, 257, 361), ((50, 10), (9, 90))):
        z, t = drawn(entry, kind, shape, torch.float64, spread=20)
        z = (z + shift).float()
        t = t.float() if t.is_floating_point() else t
        (value, gradient), (v, g) = results(loss, z, t), truth(loss, z, t)
        assert_near(value, v, torch.float32)
        assert_near(gradient, g, torch.float32, largest(g) if entry.name in CROSSING else 0.0)


@pytest.mark.parametrize("classes", [2, 70])
def test_the_same_in_float64(classes: int) -> None:
    rows = ((408.2, -249.28), (-300.1, -900.3), (65530.5, 64900.25), (70000.5, 69500.25))
    z = torch.tensor([[high] + (classes - 1) * [low] for high, low in rows], dtype=torch.float64)
    y = torch.zeros(len(rows), dtype=torch.long)
    loss = registry.entry("cross-entropy").build(reduction="sum")
    gradient = results(loss, z, y)[1][:, 1]
    # Of a class with so little probability it is exp(low - high).
    with mpmath.workdps(50):
        exact = [float(mpmath.exp(mpmath.mpf(low) - mpmath.mpf(high))) for high, low in rows]
    assert (gradient / torch.tensor(exact, dtype=torch.float64) - 1).abs().amax() < 1e-14


def largest(g: Tensor) -> Tensor:
    """The largest gradient of each row."""
    return g.abs().amax(min(1, g.dim() - 1), keepdim=True) if g.dim() else g.abs()


# --- options, shapes, layouts -------------------------------------------------------


def laid_out(x: Tensor, random: Random) -> Tensor:
    """The same numbers with other strides: dimensions permuted in memory, every second or third
    number of a larger tensor, a beginning that is none of an allocation, or stride 0."""
    order = list(range(x.dim()))
    random.shuffle(order)
    steps = [random.choice((1, 1, 2, 3)) for _ in order]
    room = torch.zeros([x.shape[d] * s + 1 for d, s in zip(order, steps, strict=True)])
    view = room.to(x.dtype)[tuple(slice(1, None, step) for step in steps)]
    found = view.permute([order.index(d) for d in range(x.dim())]).copy_(x)
    if x.dim() and x.shape[0] > 1 and random.random() < 0.2:
        return found[:1].expand(x.shape)
    return found


def options(entry: Entry, z: Tensor, t: Tensor, random: Random) -> dict[str, Any]:
    """Some of the options that a loss has: weights, an ignored class."""
    known = getattr(entry.build(), "_settings", ())
    found: dict[str, Any] = {}
    shape: tuple[int, ...] = z.shape[min(1, z.dim() - 1) :][:1]
    if entry.task == "binary":
        # Whatever is broadcast to the elements.
        shape = tuple(1 if random.random() < 0.3 else size for size in z.shape)
        shape = shape[random.randint(0, len(shape)) :]
    for name in ("weight", "pos_weight", "prior"):
        if name in known and random.random() < 0.6:
            found[name] = torch.rand(shape, generator=torch.Generator().manual_seed(5)).to(z) + 0.1
    if "ignore_index" in known and not t.is_floating_point():
        found["ignore_index"] = random.choice((-100, 0, 1))
    return found


BINARY = ((), (1,), (0,), (65,), (9, 14), (2, 3, 5), (2, 40, 3, 3), (2049,), (3, 0))
ROWS = ((5,), (1, 1), (130, 3), (5, 32), (5, 33), (33, 10), (2, 5000), (0, 4))
IMAGES = ((2, 3, 4, 5), (1, 21, 6, 7), (2, 40, 3), (3, 2, 129), (2, 7, 1), (2, 50, 1, 1))


@each_case
@dtypes(WIDE)
def test_options_shapes_and_layouts(entry: Entry, kind: str, dtype: torch.dtype) -> None:
    shapes = BINARY if entry.task == "binary" else ROWS + IMAGES if entry.images else ROWS
    for k, shape in enumerate(shapes):
        if shape == (1, 1) and entry.name == "squentropy":
            continue  # It has a mean over the wrong classes.
        random = Random(f"{entry.name} {kind} {k}")
        z, t = drawn(entry, kind, shape, dtype, k, soft=random.random() < 0.7)
        if len(shape) == 4 and random.random() < 0.5:
            z = z.contiguous(memory_format=torch.channels_last)
        else:
            z, t = laid_out(z, random), laid_out(t, random)
        given = options(entry, z, t, random)
        wide = {name: x.double() if isinstance(x, Tensor) else x for name, x in given.items()}
        for reduction in ("none", "mean", "sum"):
            v, g = truth(entry.build(reduction=reduction, **wide), z, t)
            # The closed forms compute no rows, and pairs of classes without a batch.
            maybe = z.numel() == 0 or (z.dim() == 1 and not entry.images)
            value, gradient = results(entry.build(reduction=reduction, **given), z, t, maybe)
            assert value.shape == v.shape
            # Sums and soft targets cancel: the room is that of their terms.
            assert_near(value, v, dtype, 16 + 16 * v.abs())
            assert_near(gradient, g, dtype, 1 + 16 * g.abs().amax() if g.numel() else 0.0)


@each_case
def test_wider_targets_give_wider_losses(entry: Entry, kind: str) -> None:
    if kind in ("index", "labels"):
        pytest.skip("class indices have no dtype of the computation")
    if entry.name in ("bce", "hinge-embedding", "soft-margin"):
        pytest.skip("torch refuses two dtypes, or keeps the input's: test_bad_input compares them")
    z, t = drawn(entry, kind, (65,) if entry.task == "binary" else (37, 5), torch.float32)
    for reduction in ("none", "mean"):
        loss = entry.build(reduction=reduction)
        value, gradient = results(loss, z, t.double())
        v, g = truth(loss, z, t)
        assert (value.dtype, gradient.dtype) == (torch.float64, torch.float32)
        assert_near(value, v, torch.float64, 16)
        assert_near(gradient, g, torch.float32)


# --- edges --------------------------------------------------------------------------

EDGES = (0.0, -0.0, 1e-45, 1e-38, 30.0, -30.0, 88.0, -104.0, 1e4, -1e4, 1e30, -1e30)
INFINITE = (float("inf"), -float("inf"), float("nan"))


@each_case
def test_edges_are_those_of_the_closed_forms(entry: Entry, kind: str) -> None:
    """Ties, numbers that overflow, infinity and NaN, beside each of the others."""
    edges = torch.tensor(EDGES + INFINITE)
    if entry.takes == "probabilities":
        edges = torch.tensor((0.0, 1.0, 1e-45, 1e-38, 1 - 2**-24, 0.5))
    if entry.takes in ("log-probabilities", "distances"):
        edges = edges.abs() * (1 if entry.takes == "distances" else -1)
    loss = entry.build(reduction="none")
    for classes in (0,) if entry.task == "binary" else (3, 40):
        pairs = torch.cartesian_prod(edges, edges)
        z = edges if not classes else torch.zeros(len(pairs), classes)
        if classes:
            z[:, 0], z[:, -1] = pairs[:, 0], pairs[:, 1]
        for seed in range(4):
            _, t = drawn(entry, kind, tuple(z.shape), torch.float32, seed, soft=seed == 3)
            with kernels.closed_forms_only():
                expected = results(loss, z, t, without=True)
            for ours, theirs in zip(results(loss, z, t), expected, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6, equal_nan=True)


# --- the graph, the memory, the threads ---------------------------------------------


@each_case
def test_kept_bytes_and_threads(entry: Entry, kind: str) -> None:
    """No more is kept for the backward pass than by torch, and threads change no bit."""
    from lossbench.benchmarks.speed.plain import spellings

    shape = (70_001,) if entry.task == "binary" else (300, 200)
    z, t = drawn(entry, kind, shape, torch.float32)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            # Not 'mean' alone: the sum of the blocks has an order too.
            found += [results(entry.build(reduction=each), z, t) for each in ("sum", "none")]
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(found[:2], found[2:], strict=True):
        assert all(map(torch.equal, one, other))
    leaf = z.detach().requires_grad_()
    plain = [kept_bytes(each, leaf, t) for each in spellings(entry.name, kind)]  # type: ignore[arg-type]
    assert plain
    # A plain line whose gradient needs no input keeps none; the kernels keep input and target.
    given = z.numel() * z.itemsize + t.numel() * t.itemsize
    assert 0 < kept_bytes(entry.build(), leaf, t) <= 1.05 * max(given, min(plain))


# --- the text -----------------------------------------------------------------------


def sources(entry: Entry, **settings: Any) -> list[Any]:
    from lossbench.losses.kernels.source import source

    z, t = drawn(entry, entry.targets[0], (4,) if entry.task == "binary" else (4, 3), torch.float32)
    with kernels.collected() as found:
        entry.build(reduction="mean", **settings)(z, t)
    assert found
    return [source(each) for each in found]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_settings_share_a_kernel(entry: Entry) -> None:
    module = entry.build()
    for name in getattr(module, "_settings", ()):
        setting = getattr(module, name)
        if not isinstance(setting, float) or name in ("tau", "max_margin"):
            continue
        near = [setting * (1 + change) + change for change in (0.003, 0.0137)]
        one, other = (sources(entry, **{name: value}) for value in near)
        assert [x.text for x in one] == [x.text for x in other], name
        assert [x.constants for x in one] != [x.constants for x in other], name


@parametrized([case for case in CASES if case[1] == "distribution" and "index" in case[0].targets])
def test_a_class_index_is_its_one_hot_row(entry: Entry, kind: str) -> None:
    """In the closed forms, where tracing makes an index cheaper than a row: to the second order."""
    z, t = drawn(entry, kind, (9, 5), torch.float64)
    w = torch.rand(5, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.1
    loss, found = entry.build(reduction="none", weight=w), []
    for target in (t, t.argmax(1)):
        leaf = z.clone().requires_grad_()
        with kernels.closed_forms_only():
            value = loss(leaf, target)
            (gradient,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
            product_ = (gradient * z.cos()).sum()
            # A gradient of 0 has no graph.
            hvp = torch.autograd.grad(product_, leaf)[0] if gradient.requires_grad else gradient
        found.append((value, gradient, hvp))
    for row, index in zip(*found, strict=True):
        torch.testing.assert_close(index, row, rtol=1e-12, atol=1e-14)
