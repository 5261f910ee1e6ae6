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
from typing import Any

import torch
from torch import Tensor

from ..closed_form import Formula
from .double_backward import differentiable_gradient
from .formulas import CROSS_ENTROPY, FORMS, NLL, PAIRS
from .switches import Backend, NoKernelsError, switched_off, without_cuda_kernels

__all__ = [
    "CROSS_ENTROPY",
    "FORMS",
    "NLL",
    "PAIRS",
    "Backend",
    "backend",
    "closed_forms_only",
    "cross_entropy",
    "elementwise",
    "ensure",
    "load",
    "nll",
    "pairs",
]


class _NoKernels:
    """In the kernels' place: nothing is computed by them."""

    def cross_entropy(self, *_: object) -> None:
        return None

    elementwise = nll = pairs = cross_entropy

    def closed_forms(self, _on: bool) -> None:
        pass


class _LazyKernels:
    """Looks for built kernels when the first loss is computed, not when `losses` is imported."""

    def __getattr__(self, name: str) -> Any:
        load()
        return getattr(_native, name)


_native: Any = _LazyKernels()
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
    from .build import build

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
    from .build import load_built

    try:
        if switched_off():
            raise NoKernelsError("LOSSES_KERNELS=0 switches the kernels off")
        native, by = load_built()
        native.set_double_backward(differentiable_gradient)
        _native, _backend = native, Backend("kernels", by)
    except NoKernelsError as reason:
        _native, _backend = _NoKernels(), Backend("closed forms", str(reason))


@contextmanager
def closed_forms_only() -> Iterator[None]:
    """Compute losses by their closed forms, in this thread."""
    _native.closed_forms(True)
    try:
        with without_cuda_kernels():
            yield
    finally:
        _native.closed_forms(False)
