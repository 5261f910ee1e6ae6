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
from .presets import PRESETS

MAX_SEEDS = 100_000
RESERVED_NAMES = ("evidence", "trials", "tuning")
"""Directories of `runs` that are no comparisons."""

WRONG_START_PROBABILITY = 0.0003
"""The probability of a cat with which the confidently-wrong start begins, whatever is shown."""


ARTICLE_LOSSES = (
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


LEARNING_RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""The learning rates that are tried for every loss unless others are named."""


@dataclass(frozen=True)
class TrainingConfig:
    """How the networks of an experiment are trained, whatever the loss."""

    losses: Annotated[
        tuple[str, ...] | None,
        tyro.conf.arg(
            metavar="NAME [NAME ...]", help_behavior_hint="(default: the ten of the argument)"
        ),
    ] = None
    """Losses to compare: names of losses/README.md, package.module:Class for your own, or all."""
    model: Annotated[str, tyro.conf.arg(metavar="NAME")] = "convnet"
    """lenet, convnet, plainnet, resnet9, xception, or a class of your own as
    package.module:Class."""
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
    """cifar10, oxford-pets (cats and dogs), cifar10-ten, oxford-breeds (all their classes),
    synthetic, or a directory, .zip or .tar of cat and dog pictures."""
    image_size: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="PX", help_behavior_hint="(default: 32 for cifar10, 64 for photographs)"
        ),
    ] = None
    """Side of the images in pixels, 32 to 224."""
    augmentation: Literal["none", "shift", "photographs"] = "shift"
    """shift: mirrored and shifted by up to an eighth; photographs: cut out at random, mirrored,
    in another light."""
    epochs: int = 2
    """Passes over the training images."""
    batch_size: int = 64
    """Images in a step."""
    weight_decay: float = 0.0
    """Decay of all weights but biases and normalisation; it acts on what the loss does not move."""
    test_time_augmentation: Literal["none", "mirror", "mirror-shift"] = "none"
    """mirror: an image is judged by the mean of the outputs for it and its mirror image;
    mirror-shift: and for both shifted towards each corner, by a pixel of 32."""
    start: Literal["normal", "confidently-wrong"] = "normal"
    """confidently-wrong: the model begins by saying 'dog' with probability 0.9997."""
    validation: float = 0.1
    """Share of the training images that are held out, to draw the curves and to tune with; 0: none.
    A source with a validation split of its own keeps that."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is one."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: of the layers in training; outputs, loss and weights stay float32."""
    channels_last: bool = True
    """Keep a pixel's channels beside each other in memory."""
    compile: bool = False
    """Compile the network with torch.compile, which takes half a minute; try whether it pays."""
    cuda_graphs: bool = True
    """On CUDA, start all kernels of a step with one call. Not for losses and models of your own."""
    runs: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs")
    """Directory that the experiment's directory is made in."""

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON knows them."""
        return dataclasses.asdict(self) | {"runs": str(self.runs)}


@dataclass(frozen=True)
class CompareConfig(TrainingConfig):
    """Train the same small network with each loss over paired seeds, and compare.

    Every run of a seed begins as the same function and sees the same batches in the same order;
    only the loss differs, and with it the head, which has one output for losses of one logit and
    two for those of a softmax. The test images are looked at once, when a run is over. Writes
    runs/<name>/: results.csv, summary.json, summary.md, report.html, pictures and TensorBoard logs.
    """

    learning_rate: float = 0.1
    """Peak of the one-cycle learning rate, the same for every loss."""
    tuned: bool = False
    """Give each loss the learning rate that `lossbench tune` found for it instead, with the same
    data, model and training."""
    seeds: int = 5
    """Runs of each loss; a seed's runs share weights, batches and augmentation."""
    log_every: int = 10
    """Steps between two points in TensorBoard."""
    evaluations: int = 4
    """Evaluations on the validation images in an epoch."""
    checkpoint_every: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 60.0
    """Time between two checkpoints of a run, from which --resume goes on; 0: after every step."""
    at_once: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: what fits in memory)")
    ] = None
    """Runs that are trained side by side on a CUDA device."""
    deterministic: bool = False
    """On CUDA, only algorithms that give the same bits every time; some are slower. On the CPU the
    same machine with as many threads gives the same bits anyway."""
    preset: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: none)")
    ] = None
    """Model, images and training for the best accuracy: photos (in minutes), photos-full or
    cifar-full (in hours). Flags beside it count."""
    name: Annotated[
        str | None,
        tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: data, model, start and date)"),
    ] = None
    """Name of the experiment, which is the name of its directory."""


