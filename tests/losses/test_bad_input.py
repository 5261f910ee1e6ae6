"""Every loss of torch.nn.functional accepts and rejects what torch does: a call that fits is varied
in one argument, in all of the ways below. Either both compute the same, or both raise the same type
of exception, ours in one line. What differs is listed, with its reason. The losses that torch does
not have follow their kin."""

import inspect
import math
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.losses import functional, kernels

NAN, INF = math.nan, math.inf
Shape = tuple[int, ...]
Arguments = dict[str, Any]
SHAPES: tuple[Shape, ...] = (
    *((), (1,), (3,), (2, 3), (1, 3), (2, 1), (2, 3, 4), (2, 3, 2, 2)),
    *((0,), (0, 3), (2, 0), (5, 0, 2)),
)
DTYPES = (
    *(torch.float32, torch.float64, torch.bfloat16, torch.float16),
    *(torch.int64, torch.int32, torch.uint8, torch.bool, torch.complex64),
)
NO_TENSORS = (1.0, [1.0], "x")
REDUCTIONS = ("sum", "none", "batchmean", "elementwise_mean", "means", "Mean", "", None, 3, True)
IGNORED = (0, 1, -1, 2.0, None, "1", True, 2**70)
MARGINS = (0.5, 2, -1.0, NAN, INF, "a", None)


class Signature(NamedTuple):
    """What a function takes: kinds of numbers as in `numbers`, names of its weights, settings."""

    input: str
    target: str
    weights: tuple[str, ...] = ()
    settings: dict[str, tuple[Any, ...]] = {}  # noqa: RUF012


SIGNATURES = {
    "cross_entropy": Signature(
        *("real", "index", ("weight",)),
        {"ignore_index": IGNORED, "label_smoothing": (0.1, 1, 1.5, -0.5, NAN, "a", None)},
    ),
    "cross_entropy of probabilities": Signature(
        *("real", "share", ("weight",)),
        {"ignore_index": IGNORED, "label_smoothing": (0.1, 1, 1.5, -0.5, NAN, "a", None)},
    ),
    "linear_cross_entropy": Signature("real", "index", ("weight",), {"ignore_index": IGNORED}),
    "linear_cross_entropy of probabilities": Signature(
        *("real", "share", ("weight",)), {"ignore_index": IGNORED}
    ),
    "nll_loss": Signature("real", "index", ("weight",), {"ignore_index": IGNORED}),
    "binary_cross_entropy": Signature("share", "share", ("weight",)),
    "binary_cross_entropy_with_logits": Signature("real", "share", ("weight", "pos_weight")),
    "mse_loss": Signature("real", "real", ("weight",)),
    "l1_loss": Signature("real", "real", ("weight",)),
    "kl_div": Signature("real", "share", (), {"log_target": (True, False, None, 1)}),
    "hinge_embedding_loss": Signature("real", "sign", (), {"margin": MARGINS}),
    "soft_margin_loss": Signature("real", "sign"),
    "multilabel_soft_margin_loss": Signature("real", "share", ("weight",)),
    "multi_margin_loss": Signature(
        *("real", "row index", ("weight",)),
        {"p": (1, 2, 3, 1.0, 2.5, "1", None, True), "margin": MARGINS},
    ),
    "multilabel_margin_loss": Signature("real", "list"),
}
OF_ROWS = ("cross_entropy", "linear_cross_entropy")
MARGIN_LOSSES = ("multi_margin_loss", "multilabel_margin_loss")
KIN = {
    "cross_entropy": ("softmax_mse", "bernoulli_sum"),
    "binary_cross_entropy_with_logits": ("zero_one", "probability_sum", "sigmoid_mse"),
}


# --- cases ---------------------------------------------------------------------------------------


def numbers(kind: str, shape: Shape, classes: int = 3) -> Tensor:
    k = torch.arange(math.prod(shape))
    kinds = {
        "real": 2 * torch.sin(1.7 * k),
        "share": (0.37 * k + 0.1) % 1,
        "sign": k % 2 * 2.0 - 1,
        "index": k % max(classes, 1),
        "row index": k % max(classes, 1),
        "list": (2 * k + 1) % (classes + 1) - 1,
    }
    return kinds[kind].reshape(shape)


def target_shape(kind: str, shape: Shape) -> Shape:
    if kind == "index":
        return shape[:1] + shape[2:] if len(shape) > 1 else ()
    return shape[:-1] if kind == "row index" else shape


def others(shape: Shape) -> list[Shape]:
    """Shapes that `shape` may be mistaken for, and some more."""
    ones = (1,) * (len(shape) - 1)
    return [
        *(shape[:-1], shape[1:], (*shape, 1), (1, *shape), shape[::-1], shape[:1] + shape[2:]),
        *(shape[:1] + ones, ones + shape[-1:], tuple(n + 1 for n in shape)),
        *(shape[:1] + tuple(n + 1 for n in shape[1:]), *SHAPES),
    ]


