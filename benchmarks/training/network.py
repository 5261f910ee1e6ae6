"""The network of a run: its initial weights and its forward pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lossbench import models
from lossbench.benchmarks.config import RunConfig
from lossbench.losses import registry

from .distributed import wrap_ddp
from .objective import Objective


def build_model(config: RunConfig, objective: Objective) -> nn.Module:
    """Return the initial model of a seed: the same for every loss."""
    torch.manual_seed(config.seed)
    model = models.build(config.model, num_outputs=objective.num_outputs, width=config.width)
    if config.initial_probability is not None:
        models.set_initial_probability(model, config.initial_probability)
    return model


def build_forward(config: RunConfig, model: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the forward pass for training: data-parallel, compiled, in bfloat16 as configured.

    Its outputs are float32.
    """
    forward = wrap_ddp(model)
    if config.compile:
        forward = torch.compile(forward)
    if config.precision == "float32":
        return forward
    device = next(model.parameters()).device.type

    def forward_autocast(pixels: Tensor) -> Tensor:
        with torch.autocast(device, torch.bfloat16):
            outputs = forward(pixels)
        return outputs.float()

    return forward_autocast


def is_builtin(config: RunConfig) -> bool:
    """Tell whether loss, model and optimizer come with lossbench.

    Those draw no random numbers in training and decide nothing on the host.
    """
    package = registry.entry(config.loss).module.__module__.partition(".")[0]
    own_loss = package != registry.__name__.partition(".")[0]
    return not (own_loss or config.model not in models.names() or ":" in config.optimizer)
