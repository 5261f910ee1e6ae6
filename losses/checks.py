"""The rules about the arguments of every public function, with torch's exception types.

There are no others: kernels know which calls are plain (`kernels.Signature`) and leave the rest to
these. What one family alone asks for stands in its file. A function checks types first, then
shapes, dtypes and values.

Checks of shapes, dtypes and settings always run. Checks of values (`first`,
`class_indices`, `positive`) run in eager mode on the CPU alone: on CUDA they would synchronise,
under `torch.compile` break the graph, and under `torch.func.vmap` there are no values. There an
index out of range is an error of torch's gather or scatter (on CUDA a device-side assertion), an
input of binary_cross_entropy outside [0, 1] gives NaN, and a target outside [0, 1] or a prior of 0
goes unnoticed.
"""

import math
import operator
import warnings
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

REDUCTIONS = ("mean", "sum", "none")


def did_you_mean(given: object, known: Sequence[str]) -> str:
    """Return "did you mean 'mean'? " for a word near one of `known`, else ""."""
    near = get_close_matches(str(given), known, n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def reduction(given: str, known: tuple[str, ...] = REDUCTIONS) -> None:
    """Raise ValueError unless `given` is one of `known`."""
    if given not in known:
        raise ValueError(
            f"{given!r} is not a valid value for reduction: {did_you_mean(given, known)}use one of "
            f"{', '.join(known)}"
        )


def of_deprecated(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """Return the reduction that torch's deprecated arguments mean, with torch's warning."""
    if size_average is not None or reduce is not None:
        averaged = "mean" if size_average is None or size_average else "sum"
        reduction = averaged if reduce is None or reduce else "none"
        what = "size_average and reduce args will be deprecated, please"
    elif reduction == "elementwise_mean":
        reduction, what = "mean", "reduction='elementwise_mean' is deprecated. Please"
    else:
        return reduction
    warn(f"{what} use reduction='{reduction}' instead.", stacklevel=4)
    return reduction


def warn(message: str, stacklevel: int) -> None:
    warnings.warn(message, stacklevel=stacklevel)


# As torch.compiler.assume_constant_result: the compiler warns while it traces.
warn._dynamo_marked_constant = True  # type: ignore[attr-defined]


def index(name: str, value: Any) -> int:
    """Return an integer of any kind, such as numpy's or a 0-d tensor, as Python's.

    Raises TypeError for another argument, ValueError for one that int64 does not hold.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    number = operator.index(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{name}={number} is no class index: it must be in [-2**63, 2**63)")
    return number


def number(name: str, value: object) -> None:
    """Raise TypeError for what is no real number, such as a string, a list or None."""
    # A setting that is symbolic under torch.compile is a float to isinstance alone.
    if not (isinstance(value, float | int) or hasattr(value, "__float__")):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")


def setting(
    function: str,
    name: str,
    value: float,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> None:
    """Raise ValueError unless `value` is finite, in float32, and within the given bounds.

    Raises TypeError for what is no number.
    """
    number(f"{function}: {name}", value)
    # Finite in float32, in which most losses are computed; NaN is not.
    if least <= value <= most and above < value < below and abs(value) < 3e38:
        return
    bounds = [("at least", least), ("at most", most), ("above", above), ("below", below)]
    wanted = " and ".join(f"{word} {bound:g}" for word, bound in bounds if math.isfinite(bound))
    raise ValueError(
        f"{function}: {name}={value} must be a finite number{' ' * bool(wanted)}{wanted}"
    )


def label_smoothing(value: float) -> None:
    """Raise RuntimeError unless `value` is in [0, 1], TypeError for what is no number."""
    number("label_smoothing", value)
    if not 0.0 <= value <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {value}")


def tensors(**arguments: object) -> None:
    """Raise TypeError for an argument that is not a tensor."""
    for name, argument in arguments.items():
        if not isinstance(argument, Tensor):
            raise TypeError(
                f"{name} must be a Tensor, not {type(argument).__name__}: use torch.tensor({name})"
            )


def basics(
    input: object,
    target: object,
    weight: object,
    given: str,
    known: tuple[str, ...] = REDUCTIONS,
) -> None:
    """Raise TypeError for what is no tensor (None is no weight), ValueError for the reduction."""
    tensors(input=input, target=target)
    if weight is not None:
        tensors(weight=weight)
    reduction(given, known)


def floating(function: str, **tensors: Tensor) -> None:
    """Raise NotImplementedError for a tensor whose dtype is not floating point."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise NotImplementedError(
                f"{function} is not implemented for {name} of dtype {tensor.dtype}: "
                f"convert it with {name}.float()"
            )


def same_dtype(input: Tensor, **tensors: Tensor) -> None:
    """Raise RuntimeError for a tensor of another dtype than input's; not under autocast."""
    for name, tensor in tensors.items():
        if tensor.dtype != input.dtype and not under_autocast(input):
            raise RuntimeError(
                f"found {name} of dtype {tensor.dtype} but input of dtype {input.dtype}: "
                f"convert it with {name}.to(input.dtype)"
            )


def under_autocast(x: Tensor) -> bool:
    """Return whether autocast is on for the device of x; never for the meta device."""
    return x.device.type != "meta" and torch.is_autocast_enabled(x.device.type)


def real(**numbers: Tensor) -> None:
    """Raise RuntimeError for a complex tensor, TypeError for an argument that is not a tensor."""
    tensors(**numbers)
    for name, tensor in numbers.items():
        if tensor.is_complex():
            raise RuntimeError(
                f"{name} of dtype {tensor.dtype} cannot weigh or be compared with real numbers: "
                f"use {name}.real or {name}.abs()"
            )


def same_shape(input: Tensor, target: Tensor) -> None:
    """Raise ValueError unless target has input's shape."""
    if target.shape != input.shape:
        raise ValueError(
            f"target size {tuple(target.shape)} must be the same as input size "
            f"{tuple(input.shape)}: a loss of single logits has one target per logit"
        )


def broadcast_size(**tensors: Tensor) -> torch.Size:
    """Return the size of tensors that are broadcast together; raise RuntimeError if impossible."""
    shapes = [x.shape for x in tensors.values()]
    try:
        return torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call, no-any-return]
    except RuntimeError:
        sizes = " and ".join(f"{name} of size {tuple(x.shape)}" for name, x in tensors.items())
        raise RuntimeError(
            f"{sizes} cannot be broadcast: from the last dimension on sizes must match or be 1"
        ) from None


