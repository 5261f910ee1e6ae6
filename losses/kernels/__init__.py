"""Fused kernels: the value of a loss and its gradient in one pass over the memory.

For plain float32 and float64 tensors on the CPU they are C++ in `source/`, built once by
`python -m losses.kernels build` (or by the command `lossbench`) into the user's cache, and used
from then on. For tensors on CUDA they are in Triton, in `cuda/`. The closed forms compute
everything else: what is compiled, traced or transformed by `torch.func`, other dtypes and devices,
derivatives by targets and weights, and second derivatives. Where there is no kernel they compute
everything, to the same result within rounding.

`losses.backend()` says which of the two is in use and why; the environment variable
`LOSSES_KERNELS=0` switches the kernels off.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..closed_form import Formula
from ..forms import binary, focal, margin
from .switches import switched_off, this_thread


class Backend(NamedTuple):
    """What computes the losses of plain tensors ('kernels' or 'closed forms'), and why."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


FORMS: dict[Formula, int] = {
    form: number
    for number, form in enumerate(
        (
            binary.bce_with_logits,
            binary.weighted_bce,
            binary.bce,
            binary.sigmoid_mse,
            binary.mse,
            binary.l1,
            binary.kl_div,
            binary.kl_div_of_logs,
            margin.soft_margin,
            margin.hinge_embedding,
            focal.sigmoid_focal,
        )
    )
}
"""The losses of single numbers that have a kernel, with their number in
source/compute.cpp."""

CROSS_ENTROPY, PAIRS, NLL = -1, -2, -3
"""The numbers of those of rows, as in source/call.h."""


class _ClosedForms:
    """In the kernels' place: nothing is computed by them."""

    def cross_entropy(self, *_: object) -> None:
        return None

    elementwise = nll = pairs = cross_entropy

    def closed_forms(self, _on: bool) -> None:
        pass


class _NotLoaded:
    """Looks for built kernels when the first loss is computed, not when `losses` is imported."""

    def __getattr__(self, name: str) -> Any:
        load()
        return getattr(_native, name)


_native: Any = _NotLoaded()
_backend: Backend | None = None


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float = 0.0,
) -> Tensor | None:
    """`losses.functional.cross_entropy`, or None where it is not for a kernel."""
    if torch.compiler.is_compiling():
        return None
    arguments = (input, target, weight, ignore_index, reduction, label_smoothing)
    found = _native.cross_entropy(*arguments)
    if found is None and _on_cuda(input):
        from . import cuda

        return cuda.cross_entropy(*arguments)
    return found  # type: ignore[no-any-return]


def nll(
    input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str
) -> Tensor | None:
    """`losses.functional.nll_loss`, or None where it is not for a kernel."""
    if torch.compiler.is_compiling():
        return None
    return _native.nll(  # type: ignore[no-any-return]
        input, target, weight, ignore_index, reduction, 0.0
    )


def elementwise(
    loss: Formula,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    third: Tensor | None = None,
    *settings: float,
) -> Tensor | None:
    """A loss of single numbers, weighed and reduced, or None where it is not for a kernel. `third`
    is a tensor that its formula takes beside input and target, broadcastable to them."""
    form = FORMS.get(loss)
    if form is None or torch.compiler.is_compiling():
        return None
    found = _native.elementwise(form, input, target, weight, third, reduction, *settings)
    if found is None and _on_cuda(input):
        from . import cuda

        return cuda.elementwise(form, input, target, weight, third, reduction, settings)
    return found  # type: ignore[no-any-return]


def pairs(
    input: Tensor,
    lists: Tensor,
    weight: Tensor | None,
    reduction: str,
    margin_of_pairs: float = 1.0,
    power: int = 1,
) -> Tensor | None:
    """The losses over pairs of a listed and an unlisted class, divided by the number of classes:
    `losses.functional.multi_margin_loss` for a class a row, `multilabel_margin_loss` for a list."""
    if torch.compiler.is_compiling():
        return None
    return _native.pairs(  # type: ignore[no-any-return]
        input, lists, weight, reduction, margin_of_pairs, power
    )


def _on_cuda(input: object) -> bool:
    return isinstance(input, Tensor) and input.is_cuda


def backend(device: str | torch.device = "cpu") -> Backend:
    """What computes the losses of plain tensors on `device`, and why.

    'kernels' are used on the CPU for float32 and float64, and on CUDA for float32, bfloat16 and
    float16.
    """
    device = torch.device(device)
    if device.type == "cuda":
        from . import cuda

        return cuda.backend(device.index)
    if device.type != "cpu":
        return Backend("closed forms", f"there are no kernels for {device.type}")
    if _backend is None:
        load()
    assert _backend is not None
    return _backend


def ensure(say: Callable[[str], None]) -> Backend:
    """Build the kernels unless they are there or switched off, and use them. What takes time, and
    why there are none, is said to `say`, a line at a time."""
    from .build import NoKernelsError, build

    reason = ""
    if not switched_off():
        try:
            build(say)
        except NoKernelsError as error:
            reason = str(error)
    load()
    if reason:
        say(f"the losses are computed by their closed forms, without kernels: {reason}")
    return backend()


def load() -> None:
    """Use the kernels from now on if they have been built, else the closed forms."""
    global _native, _backend
    from .build import NoKernelsError, load_built

    try:
        if switched_off():
            raise NoKernelsError("LOSSES_KERNELS=0 switches the kernels off")
        native, by = load_built()
        native.call_again_by(_differentiable_gradient)
        _native, _backend = native, Backend("kernels", by)
    except NoKernelsError as reason:
        _native, _backend = _ClosedForms(), Backend("closed forms", str(reason))


@contextmanager
def closed_forms_only() -> Iterator[None]:
    """Without the kernels, in this thread."""
    _native.closed_forms(True)
    this_thread.closed_forms_only += 1
    try:
        yield
    finally:
        this_thread.closed_forms_only -= 1
        _native.closed_forms(False)


def _differentiable_gradient(
    form: int,
    upstream: Tensor,
    tensors: tuple[Tensor | None, ...],
    ignore_index: int,
    reduction: str,
    settings: tuple[float, ...],
) -> Tensor:
    """The gradient of a loss that a kernel computed, as a function that can be differentiated:
    that of the closed forms. The kernels call this where a graph of the backward pass is built."""
    from ..arguments import weighted
    from ..functional.likelihood import nll_loss
    from ..functional.margin import multi_margin_loss, multilabel_margin_loss
    from ..functional.softmax import cross_entropy

    input, target, weight, *third = tensors
    assert input is not None
    assert target is not None
    if form == PAIRS and target.dim() == 1:
        loss = multi_margin_loss(
            input, target, int(settings[1]), settings[0], weight, reduction=reduction
        )
    elif form == PAIRS:
        loss = multilabel_margin_loss(input, target, reduction=reduction)
    elif form == NLL:
        loss = nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)
    elif form == CROSS_ENTROPY:
        loss = cross_entropy(
            input,
            target,
            weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=settings[0],
        )
    else:
        formula = next(each for each, number in FORMS.items() if number == form)
        rest = (target, *(x for x in third if x is not None), *settings)
        loss = weighted(formula, input, rest, weight, reduction, input.dtype)
    (gradient,) = torch.autograd.grad(loss, input, upstream, create_graph=True)
    return gradient
