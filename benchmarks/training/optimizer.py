"""The optimizer of a run and the schedule of its learning rate."""

from __future__ import annotations

import ast
import importlib
import math
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.benchmarks.config import TrainingConfig
from lossbench.benchmarks.errors import UserError, one_line

from .checkpoint import State

MOMENTUM = 0.9

BUILT_IN: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {"momentum": MOMENTUM, "nesterov": True}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
}
"""Class and settings of each optimizer that has a name here."""

COMPUTATION = ("fused", "foreach", "capturable", "differentiable")
"""Settings of an optimizer that depend on the device and change nothing but the last bits."""


def one_cycle(step: int, total_steps: int) -> float:
    """Return the fraction of the peak learning rate at a step.

    It rises linearly over a quarter of the steps and falls linearly over the rest.
    """
    position = (step + 0.5) / total_steps
    return position / 0.25 if position < 0.25 else (1 - position) / 0.75


def constant(_step: int, _total_steps: int) -> float:
    """Return 1: every step has the peak learning rate."""
    return 1.0


def cosine(step: int, total_steps: int) -> float:
    """Return the fraction of the peak learning rate at a step: half a cosine, from 1 down to 0.

    Source: Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts. The position is the
    middle of the step, as in `one_cycle`.
    """
    return (1 + math.cos(math.pi * (step + 0.5) / total_steps)) / 2


SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "one-cycle": one_cycle,
    "constant": constant,
    "cosine": cosine,
}
"""Fraction of the peak learning rate at a step, by the name of the schedule."""


def parse_settings(text: str) -> tuple[str, dict[str, Any]]:
    """Split the value of --optimizer into a name and settings.

    Settings are literals, and nothing is evaluated.

    Raises:
        UserError: the settings are not written as in a call, or lossbench sets one of them itself.

    >>> parse_settings("adam(betas=(0.9, 0.95))")
    ('adam', {'betas': (0.9, 0.95)})
    """
    name, bracket, rest = text.partition("(")
    if not bracket:
        return name, {}
    try:
        call = ast.parse(f"f({rest}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError
        settings = {each.arg: ast.literal_eval(each.value) for each in call.keywords if each.arg}
        if len(settings) < len(call.keywords):  # one of them twice, or **
            raise ValueError
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise UserError(
            f"--optimizer {text!r:.80}: settings are written as keywords with plain values, "
            "like 'adam(betas=(0.9, 0.95))'"
        ) from None
    flags = {"lr": "--learning-rate", "weight_decay": "--weight-decay"}
    for key in settings:
        if key in flags:
            raise UserError(f"--optimizer {text!r:.80}: set {key} by {flags[key]}")
        if key in COMPUTATION or key == "params":
            raise UserError(f"--optimizer {text!r:.80}: {key} is set by lossbench")
    return name, settings


def find_class(name: str) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """Return the class of an optimizer, and its settings unless others are given.

    Args:
        name: sgd, adam, adamw, or package.module:Class.

    Raises:
        UserError: there is no such optimizer.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    module_name, _, class_name = name.partition(":")
    # An installed command does not search the working directory; the user's module is there.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (Exception, SystemExit) as error:  # importing a user's module may raise anything
        raise UserError(
            f"--optimizer {name!r:.80}: {type(error).__name__}: {one_line(error)}; choose "
            f"from {', '.join(BUILT_IN)}, or name a class as package.module:Class"
        ) from None
    if not (isinstance(found, type) and issubclass(found, torch.optim.Optimizer)):
        raise UserError(f"--optimizer {name!r:.80}: it is no torch.optim.Optimizer")
    return found, {}


def build_optimizer(config: TrainingConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer of a run, whose learning rate is set before each step.

    Weight decay does not apply to biases and normalization.

    Raises:
        UserError: there is no such optimizer, or it has no weight decay and should.
        Exception: the class refuses its settings or parameters.
    """
    name, settings = parse_settings(config.optimizer)
    optimizer_class, defaults = find_class(name)
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if settings.get("momentum") == 0 and "nesterov" in defaults:
        defaults = {}  # Nesterov's rule needs a momentum
    settings = defaults | settings
    if name in BUILT_IN:
        # The fused version accepts the rate as a tensor, which a CUDA graph reads at each replay.
        settings["fused"] = parameters[0].is_cuda
        if name != "sgd":  # which counts no steps
            settings["capturable"] = parameters[0].is_cuda and config.cuda_graphs
            # The first steps are taken without the graph.
            warnings.filterwarnings("ignore", "This instance was constructed with capturable")
    optimizer = optimizer_class(groups, lr=1.0, **settings)  # type: ignore[call-arg]
    if config.weight_decay and "weight_decay" not in optimizer.defaults:
        raise UserError(
            f"--weight-decay {config.weight_decay}: --optimizer {name} has none; leave one of the "
            "two out"
        )
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the optimizer's next step."""
    groups = optimizer.param_groups
    current = groups[0]["lr"]
    if isinstance(current, Tensor):
        current.fill_(rate)  # in place: a CUDA graph holds its address
        return
    device = next(p for group in groups for p in group["params"]).device
    in_graph = device.type == "cuda" and groups[0].get("fused")
    lr = torch.tensor(rate, device=device) if in_graph else rate
    for group in groups:
        group["lr"] = lr


def load_optimizer_state(optimizer: torch.optim.Optimizer, saved: State) -> None:
    """Resume an optimizer from the `state_dict` of another one of the same run.

    Settings that depend on the device stay: it may be another one than before.
    """
    own = optimizer.state_dict()["param_groups"]
    groups = [
        before | {key: group[key] for key in ("params", "lr", *COMPUTATION) if key in group}
        for before, group in zip(saved["param_groups"], own, strict=True)
    ]
    optimizer.load_state_dict({"state": saved["state"], "param_groups": groups})


def check_optimizer(config: TrainingConfig, device: torch.device) -> None:
    """Try the optimizer: one step of a small model, without a closure.

    Raises:
        UserError: there is no such optimizer, or it fails.
    """
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 1)).to(device)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    try:
        optimizer = build_optimizer(config, model)
        set_learning_rate(optimizer, 0.1)
        optimizer.step()
    except UserError:
        raise
    except Exception as error:  # a user's optimizer may raise anything
        raise UserError(
            f"--optimizer {config.optimizer!r:.80}: {type(error).__name__}: {one_line(error)}; "
            "an optimizer takes its settings by keyword and every parameter of a model in two "
            "groups, and its step needs no closure"
        ) from None
