"""What a comparison is: one frozen dataclass is the command line, the JSON file and the code's
only source of settings."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from .errors import UserError

CONFIDENTLY_WRONG = 0.0003
"""The probability of a cat with which the confidently-wrong start begins, whatever is shown."""


ARTICLE = (
    "zero-one",
    "probability-sum",
    "bce",
    "bce-with-logits",
    "cross-entropy",
    "nll",
    "sigmoid-mse",
    "mse",
    "softmax-mse",
    "bernoulli-sum",
)
"""The losses of the argument for cross-entropy, which are compared unless others are named."""


@dataclass(frozen=True)
class Comparison:
    """Train the same small network with each loss over paired seeds, and compare.

    Every run of a seed begins as the same function and sees the same batches in the same order,
    with the same learning rate; only the loss differs, and with it the head, which has one output
    for losses of one logit and two for those of a softmax. Writes runs/<name>/: results.csv,
    summary.json, summary.md, report.html, pictures and TensorBoard logs.
    """

    losses: Annotated[
        tuple[str, ...] | None,
        tyro.conf.arg(
            metavar="NAME [NAME ...]", help_behavior_hint="(default: the ten of the argument)"
        ),
    ] = None
    """Losses to compare: names of losses/README.md, package.module:Class for your own, or all."""
    model: Annotated[str, tyro.conf.arg(metavar="NAME")] = "convnet"
    """lenet, convnet, resnet9, or a class of your own as package.module:Class."""
    width: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: the model's own)")
    ] = None
    """Channels of the model's first layer."""
    data: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="SOURCE",
            help_behavior_hint="(default: cifar10; synthetic where that cannot be had)",
        ),
    ] = None
    """cifar10, oxford-pets, synthetic, or a directory, .zip or .tar of cat and dog pictures."""
    image_size: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="PX", help_behavior_hint="(default: 32 for cifar10, 64 for photographs)"
        ),
    ] = None
    """Side of the images in pixels, 32 to 224."""
    epochs: int = 2
    """Passes over the training images."""
    batch_size: int = 64
    """Images in a step."""
    learning_rate: float = 0.1
    """Peak of the one-cycle learning rate, the same for every loss."""
    seeds: int = 3
    """Runs of each loss; a seed's runs share weights, batches and augmentation."""
    start: Literal["normal", "confidently-wrong"] = "normal"
    """confidently-wrong: the model begins by saying 'dog' with probability 0.9997."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is one."""
    log_every: int = 10
    """Steps between two points in TensorBoard."""
    evaluations: int = 4
    """Evaluations on the test images in an epoch; the last one of all is the result."""
    runs: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs")
    """Directory that the experiment's directory is made in."""
    name: Annotated[
        str | None,
        tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: data, model, start and date)"),
    ] = None
    """Name of the experiment, which is the name of its directory."""

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON knows them."""
        return dataclasses.asdict(self) | {"runs": str(self.runs)}


def check(config: Comparison) -> None:
    """Raise UserError for a value that no comparison can have. Names are checked where they are
    looked up."""
    for flag, least in {
        "epochs": 1,
        "batch_size": 2,
        "seeds": 1,
        "log_every": 1,
        "evaluations": 1,
        "width": 1,
    }.items():
        value = getattr(config, flag)
        if value is not None and value < least:
            raise UserError(f"--{flag.replace('_', '-')} {value}: must be at least {least}")
    if not (math.isfinite(config.learning_rate) and config.learning_rate > 0):
        raise UserError(f"--learning-rate {config.learning_rate}: must be a number above 0")
    if config.losses is not None and not config.losses:
        raise UserError("--losses: name at least one loss, or leave the flag out for all")
    if config.losses is not None and len(set(config.losses)) < len(config.losses):
        raise UserError(f"--losses {' '.join(config.losses)}: each loss can be named once")
    if config.name is not None and (
        config.name in ("", ".", "..") or any(c in config.name for c in "/\\\0")
    ):
        raise UserError(f"--name {config.name!r}: must be a plain directory name without slashes")