def with_last(x: Tensor, value: float) -> Tensor:
    x = x.clone()
    x.flatten()[-1:] = value
    return x


def cases(function: str, shape: Shape) -> Iterator[tuple[str, str, Arguments]]:
    """The argument that is varied, how, and all arguments."""
    takes = SIGNATURES[function]
    classes = shape[min(1, len(shape) - 1)] if shape else 1
    kind, fits = takes.target, target_shape(takes.target, shape)
    base = {"input": numbers(takes.input, shape), "target": numbers(kind, fits, classes)}
    yield "nothing", "", base
    sizes = [("input", takes.input, x) for x in SHAPES]
    sizes += [("target", kind, x) for x in others(fits)]
    for name, of, size in sizes:
        yield name, f"shape {size}", {**base, name: numbers(of, size, classes)}
    for name in ("input", "target"):
        for dtype in DTYPES:
            yield name, str(dtype), {**base, name: base[name].to(dtype)}
    values = (-0.1, 1.1, NAN, INF) if takes.input == "share" else ()
    if "index" in kind or kind == "list":
        values = (-1, -2, -100, classes, classes + 5, 200)
    for value in values:
        for name in ("input", "target")[0 if takes.input == "share" else 1 :]:
            yield name, f"value {value}", {**base, name: with_last(base[name], value)}
    of_classes = "index" in kind or function.split()[0] in OF_ROWS
    per = (classes,) if of_classes else shape if function in ("mse_loss", "l1_loss") else shape[-1:]
    for name in takes.weights:
        for size in [per, tuple(n - 1 for n in per if n), shape, *others(per)]:
            yield name, f"shape {size}", {**base, name: numbers("share", size) + 0.5}
        for dtype in DTYPES:
            yield name, str(dtype), {**base, name: (3 * numbers("share", per)).to(dtype)}
    for name in ("input", "target", *takes.weights):
        for thing in NO_TENSORS:
            yield name, f"no tensor, {thing!r}", {**base, name: thing}
    for name, settings in {"reduction": REDUCTIONS, **takes.settings}.items():
        for setting in settings:
            yield name, repr(setting), {**base, name: setting}


def function_of(module: Any, name: str) -> Any:
    function = getattr(module, name)
    if name != "linear_cross_entropy":
        return function

    def of_logits(input: Any, target: Any, **rest: Any) -> Any:
        layer = torch.eye(3, dtype=getattr(input, "dtype", None))
        return function(input, layer, target, **rest)

    return of_logits


