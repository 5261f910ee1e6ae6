"""The last linear layer of a model, and the probability that it starts with."""

import math

import torch
from torch import nn


def last_linear(model: nn.Module) -> tuple[str, nn.Linear]:
    """Return the name and the module of a model's last `nn.Linear`, in order of definition.

    Raises:
        ValueError: the model has no `nn.Linear`.
    """
    layers = [(name, layer) for name, layer in model.named_modules() if type(layer) is nn.Linear]
    if not layers:
        raise ValueError(
            f"{type(model).__name__} has no torch.nn.Linear: the last layer has to be one, so "
            "that every loss can begin from the same function"
        )
    return layers[-1]


def set_initial_probability(model: nn.Module, probability: float) -> nn.Module:
    """Set the last bias of a model with one logit to ln(p / (1 - p)), in place.

    The model then starts by giving class 1 about the probability p for every image.

    Args:
        model: a model whose last linear layer has one output.
        probability: p, between 0 and 1.

    Returns:
        The model.

    Raises:
        ValueError: the last linear layer has no bias or more than one output.
    """
    name, head = last_linear(model)
    if head.bias is None or head.out_features != 1:
        raise ValueError(f"the head needs one output and a bias; {name!r} is {head}")
    with torch.no_grad():
        head.bias.fill_(math.log(probability / (1 - probability)))
    return model
