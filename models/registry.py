"""The built-in models by name, and your own by 'package.module:name', a class or function."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from difflib import get_close_matches

from torch import nn

from .convnet import ConvNet
from .lenet import LeNet
from .plainnet import PlainNet
from .resnet9 import ResNet9
from .xception import Xception

_models: dict[str, Callable[..., nn.Module]] = {
    "lenet": LeNet,
    "convnet": ConvNet,
    "plainnet": PlainNet,
    "resnet9": ResNet9,
    "xception": Xception,
}


def names() -> tuple[str, ...]:
    """Return the names of the built-in models."""
    return tuple(_models)


def find(name: str) -> Callable[..., nn.Module]:
    """Return the class of the built-in model `name`, or your own by 'package.module:name'.

    Raises:
        KeyError: there is no built-in model of that name.
        ImportError: the module cannot be imported, or has no such class or function.
    """
    if ":" in name:
        return _imported(name)
    if name not in _models:
        near = get_close_matches(name, _models, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise KeyError(
            f"unknown model {name!r}: {hint}choose from {', '.join(_models)}, or name your own "
            "class or function as package.module:name"
        )
    return _models[name]


def build(name: str, num_outputs: int = 1, width: int | None = None) -> nn.Module:
    """Build the model `name` with random weights drawn from torch's global generator.

    Args:
        name: as in `find`.
        num_outputs: columns of the output, at least 1. A model that has no argument of that name
            gets it as `num_classes`.
        width: channels of the first layer; None leaves it to the model.

    Raises:
        KeyError, ImportError: as `find`.
        TypeError: the class does not take these arguments, or what it returns is no module.
    """
    model = find(name)
    arguments = {} if width is None else {"width": width}
    built = model(**{_outputs_argument(model): num_outputs}, **arguments)
    if not isinstance(built, nn.Module):
        raise TypeError(f"it returns {type(built).__name__}, not a torch.nn.Module")
    return built


def _outputs_argument(model: Callable[..., nn.Module]) -> str:
    """Return by which name a model takes the number of its outputs. Raises TypeError."""
    parameters = inspect.signature(model).parameters
    for name in ("num_outputs", "num_classes"):
        if name in parameters:
            return name
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return "num_classes"  # torchvision's functions pass it on
    raise TypeError("it takes neither num_outputs nor num_classes")


def _imported(name: str) -> Callable[..., nn.Module]:
    module_name, _, class_name = name.partition(":")
    # An installed command does not search the working directory; the user's module is there.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    module = importlib.import_module(module_name)
    model = getattr(module, class_name, None)
    if not callable(model):
        near = get_close_matches(class_name, dir(module), n=1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise ImportError(f"module {module_name!r} has no class or function {class_name!r}{hint}")
    return model  # type: ignore[no-any-return]
