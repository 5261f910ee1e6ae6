"""The last linear layer: what makes runs of different losses start as the same function."""

import math

import torch
from torch import nn


def last_linear(model: nn.Module) -> tuple[str, nn.Linear]:
    """The name and the layer of the last `nn.Linear` of a model, in order of definition.

    Raises ValueError if there is none.
    """
    layers = [(name, layer) for name, layer in model.named_modules() if type(layer) is nn.Linear]
    if not layers:
        raise ValueError(
            f"{type(model).__name__} has no torch.nn.Linear: the last layer has to be one, so "
            "that every loss can begin from the same function"
        )
    return layers[-1]


def split_head(model: nn.Module) -> nn.Module:
    """Turn a model of one logit z into one of two, (-z/2, +z/2), in place, and return it.

    The softmax of the two is (1 - sigmoid(z), sigmoid(z)): the same function as before.
    Raises ValueError if the last linear layer has not exactly one output.
    """
    name, head = last_linear(model)
    if head.out_features != 1:
        raise ValueError(f"a head of one output was wanted, {name!r} has {head.out_features}")
    split = nn.Linear(head.in_features, 2, bias=head.bias is not None, device=head.weight.device)
    with torch.no_grad():
        split.weight.copy_(torch.cat([-head.weight, head.weight]) / 2)
        if head.bias is not None:
            split.bias.copy_(torch.cat([-head.bias, head.bias]) / 2)
    model.set_submodule(name, split)
    return model


def begin_at(model: nn.Module, probability: float) -> nn.Module:
    """Set the last bias of a model of one logit to that of `probability`, in place.

    The model then begins by giving about this probability to class 1 whatever it is shown.
    Raises ValueError if the last linear layer has no bias or more than one output.
    """
    name, head = last_linear(model)
    if head.bias is None or head.out_features != 1:
        raise ValueError(f"a head of one output with a bias was wanted, {name!r} is {head}")
    with torch.no_grad():
        head.bias.fill_(math.log(probability / (1 - probability)))
    return model