def outcome(function: Any, arguments: Arguments) -> Tensor | Exception:
    input, target, *_ = arguments.values()
    rest = {k: x for k, x in arguments.items() if k not in ("input", "target")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(input, target, **rest)
        except Exception as error:
            return error


# --- what may differ -----------------------------------------------------------------------------


def means_nothing(function: str, name: str, how: str, arguments: Arguments) -> bool:
    """Tell if ours refuses what torch computes."""
    return (
        # A complex probability or weight.
        how == "torch.complex64"
        # A negative probability.
        or (name, how) in (("label_smoothing", "-0.5"), ("label_smoothing", "nan"))
        # A margin that no distance keeps.
        or (name, how) in (("margin", "nan"), ("margin", "inf"))
        # A number in the place of a tensor.
        or (function == "multilabel_soft_margin_loss" and how == "no tensor, 1.0")
        # Integers as logits: torch does not look at their dtype where there are none.
        or (name == "input" and arguments["input"].numel() == 0 and how.startswith("torch."))
    )


def is_broader(function: str, name: str, how: str) -> bool:
    """Tell if ours computes what torch refuses."""
    return (
        # Indices of every integer dtype.
        (name == "target" and how in ("torch.int32", "torch.uint8"))
        # True and False are 1 and 0.
        or (name in ("target", "pos_weight") and how == "torch.bool")
        or (function == "l1_loss" and how == "torch.bool")
        # Narrow dtypes on the CPU.
        or (function in MARGIN_LOSSES and how in ("torch.bfloat16", "torch.float16"))
        # An old name, which torch takes in its other losses.
        or how == "'elementwise_mean'"
    )


def wraps_around(function: str, name: str, how: str) -> bool:
    """Tell if torch computes with 8 bits, in which -1 is 255."""
    named = (function, name) in (
        ("binary_cross_entropy_with_logits", "pos_weight"),
        ("soft_margin_loss", "target"),
    )
    return named and how == "torch.uint8"


def types_of(theirs: Exception, function: str, name: str) -> tuple[type[Exception], ...]:
    """The types for which ours is right where torch raises `theirs`."""
    if isinstance(theirs, AttributeError):
        return (TypeError,)  # "'list' object has no attribute 'size'"
    if function == "multilabel_soft_margin_loss" and name == "reduction":
        return (ValueError,)  # torch cannot write its message about what is no string
    return (type(theirs),)


# --- the tests -----------------------------------------------------------------------------------


def assert_one_clear_line(error: object, types: tuple[type[Exception], ...], where: str) -> None:
    assert isinstance(error, types), f"{where}: {error!r} where torch raises {types}"
    assert len(str(error)) > 20, f"{where}: {error!r}"
    assert "\n" not in str(error), where


def assert_same(ours: Tensor | Exception, theirs: Tensor, arguments: Arguments, where: str) -> None:
    assert isinstance(ours, Tensor), f"{where}: {ours!r} where torch gives {theirs}"
    # torch's dtype, or input's where torch drops digits of it.
    assert ours.dtype == torch.promote_types(theirs.dtype, arguments["input"].dtype), where
    used = [x for x in (*arguments.values(), ours) if isinstance(x, Tensor)]
    room = 64 * max(torch.finfo(x.dtype).eps for x in used if x.is_floating_point())
    message = f"{where}: {ours} where torch gives {theirs}"
    assert ours.shape == theirs.shape, message
    close = torch.allclose(ours.double(), theirs.double(), rtol=room, atol=room, equal_nan=True)
    assert close, message


def shapes_of(function: str) -> Iterator[Shape]:
    if function.startswith("linear_cross_entropy"):
        # torch has it since 2.13.
        yield from ((3,), (2, 3), (0, 3)) if hasattr(F, "linear_cross_entropy") else ()
        return
    for shape in SHAPES:
        # Of an empty batch torch's margin losses check nothing, and return unset memory.
        if not (function in MARGIN_LOSSES and shape == (0, 3)):
            yield shape


FAST = ((), (2, 3), (2, 3, 4), (2, 0), (5, 0, 2))
each_call = pytest.mark.parametrize(
    ("function", "shape"),
    [
        pytest.param(
            *(name, shape),
            id=f"{name}-{shape}".replace(" ", ""),
            marks=() if shape in FAST else pytest.mark.slow,
        )
        for name in SIGNATURES
        for shape in shapes_of(name)
    ],
)


@each_call
def test_torch_and_ours_compute_the_same_or_raise_the_same(function: str, shape: Shape) -> None:
    name = function.split()[0]
    fits = True
    for varied, how, arguments in cases(function, shape):
        where = f"{varied} {how}"
        theirs = outcome(function_of(F, name), arguments)
        ours = outcome(function_of(functional, name), arguments)
        if varied == "nothing":
            fits = isinstance(theirs, Tensor)
        if isinstance(theirs, Tensor):
            if isinstance(ours, Exception) and means_nothing(function, varied, how, arguments):
                assert_one_clear_line(ours, (Exception,), where)
            elif not wraps_around(function, varied, how):
                assert_same(ours, theirs, arguments, where)
        elif isinstance(ours, Exception) and not fits and varied != "nothing":
            # Of two mistakes either may be named.
            assert_one_clear_line(ours, (Exception,), where)
        elif not (isinstance(ours, Tensor) and is_broader(function, varied, how)):
            assert_one_clear_line(ours, types_of(theirs, function, varied), where)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (2, 0)], ids=str)
@pytest.mark.parametrize("function", ["cross_entropy of probabilities", *KIN])
def test_losses_that_torch_does_not_have_follow_their_kin(function: str, shape: Shape) -> None:
    name = function.split()[0]
    for varied, how, arguments in cases(function, shape):
        ours = outcome(getattr(functional, name), arguments)
        for kin in KIN[name]:
            relative = getattr(functional, kin)
            takes = set(inspect.signature(relative).parameters)
            if not set(arguments) <= takes or how == "'elementwise_mean'":
                continue
            result, where = outcome(relative, arguments), f"{kin}: {varied} {how}"
            if isinstance(ours, Exception):
                assert_one_clear_line(result, (type(ours),), where)
            else:
                assert isinstance(result, Tensor), f"{where}: {result!r}"
                assert (result.dtype, result.shape) == (ours.dtype, ours.shape), where


@pytest.mark.slow
@pytest.mark.usefixtures("switched_on")
@each_call
def test_kernels_and_closed_forms_compute_the_same_or_raise_the_same(
    function: str, shape: Shape
) -> None:
    loss = function_of(functional, function.split()[0])
    for varied, how, arguments in cases(function, shape):
        found: list[Tensor | Exception] = []
        for context in (nullcontext(), kernels.closed_forms_only()):
            with context:
                found.append(outcome(loss, arguments))
        ours, formula = found
        if isinstance(formula, Exception):
            assert repr(ours) == repr(formula), f"{varied} {how}"
        else:
            assert isinstance(ours, Tensor), f"{varied} {how}: {ours!r}"
            assert ours.dtype == formula.dtype, f"{varied} {how}"
            assert_same(ours, formula, arguments, f"{varied} {how}")