@dataclass(frozen=True)
class TuneConfig(TrainingConfig):
    """Find the learning rate that suits each loss, on validation images.

    Every loss is trained with the same learning rates, seeds and number of steps, and the one with
    the highest mean accuracy on the validation images is kept for `lossbench compare --tuned`. The
    test images are never looked at, and the seeds are none that a comparison uses. Trials that were
    made before are not made again. Writes runs/tuning/<name>/: tuning.json, tuning.md, trials.csv.
    """

    rates: tuple[float, ...] = LEARNING_RATES
    """Learning rates to try, the peaks of a one-cycle schedule."""
    seeds: int = 2
    """Trials of each loss and rate."""
    workers: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="N", help_behavior_hint="(default: one a core; what fits in a GPU's memory)"
        ),
    ] = None
    """Networks trained at a time, each with one thread on the CPU."""


def validate(config: CompareConfig | TuneConfig) -> None:
    """Raise UserError for a value that no experiment can have. Names are checked where they are
    looked up."""
    least = {"epochs": 1, "batch_size": 2, "seeds": 1, "width": 1}
    least |= {"log_every": 1, "evaluations": 1, "workers": 1, "at_once": 1}
    for flag, bound in least.items():
        value = getattr(config, flag, None)
        if value is not None and value < bound:
            raise UserError(f"{_flag(flag)} {value}: must be at least {bound}")
    if config.seeds > MAX_SEEDS:
        raise UserError(f"--seeds {config.seeds}: must be at most {MAX_SEEDS:,}")
    rates = config.rates if isinstance(config, TuneConfig) else (config.learning_rate,)
    for rate in rates:
        if not (math.isfinite(rate) and rate > 0):
            flag = "--rates" if isinstance(config, TuneConfig) else "--learning-rate"
            raise UserError(f"{flag} {rate}: must be a number above 0")
    if isinstance(config, TuneConfig) and (len(set(rates)) < len(rates) or len(rates) < 2):
        raise UserError(f"--rates {' '.join(map(str, rates))}: give two or more different ones")
    if not (math.isfinite(config.weight_decay) and config.weight_decay >= 0):
        raise UserError(f"--weight-decay {config.weight_decay}: must be 0 or more")
    if not 0 <= config.validation < 1:
        raise UserError(f"--validation {config.validation}: must be a share from 0 to below 1")
    if isinstance(config, TuneConfig) and config.validation == 0:
        raise UserError("--validation 0: a learning rate is chosen on validation images")
    if config.losses is not None and not config.losses:
        raise UserError("--losses: name at least one loss, or leave the flag out for the ten")
    if config.losses is not None and len(set(config.losses)) < len(config.losses):
        raise UserError(f"--losses {' '.join(config.losses)}: each loss can be named once")
    if isinstance(config, CompareConfig):
        _check_comparison(config)


def _check_comparison(config: CompareConfig) -> None:
    _check_name(config.name)
    every = config.checkpoint_every
    if not (math.isfinite(every) and every >= 0):
        raise UserError(f"--checkpoint-every {every}: must be 0 or more seconds")
    preset = PRESETS.get(config.preset or "", {})
    usual = preset.get("learning_rate", CompareConfig().learning_rate)
    if config.tuned and config.learning_rate != usual:
        raise UserError(
            f"--learning-rate {config.learning_rate} and --tuned: each loss has the rate that was "
            "found for it; leave one of the two out"
        )


def _check_name(name: str | None) -> None:
    if name is not None and (name in ("", ".", "..") or any(c in name for c in "/\\\0")):
        raise UserError(f"--name {name!r}: must be a plain directory name without slashes")
    if name in RESERVED_NAMES:
        raise UserError(f"--name {name}: lossbench keeps its own files there; choose another")


def _flag(field: str) -> str:
    return f"--{field.replace('_', '-')}"
