"""The gradient of a kernel's loss as a differentiable function, for a graph of the backward pass.

The closed forms compute it. They use the kernels, so this module cannot import them: the package
registers its function here.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

_registered: list[Callable[..., Tensor]] = []


def register(gradient: Callable[..., Tensor]) -> None:
    """Set the function that `differentiable_gradient` calls."""
    _registered[:] = [gradient]


def differentiable_gradient(*arguments: Any) -> Tensor:
    """Return dL/dinput of a kernel's loss; see `losses.double_backward.differentiable_gradient`."""
    return _registered[0](*arguments)
