"""Cross-entropy of a linear layer, without the layer's output in memory."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from . import checks
from .base import Loss
from .linear_parts import (
    NAME,
    Data,
    Rule,
    chunked_loss,
    divisible,
    full_logits_loss,
    without_autocast,
)
from .overrides import is_overridden, overridden

# torch has it since 2.13.
_TorchModule: Any = getattr(nn, "LinearCrossEntropyLoss", nn.Module)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
) -> Tensor:
    """Cross-entropy of the logits z = W x + b, a few rows of which are in memory at a time.

    L = cross_entropy(F.linear(input, linear_weight, linear_bias), target, ...). Beyond inputs,
    outputs and their gradients it needs at most an eighth of the memory of the logits, or as much
    as one row needs, and a few numbers per row. With 'mean' and 'sum' the gradients are computed in
    the forward pass; with 'none', and in float16, in the backward pass from the logits again.

    All logits are in memory where they have no more than 64 KiB or are a single row, under
    torch.compile and torch.func, in forward mode, for derivatives by target or weight, and for
    second derivatives.

    Args:
        input: x, (D,) or (N, D), floating point.
        linear_weight: W, (C, D), or (C, d1, ..., dK, D) for d1 ... dK losses of every x; of input's
            dtype.
        target: class indices in [0, C), (), (N,) or (N, d1, ..., dK), any integer dtype; or
            probabilities, (C,), (N, C) or (N, C, d1, ..., dK).
        linear_bias: b, of linear_weight's shape without D; None: 0.
        weight: a factor w for each class, (C,), as in `cross_entropy`.
        reduction: 'mean', 'sum' or 'none'; 'mean' divides as in `cross_entropy`.
        ignore_index: a class index that contributes neither loss nor gradient; None: -100.
        label_smoothing: s, in [0, 1].
        options: a torch.nn.LinearCrossEntropyOptions. Its batch_chunk_size is the number of rows of
            logits in memory, the rest has no meaning here. None: as many rows as may be.
        z_loss: factor of the squared log-partition, at least 0.
        softcap: bound on the size of the logits, above 0; None: no bound.
    Raises:
        RuntimeError: input, linear_weight and linear_bias do not fit each other; ignore_index with
            probabilities.
        TypeError: an argument of another type.
        ValueError, RuntimeError, IndexError, NotImplementedError: as `cross_entropy` of the logits.
    Source: torch.nn.functional.linear_cross_entropy, since torch 2.13.

    >>> import torch
    >>> x, w = torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([[1.0, 1.0], [0.0, -1.0]])
    >>> linear_cross_entropy(x, w, torch.tensor([0, 1]), reduction="none")
    tensor([0.0067, 0.1269])
    """
    if is_overridden(input, linear_weight, target, linear_bias, weight):
        return overridden(linear_cross_entropy, locals())
    optional = {"linear_bias": linear_bias, "weight": weight}
    given = {name: x for name, x in optional.items() if x is not None}
    checks.tensors(input=input, linear_weight=linear_weight, target=target, **given)
    reduction = checks.of_deprecated(None, None, reduction)
    checks.reduction(reduction)
    if weight is not None:
        checks.real(weight=weight)
    autocast = checks.under_autocast(input)
    if autocast:
        input, linear_weight = _autocast(input), _autocast(linear_weight)
        linear_bias = None if linear_bias is None else _autocast(linear_bias)
    with without_autocast(input):
        shape = _logits_shape(input, linear_weight, linear_bias)
        soft = target.shape == shape
        dtype = _loss_dtype(input, target, weight, soft=soft, autocast=autocast)
        if autocast and not soft and weight is not None:
            # As the logits, whose loss is computed in this dtype.
            weight = weight.to(dtype)
        rule = Rule(
            reduction=reduction,
            ignore_index=_checked_ignore_index(ignore_index, soft=soft),
            label_smoothing=label_smoothing,
            z_loss=z_loss,
            softcap=softcap,
            dtype=dtype,
            rows=_rows_at_once(options),
        )
        return _loss_of_layer(rule, Data(input, linear_weight, linear_bias, target, weight), shape)


def _loss_of_layer(rule: Rule, data: Data, shape: tuple[int, ...]) -> Tensor:
    """Compute the loss in chunks of rows where that is possible; `shape` is that of the logits."""
    # The logits' shape, dtype and device without their memory.
    logits = data.input.new_empty((), dtype=rule.dtype).expand(shape)
    if not divisible(logits, data):
        return full_logits_loss(rule, data)
    if data.target.shape == shape:
        checks.distribution(NAME, logits, data.target, data.weight, rule.ignore_index)
    else:
        _, weight, _ = checks.indices(NAME, logits, data.target, data.weight, rule.ignore_index)
        data = data._replace(weight=weight)
    return chunked_loss(rule, data)


class LinearCrossEntropyLoss(Loss, _TorchModule):  # type: ignore[misc]
    """A linear layer and the cross-entropy of its output, which is not kept in memory.

    Drop-in for `torch.nn.LinearCrossEntropyLoss`; see `losses.functional.linear_cross_entropy`.
    The layer is the submodule `linear`, with the weight (C d1 ... dK, D).
    """

    function = staticmethod(linear_cross_entropy)

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
        z_loss: float = 0.0,
        softcap: float | None = None,
    ) -> None:
        if weight is not None and weight.shape != (num_classes,):
            raise RuntimeError(
                f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}: it has "
                "one factor for each class"
            )
        checks.label_smoothing(label_smoothing)
        super().__init__(
            {"weight": weight},
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            options=options,
            z_loss=z_loss,
            softcap=softcap,
            reduction=reduction,
        )
        self.num_classes, self.out_features = num_classes, out_features
        outputs = math.prod(out_features, start=num_classes)
        self.linear = nn.Linear(in_features, outputs, bias=bias, device=device, dtype=dtype)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        shape = (self.num_classes, *self.out_features)
        bias = None if self.linear.bias is None else self.linear.bias.reshape(shape)
        weight = self.linear.weight.reshape(*shape, self.linear.in_features)
        settings = {name: getattr(self, name) for name in self._settings}
        return linear_cross_entropy(input, weight, target, linear_bias=bias, **settings)

    def extra_repr(self) -> str:
        layer = f"num_classes={self.num_classes}, out_features={self.out_features}"
        return f"{layer}, {super().extra_repr()}"


# --- arguments -----------------------------------------------------------------------------------


def _checked_ignore_index(ignore_index: int | None, *, soft: bool) -> int:
    """Return ignore_index, or -100; RuntimeError if one is given and the target is `soft`."""
    if soft and ignore_index is not None:
        raise RuntimeError(
            f"ignore_index={ignore_index} cannot be specified when target contains "
            "probabilities: leave it out, and give those rows a target of zeros"
        )
    return -100 if ignore_index is None else checks.index("ignore_index", ignore_index)


def _logits_shape(
    input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None
) -> tuple[int, ...]:
    """Check the arguments of the layer; return the shape of the logits, classes after rows."""
    x, w = tuple(input.shape), tuple(linear_weight.shape)
    if len(x) not in (1, 2):
        raise RuntimeError(
            f"expected input of 1 or 2 dimensions, (D,) or (N, D), got {x}: flatten a sequence "
            "with input.flatten(0, -2) and target.flatten()"
        )
    if len(w) < 2:
        raise RuntimeError(f"expected linear_weight of at least 2 dimensions, (C, D), got {w}")
    if x[-1] != w[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions, the features D, got "
            f"{x[-1]} and {w[-1]}"
        )
    if linear_bias is not None and linear_bias.shape != w[:-1]:
        raise RuntimeError(
            f"expected linear_bias shape {w[:-1]}, linear_weight's without the last dimension, got "
            f"{tuple(linear_bias.shape)}"
        )
    if len(w) > 2 and len(x) == 1:
        raise RuntimeError(
            f"linear_weight of shape {w} gives several losses of a row and needs an input (N, D), "
            f"got {x}: use input.unsqueeze(0)"
        )
    checks.same_dtype(input, linear_weight=linear_weight)
    if linear_bias is not None:
        checks.same_dtype(input, linear_bias=linear_bias)
    checks.floating(NAME, input=input)
    return (*x[:-1], *w[:-1])


def _loss_dtype(
    input: Tensor, target: Tensor, weight: Tensor | None, *, soft: bool, autocast: bool
) -> torch.dtype:
    dtype = input.dtype
    for x in (target, weight) if soft else ():
        dtype = dtype if x is None else torch.promote_types(dtype, x.dtype)
    return torch.float32 if autocast and dtype.itemsize < 4 else dtype


def _rows_at_once(options: Any) -> int | None:
    """Return how many rows of logits `options` allows; None: it does not say."""
    if options is None:
        return None
    try:
        return options.batch_chunk_size  # type: ignore[no-any-return]
    except AttributeError:
        raise TypeError(
            "options must be a torch.nn.LinearCrossEntropyOptions or None, not "
            f"{type(options).__name__}"
        ) from None


def _autocast(x: Tensor) -> Tensor:
    """Return x in the dtype that autocast gives the arguments of a linear layer."""
    if not x.is_floating_point() or x.dtype == torch.float64:
        return x
    return x.to(torch.get_autocast_dtype(x.device.type))