def broadcasts_to_input(input: Tensor, **tensors: Tensor) -> None:
    """Raise RuntimeError for a tensor that cannot be broadcast to input's shape, or is complex."""
    real(**tensors)
    for name, tensor in tensors.items():
        sizes = zip(reversed(tensor.shape), reversed(input.shape), strict=False)
        if tensor.dim() > input.dim() or any(a not in (1, b) for a, b in sizes):
            raise RuntimeError(
                f"{name} of size {tuple(tensor.shape)} cannot be broadcast to the input's size "
                f"{tuple(input.shape)}"
            )


def class_weight(input: Tensor, weight: Tensor, name: str = "weight") -> None:
    """Raise RuntimeError unless `weight` is one number for each class of `input`."""
    real(**{name: weight})
    classes = class_count(input)
    if weight.shape != (classes,):
        raise RuntimeError(
            f"{name} tensor should be defined either for all {classes} classes or no classes "
            f"but got {name} tensor of shape {tuple(weight.shape)}"
        )


def class_count(input: Tensor) -> int:
    """Return the number of classes of (N, C, ...) or (C,); raise IndexError for ()."""
    if input.dim() == 0:
        raise IndexError("input has no class dimension: expected (C,) or (N, C, ...), got ()")
    return input.shape[min(1, input.dim() - 1)]


def is_distribution(input: Tensor, target: Tensor) -> bool:
    """Return whether target holds probabilities of input's shape, not class indices."""
    tensors(input=input, target=target)
    return input.dim() > 0 and target.shape == input.shape


def distribution(
    function: str, input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int
) -> None:
    """Check logits, a target of their shape and weights of the classes.

    Of the logits it reads shape and dtype alone.
    """
    if not target.is_floating_point():
        raise RuntimeError(
            f"Expected floating point type for target with class probabilities, got "
            f"{target.dtype}; class indices have the input's shape without the class dimension"
        )
    floating(function, input=input)
    if weight is not None:
        class_weight(input, weight)
    if index("ignore_index", ignore_index) >= 0:
        raise RuntimeError(
            f"ignore_index={ignore_index} is not supported for floating point target: give those "
            "rows a target of zeros"
        )


