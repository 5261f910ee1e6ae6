"""The network of a run: its initial weights, its place in memory and its forward pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor, nn

from lossbench import models
from lossbench.benchmarks.config import RunConfig
from lossbench.losses import registry

from .distributed import wrap_ddp
from .objective import Objective


def build_model(config: RunConfig, objective: Objective, side: int) -> nn.Module:
    """Return the initial model of a seed: the same for every loss.

    Args:
        config: the run.
        objective: its loss.
        side: of the images, in pixels. Lazy layers of a model of the user's own get their
            parameters from it.
    """
    torch.manual_seed(config.seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Lazy modules are a new feature")
        model = models.build(config.model, num_outputs=objective.num_outputs, width=config.width)
    if is_own(config.model):
        _try_images(model, side, torch.contiguous_format)
    if config.initial_probability is not None:
        models.set_initial_probability(model, config.initial_probability)
    return model


def place_model(model: nn.Module, config: RunConfig, side: int, device: torch.device) -> nn.Module:
    """Move a model to the device and into the configured memory format.

    Batches are channels_last. A model of the user's own that fails on that, as `x.view` does, gets
    contiguous copies of them instead, and keeps its format.
    """
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    if is_own(config.model):
        try:
            model.to(memory_format=layout)
            _try_images(model, side, torch.channels_last)
        except Exception:  # a user's model may raise anything
            layout = torch.contiguous_format
            model.register_forward_pre_hook(_contiguous)
    return model.to(device, memory_format=layout)  # type: ignore[call-overload, no-any-return]


@torch.no_grad()
def _try_images(model: nn.Module, side: int, layout: torch.memory_format) -> None:
    """Evaluate a model on two black images; it is in training mode afterwards."""
    anywhere = next(chain(model.parameters(), model.buffers()), torch.empty(0))
    black = torch.zeros(2, 3, side, side, device=anywhere.device)
    try:
        model.eval()(black.contiguous(memory_format=layout))
    finally:
        model.train()


def _contiguous(_model: nn.Module, images: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(each.contiguous() for each in images)


def build_forward(config: RunConfig, model: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the forward pass for training: data-parallel, compiled, in bfloat16 as configured.

    Its outputs are float32.
    """
    # The registry's models use all of their parameters.
    forward = wrap_ddp(model, find_unused=is_own(config.model))
    if config.compile:
        forward = torch.compile(forward)
    return in_precision(config, forward, next(model.parameters()).device)


def in_precision(
    config: RunConfig, forward: Callable[[Tensor], Tensor], device: torch.device
) -> Callable[[Tensor], Tensor]:
    """Return a forward pass that computes in the configured precision."""
    if config.precision == "float32":
        return forward

    def forward_autocast(pixels: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            outputs = forward(pixels)
        return outputs.float()

    return forward_autocast


def is_own(model: str) -> bool:
    """Tell whether the name of a model is that of a user's own."""
    return model not in models.names()


def is_builtin(config: RunConfig) -> bool:
    """Tell whether loss, model and optimizer come with lossbench.

    Those draw no random numbers in training and decide nothing on the host.
    """
    package = registry.entry(config.loss).module.__module__.partition(".")[0]
    own_loss = package != registry.__name__.partition(".")[0]
    return not (own_loss or is_own(config.model) or ":" in config.optimizer)
