"""Gradient statistics and a failing loss made by hand, and readers of what a test has written."""

import io
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lossbench.benchmarks.records.gradient_stats import GradientStats

SMALL = ["--model", "convnet", "--width", "4", "--epochs", "1", "--batch-size", "8"]
SMALL += ["--evaluations", "1", "--start", "normal"]
"""Flags of a comparison that takes seconds."""

FAILING = """
import torch
from lossbench import losses

@losses.register("failing", task="binary")
class Failing(torch.nn.Module):
    def __init__(self, reduction="mean"):
        super().__init__()

    def forward(self, input, target):
        if len(input) > 4:
            raise RuntimeError("not\\nagain")
        return torch.nn.functional.softplus(input * (1 - 2 * target))
"""
"""A module with a user's loss that fails in training, beyond the four examples of a check."""


def gradient_stats(steps: int = 1, **changes: Any) -> GradientStats:
    """Make statistics of steps of 64 examples, of which five are wrong."""
    values: dict[str, Any] = {
        "steps": steps,
        "examples": 64 * steps,
        "wrong": 5 * steps,
        "loss": 0.7,
        "accuracy": 0.5,
        "logit_mean_abs": 0.25,
        "logit_when_wrong": 0.5,
        "vanished_fraction": 0.0,
        "parameter_norm": 2.0,
        "layers": {"head.weight": 1.5, "head.bias": 0.5},
        "logit_log10": torch.tensor([-1.0, -2.0, -12.0]),
    }
    return GradientStats(**values | changes)


def read_events(directory: Path) -> EventAccumulator:
    """Read the event files of a directory, and leave nothing out."""
    keep = dict.fromkeys(("scalars", "histograms", "tensors", "images"), 0)
    return EventAccumulator(str(directory), size_guidance=keep).Reload()


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))