def indices(
    function: str, input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor | None, bool]:
    """Check logits, class indices of their rows and weights of the classes.

    Of the logits it reads shape and dtype alone.

    Returns the indices as int64, one for every row; the weights as (C,); and whether all indices
    are known to be in the range.
    """
    if input.dim() == 0:
        # torch's types: it takes an index beside a 0-d input for probabilities of a wrong dtype.
        probabilities = target.dim() > 0 or target.is_floating_point()
        error = IndexError if probabilities else RuntimeError
        raise error("input has no class dimension: expected (C,) or (N, C, ...), got ()")
    index_shape(input, target)
    floating(function, input=input)
    classes = class_count(input)
    if weight is not None:
        # torch takes weights of any shape beside images.
        if input.dim() > 2 and isinstance(weight, Tensor) and weight.numel() == classes:
            weight = weight.reshape(-1)
        class_weight(input, weight)
        same_dtype(input, weight=weight)
    if input.dim() > 2 and classes == 0:
        raise RuntimeError(
            f"input of size {tuple(input.shape)} has no classes: expected (N, C, ...) with at "
            "least one class"
        )
    # As int64 before it is compared: a narrower type may not hold the number of classes.
    y = (target.reshape(()) if input.dim() == 1 else target).long()
    return y, weight, class_indices(classes, y, index("ignore_index", ignore_index))


def index_shape(input: Tensor, target: Tensor) -> None:
    """Raise unless `target` has one class index for every row of logits of `input`.

    ValueError for a batch of another size, or for more than one index of one row; RuntimeError
    for a dtype that is no integer's, or any other mismatch of shape.
    """
    wanted = input.shape[:1] + input.shape[2:] if input.dim() > 1 else torch.Size(())
    # torch counts an index without dimensions as a batch of 0.
    if input.dim() > 1 and (target.shape or (0,))[0] != input.shape[0]:
        raise ValueError(
            f"Expected input batch_size to match target batch_size: input is "
            f"{tuple(input.shape)}, target {tuple(target.shape)}"
        )
    index_dtype(target)
    # torch lets one row (C,) have its one target as (1,).
    if target.shape == wanted or (input.dim() == 1 and target.shape == (1,)):
        return
    if input.dim() == target.dim() == 1:
        raise ValueError(
            f"one row of {input.shape[0]} logits has one target index, not {target.shape[0]}; a "
            "batch of rows is (N, C)"
        )
    error = RuntimeError if target.dim() else IndexError
    raise error(
        f"target of class indices has size {tuple(target.shape)} but input of size "
        f"{tuple(input.shape)} needs {tuple(wanted)}, one index per row of logits"
    )


def index_dtype(target: Tensor) -> None:
    """Raise RuntimeError unless `target` is of an integer dtype (torch's losses want int64).

    For complex numbers it is a NotImplementedError, which is a RuntimeError too.
    """
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        error = NotImplementedError if target.is_complex() else RuntimeError
        raise error(
            f"expected class indices of an integer dtype, but got {target.dtype}: convert class "
            "indices with target.long(); probabilities need the input's shape"
        )


def positive(*, least: float = 0.0, **numbers: Tensor) -> None:
    """Raise ValueError for a tensor with an element that is not above 0, or is below `least`."""
    wanted = f"at least {least:g}" if least else "above 0"
    for name, tensor in numbers.items():
        if (at := first(tensor, lambda x: ~((x > 0) & (x >= least)))) is not None:
            raise ValueError(
                f"all elements of {name} must be {wanted} but {tensor[at].item()} is at position "
                f"{at}"
            )


def _has_values(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def all_within(tensor: Tensor, high: float) -> bool:
    """Return whether every element is in [0, high]; False where values cannot be read."""
    if not _has_values(tensor):
        return False
    if tensor.numel() == 0:
        return True
    try:
        least, greatest = tensor.aminmax()
        return bool(least >= 0) and bool(greatest <= high)
    except RuntimeError:  # under vmap
        return False


def first(tensor: Tensor, is_bad: Callable[[Tensor], Tensor]) -> tuple[int, ...] | None:
    """Return the position of the first bad element; None if there is none, or where values cannot
    be read."""
    if not _has_values(tensor):
        return None
    try:
        bad = is_bad(tensor)
        return tuple(bad.nonzero()[0].tolist()) if bool(bad.any()) else None
    except RuntimeError:  # under vmap
        return None


def class_indices(
    classes: int,
    target: Tensor,
    ignore_index: int | None,
    *,
    name: str = "ignore_index",
    error: type[Exception] = IndexError,
) -> bool:
    """Raise `error` for a class index outside [0, classes) that is not `ignore_index`.

    Args:
        name: name of `ignore_index` in the message.

    Returns whether all indices are known to be in the range.
    """
    if all_within(target, classes - 1):
        return True

    def outside(y: Tensor) -> Tensor:
        bad = (y < 0) | (y >= classes)
        return bad if ignore_index is None else bad & (y != ignore_index)

    if (at := first(target, outside)) is not None:
        ignored = "" if ignore_index is None else f" or equal to {name}={ignore_index}"
        raise error(
            f"Target {int(target[at])} is out of bounds at position {at}: class indices must be "
            f"in [0, {classes}){ignored}"
        )
    return False
