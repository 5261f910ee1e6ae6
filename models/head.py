"""The last linear layer, set so that runs of different losses start as the same function."""

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


def split_head(model: nn.Module) -> nn.Module:
    """Turn a model with one logit z into one with two logits, (-z/2, +z/2), in place.

    The softmax of the two is (1 - sigmoid(z), sigmoid(z)): the same function as before.

    Returns:
        The model.

    Raises:
        ValueError: the last linear layer has more than one output.
    """
    name, head = last_linear(model)
    if head.out_features != 1:
        raise ValueError(
            f"split_head needs a head with one output; {name!r} has {head.out_features}"
        )
    split = nn.Linear(head.in_features, 2, bias=head.bias is not None, device=head.weight.device)
    with torch.no_grad():
        split.weight.copy_(torch.cat([-head.weight, head.weight]) / 2)
        if head.bias is not None:
            split.bias.copy_(torch.cat([-head.bias, head.bias]) / 2)
    model.set_submodule(name, split)
    return model


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
