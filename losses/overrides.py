"""Overrides of the functions by __torch_function__, as those of torch.nn.functional have them.

So torch.fx records a loss as one call, and a subclass of Tensor gets results of its own class.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function


def is_overridden(*tensors: Tensor | None) -> bool:
    """Return whether a tensor or a mode has a __torch_function__, which is to compute the loss.

    False under torch.compile, which calls it for every operation of the loss instead.
    """
    return has_torch_function(tensors) and not torch.compiler.is_compiling()


def overridden(function: Callable[..., Tensor], arguments: dict[str, Any]) -> Tensor:
    """Call the __torch_function__ of a loss's arguments.

    Args:
        function: the loss, which takes two tensors first.
        arguments: all of its arguments by name, in order.
    """
    input, target, *_ = given = tuple(arguments.values())
    rest = dict(list(arguments.items())[2:])
    return handle_torch_function(function, given, input, target, **rest)
