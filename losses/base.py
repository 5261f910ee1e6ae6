"""Base classes of the modules: settings shown in `repr`, tensors as buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.modules.loss import _Loss

from . import checks


class Loss(nn.Module):
    """Base class of a module that calls a function of `losses.functional` with its settings.

    A subclass sets `function` and passes its constructor's arguments to `__init__`: tensors (or
    None) in `buffers`, numbers by name. `forward` passes all of them to the function by name;
    `repr`, `state_dict` and `copy.deepcopy` include them. A loss that torch has is also one of
    torch's modules: it inherits from that, after this class.

    Raises ValueError for a reduction that is not one of `reductions`.
    """

    function: ClassVar[Callable[..., Tensor]]
    reductions: ClassVar[tuple[str, ...]] = checks.REDUCTIONS
    reduction: str

    def __init__(
        self,
        buffers: dict[str, Tensor | None] | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        *,
        reduction: str,
        **settings: Any,
    ) -> None:
        # Not that of torch's module, where a loss is one of those too.
        base: Any = _Loss if isinstance(self, _Loss) else Loss
        super(base, self).__init__()
        reduction = checks.of_deprecated(size_average, reduce, reduction)
        checks.reduction(reduction, self.reductions)
        self._settings = (*(buffers or {}), *settings, "reduction")
        for name, tensor in (buffers or {}).items():
            self.register_buffer(name, tensor)
        for name, value in settings.items():
            setattr(self, name, value)
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        # Of a buffer `getattr` is slow: it fails before torch looks among the buffers.
        buffers = self._buffers
        settings = {
            name: buffers[name] if name in buffers else getattr(self, name)
            for name in self._settings
        }
        return type(self).function(input, target, **settings)

    def extra_repr(self) -> str:
        shown = {name: getattr(self, name) for name in self._settings}
        return ", ".join(
            f"{name}={list(value.shape) if isinstance(value, Tensor) else repr(value)}"
            for name, value in shown.items()
            if not (value is None and name in self._buffers)
        )


class TorchReduced(Loss):
    """A loss of torch's whose only setting is the reduction."""

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(None, size_average, reduce, reduction=reduction)


class TorchWeighted(Loss):
    """A loss of torch's with a `weight` (None: no weight) and a reduction."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__({"weight": weight}, size_average, reduce, reduction=reduction)


class Weighted(Loss):
    """A loss with a `weight` (None: no weight) and a reduction."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__({"weight": weight}, reduction=reduction)


class RowLoss(Loss):
    """A loss of rows of logits: a `weight` for each class, an `ignore_index`, a reduction."""

    weight: Tensor | None
    ignore_index: int

    def __init__(
        self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__({"weight": weight}, ignore_index=ignore_index, reduction=reduction)
