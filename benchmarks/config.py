"""The settings: each dataclass is the command line, the JSON file and the code's configuration."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import tyro

from .errors import UserError, unknown_name

MAX_SEEDS = 100_000
MAX_NAME = 200
"""Bytes of an experiment's name at most, with which its directory fits any file system."""
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

REFERENCE = "cross-entropy"
"""The loss that the others are compared with."""

DATA_SOURCE_FIELDS = ("data", "split", "classes", "duplicates")
"""Settings that say which images there are. The images' fingerprint covers what they do."""

Start = Literal["normal", "confidently-wrong"]
"""Initial model of an experiment."""

KERNELS = False
"""Whether losses are computed by their kernels unless the command line says otherwise."""

LEARNING_RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""The learning rates that are tried for every loss with SGD unless others are named."""


def option(value: str, default: str = "") -> Any:
    """Return how --help shows an option: its value, and what it is if it is not given."""
    hint = f"(default: {default})" if default else ""
    return tyro.conf.arg(metavar=value, help_behavior_hint=hint)


Workers = Annotated[int | None, option("N", "one per core; what fits in a GPU's memory")]
"""Number of networks that are trained at a time."""


class OptimizerRates(NamedTuple):
    """Learning rates of an optimizer unless others are named: the default, and those tried."""

    default: float
    tried: tuple[float, ...]


# A step of Adam is as long as the rate whatever the size of the gradient, so its rates are smaller.
# In a search on CIFAR-10's cats and dogs (one epoch, one seed) cross-entropy, sigmoid-mse and mse
# are all best at 0.01. Each grid spans three decades in seven rates.
_ADAM = OptimizerRates(0.01, (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1))
OPTIMIZERS = {"sgd": OptimizerRates(0.1, LEARNING_RATES), "adam": _ADAM, "adamw": _ADAM}
"""The optimizers that have a name here."""

DuplicatePolicy = Literal["keep", "drop", "stop"]
"""What to do with images that are in a data set more than once."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of one training, shared by runs, comparisons and searches."""

    split: Annotated[
        tuple[str, ...],
        option("SPLIT=DIR [SPLIT=DIR ...]", "by their names"),
    ] = ()
    """What folders below --data hold, such as train=photos test='My Test'.
    Needed if a folder's name does not say train, validation or test. '.' is every other folder."""
    classes: Annotated[
        tuple[str, ...],
        option("CLASS=NAME,NAME [CLASS=NAME ...]", "cat dog"),
    ] = ()
    """Names of each class's folders below --data, such as cat=kitten,gatos dog=perros,puppy.
    Any two will do: cat=tabby dog=wolf. cifar10-ten takes more than two."""
    duplicates: DuplicatePolicy = "keep"
    """keep: warn of copies of an image, across splits or with two labels.
    drop: take them out of training; test images stay. stop: end the command."""
    model: Annotated[str, tyro.conf.arg(metavar="NAME")] = "convnet"
    """lenet, convnet, plainnet, resnet9, xception, or package.module:name.
    torchvision.models:resnet18, your own class or function with num_outputs or num_classes."""
    width: Annotated[int | None, option("N", "the model's own")] = None
    """Channels of the first layer."""
    image_size: Annotated[int | None, option("PX", "32 for cifar10, 64 for photographs")] = None
    """Height and width of the images in pixels, 32 to 224."""
    augmentation: Literal["none", "shift", "photographs"] = "shift"
    """shift: flip, and shift by an eighth of the side at most.
    photographs: crop, flip, color jitter."""
    epochs: int = 2
    """Passes over the training images."""
    batch_size: int = 64
    """Images per step."""
    optimizer: Annotated[str, tyro.conf.arg(metavar="NAME")] = "sgd"
    """sgd (with Nesterov momentum 0.9), adam, adamw, or a class as package.module:Class.
    Settings follow in parentheses: 'sgd(momentum=0.5)', 'torch.optim:RMSprop(alpha=0.9)'."""
    schedule: Literal["one-cycle", "constant", "cosine"] = "one-cycle"
    """one-cycle: the learning rate rises for a quarter of the steps, then falls to 0, linearly.
    cosine: it falls from its peak to 0 along half a cosine."""
    weight_decay: float = 0.0
    """Weight decay of all parameters except biases and normalisation.
    adamw keeps it apart from the gradient."""
    test_time_augmentation: Literal["none", "mirror", "mirror-shift"] = "none"
    """mirror: average the outputs over the image and its mirror image.
    mirror-shift: also over both shifted towards each corner, by one pixel in 32."""
    validation: float = 0.1
    """Share of the training images held out for curves and tuning; 0: no validation.
    Above 0, a validation split of the data is used instead, if there is one."""
    evaluations: int = 4
    """Evaluations on validation images per epoch."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: train the layers under torch.autocast; outputs, loss and weights stay float32."""
    kernels: bool = KERNELS
    """Compute losses by their kernels, which are built if need be.
    Their last bits differ from the closed forms'; training amplifies that."""
    channels_last: bool = True
    """Use the channels_last memory format."""
    compile: bool = False
    """Use torch.compile: half a minute more per run."""
    cuda_graphs: bool = True
    """On CUDA, replay each step as one graph, but not of your own losses and models."""

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in dataclasses.asdict(self).items()
        }


@dataclass(frozen=True)
class RunConfig(TrainingConfig):
    """One run: a network trained once, with one loss, one seed and one learning rate.

    Two runs that differ only in loss, its arguments and learning rate are paired: they share the
    initial weights, the batches, their order and augmentation, the held-out images and the noise.

    Attributes:
        loss: registered name of the loss.
        seed: seed of the weights, the batches, and all that is drawn of labels and images.
        learning_rate: peak of the schedule.
        loss_arguments: arguments of the loss beyond those of its registry entry, as (name, value)
            pairs; a tuple of numbers becomes a tensor.
        data: name or path of the images, as `open_images` takes it.
        initial_probability: probability of class 1 that a model of two classes starts with for
            every image; None keeps the initial head.
        flipped_epochs: epochs of cross-entropy on flipped labels that come before the run. The
            network, the same for every loss, thus starts out trained into error. Two classes only.
        train_images: upper bound of the number of training images, the same for each class.
        label_noise: fraction of training labels replaced by another class, drawn uniformly.
        imbalance: number of images of class 0 per image of class 1 in training. Two classes only.
        stop_at_accuracy: validation accuracy at which training stops early; None: never.
        record_examples: record the margin and dL/dz of some training examples.
        record_curvature: record the parameter gradient, and the curvature along it, at the start.
        test: evaluate on the test images, once, at the end.
    """

    loss: str
    seed: int
    learning_rate: float
    loss_arguments: tuple[tuple[str, Any], ...] = ()
    data: str = "cifar10"
    initial_probability: float | None = None
    flipped_epochs: int = 0
    train_images: int | None = None
    label_noise: float = 0.0
    imbalance: float = 1.0
    stop_at_accuracy: float | None = None
    record_examples: bool = False
    record_curvature: bool = False
    test: bool = False

    def key(self, *, of: str = "") -> str:
        """Return a name for files: SHA-256 (first 20 hex digits) of the fields and of `of`.

        `DATA_SOURCE_FIELDS` is left out, because images may move. `of` tells other images apart.
        """
        fields = {k: v for k, v in self.to_json().items() if k not in DATA_SOURCE_FIELDS}
        text = json.dumps(fields, sort_keys=True) + of
        return hashlib.sha256(text.encode()).hexdigest()[:20]


@dataclass(frozen=True, kw_only=True)
class SubjectConfig:
    """Losses and images of an experiment, the first options that --help shows."""

    losses: Annotated[tuple[str, ...] | None, option("NAME [NAME ...]", "the ten")] = None
    """Losses to train with: names from losses/README.md, all, or package.module:name.
    torch.nn:CrossEntropyLoss, your own class, function or instance of (input, target)."""
    data: Annotated[
        str | None,
        option("SOURCE", "cifar10; synthetic if it is not available"),
    ] = None
    """Cats and dogs: cifar10, oxford-pets, synthetic, or a path (directory, .zip, .tar, .parquet).
    More classes: cifar10-ten, oxford-breeds."""


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig(TrainingConfig, SubjectConfig):
    """Settings that comparisons and searches share."""

    start: Start = "normal"
    """confidently-wrong: the initial model gives 'dog' the probability 0.9997 for every image."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA if there is a GPU."""
    runs: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs")
    """Directory of experiments."""

    def run_config(self, loss: str, seed: int, learning_rate: float) -> RunConfig:
        """Return the run of one loss, seed and learning rate, evaluated on the test images."""
        shared = {field.name: getattr(self, field.name) for field in fields(TrainingConfig)}
        wrong = self.start == "confidently-wrong"
        return RunConfig(
            loss,
            seed,
            learning_rate,
            data=self.data or "cifar10",
            initial_probability=WRONG_START_PROBABILITY if wrong else None,
            test=True,
            **shared,
        )


@dataclass(frozen=True, kw_only=True)
class CompareConfig(ExperimentConfig):
    """Train the same small network with each loss over paired seeds, and compare the losses.

    Every run of a seed has the same initial weights and sees the same batches in the same order:
    only the loss differs. A loss that is a multiple of another is trained once, to check that. The
    test images are used once, at the end of a run. Writes runs/<name>/: report.html, tables,
    figures and TensorBoard logs; from both starts, a directory for each and one report of the two.
    """

    learning_rate: Annotated[float | None, option("RATE")] = None
    """Peak of the learning rate, the same for every loss.
    By default presets have 0.1, adam and adamw 0.01, and each loss its own with sgd, which
    `lossbench tune` found for the default settings."""
    tuned: bool = False
    """Give each loss the rate that `lossbench tune` found with these data and settings."""
    seeds: int = 5
    """Runs per loss, paired by weights and batches."""
    log_every: int = 10
    """Steps between two points in TensorBoard."""
    checkpoint_every: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 60.0
    """Seconds between checkpoints; 0: every step."""
    deterministic: bool = False
    """On CUDA, use only deterministic algorithms; some are slower. The CPU always does."""
    preset: Annotated[str | None, option("NAME")] = None
    """Settings for the best accuracy: photos (takes minutes), photos-full, cifar-full (hours).
    Other flags override the preset's values."""
    name: Annotated[str | None, option("NAME", "data, model and date")] = None
    """Name of the experiment's directory."""


@dataclass(frozen=True, kw_only=True)
class TuneConfig(ExperimentConfig):
    """Find the best learning rate of each loss, on validation images.

    Every loss is trained with the same learning rates, seeds and number of steps. The rate with the
    highest mean accuracy on the validation images is kept for `lossbench compare --tuned`. The test
    images are never used, and no comparison uses the seeds of a search. A run that was trained
    before is not trained again. Writes runs/tuning/<name>/: tuning.json, tuning.md, runs.csv.
    """

    rates: Annotated[
        tuple[float, ...] | None,
        option("RATE [RATE ...]", "0.003 to 3; 0.0001 to 0.1 for adam, adamw"),
    ] = None
    """Learning rates to try: peaks of the schedule."""
    seeds: int = 2
    """Runs per loss and learning rate."""
    workers: Workers = None
    """Networks trained at a time, each with one thread on the CPU."""


def validate(config: CompareConfig | TuneConfig) -> None:
    """Raise UserError for a setting out of range. Names of losses, models and images are checked
    when they are looked up."""
    for name in ("epochs", "batch_size", "seeds", "width", "log_every", "evaluations", "workers"):
        value, least = getattr(config, name, None), 2 if name == "batch_size" else 1
        if value is not None and value < least:
            raise UserError(f"--{name.replace('_', '-')} {value}: must be at least {least}")
    if config.seeds > MAX_SEEDS:
        raise UserError(f"--seeds {config.seeds}: must be at most {MAX_SEEDS:,}")
    rates = rates_of(config)
    for rate in rates:
        if not (math.isfinite(rate) and rate > 0):
            flag = "--rates" if isinstance(config, TuneConfig) else "--learning-rate"
            raise UserError(f"{flag} {rate}: must be a number above 0")
    if isinstance(config, TuneConfig) and (len(set(rates)) < len(rates) or len(rates) < 2):
        raise UserError(f"--rates {' '.join(map(str, rates))}: give two or more different ones")
    if not (math.isfinite(config.weight_decay) and config.weight_decay >= 0):
        raise UserError(f"--weight-decay {config.weight_decay}: must be 0 or more")
    if not 0 <= config.validation < 1:
        raise UserError(f"--validation {config.validation}: must be at least 0 and below 1")
    if isinstance(config, TuneConfig) and config.validation == 0:
        raise UserError("--validation 0: the search needs validation images; give a share above 0")
    if config.losses is not None and not config.losses:
        raise UserError("--losses: name at least one loss, or omit the flag for the default ten")
    if config.losses is not None and len(set(config.losses)) < len(config.losses):
        raise UserError(f"--losses {' '.join(config.losses)}: name each loss only once")
    if isinstance(config, CompareConfig):
        _check_comparison(config)


def optimizer_name(optimizer: str) -> str:
    """Return the name in the setting of an optimizer, without the settings in parentheses."""
    return optimizer.partition("(")[0]


def rates_of(config: CompareConfig | TuneConfig) -> tuple[float, ...]:
    """Return the learning rates to try, the one of a comparison, or () if it is tuned per loss.

    Raises:
        UserError: none are given, and the optimizer has no usual ones.
    """
    name = optimizer_name(config.optimizer)
    if ":" not in name and name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS, "name a class as package.module:Class")
    if isinstance(config, TuneConfig):
        flag, given = "--rates", config.rates
    else:
        flag = "--learning-rate"
        given = () if config.tuned else None
        if config.learning_rate is not None:
            given = (config.learning_rate,)
    if given is not None:
        return given
    if name not in OPTIMIZERS:
        raise UserError(f"--optimizer {name}: its usual learning rate is not known; give {flag}")
    rates = OPTIMIZERS[name]
    return rates.tried if isinstance(config, TuneConfig) else (rates.default,)


def _check_comparison(config: CompareConfig) -> None:
    _check_name(config.name)
    every = config.checkpoint_every
    if not (math.isfinite(every) and every >= 0):
        raise UserError(f"--checkpoint-every {every}: must be 0 or more seconds")
    if config.tuned and config.validation == 0:
        raise UserError(
            "--tuned: the search needs validation images, and the validation share is 0, as in the "
            "presets; give --validation 0.1"
        )
    if config.tuned and config.learning_rate is not None:
        raise UserError(
            f"--learning-rate {config.learning_rate} and --tuned: --tuned gives each loss its own "
            "rate; leave one of the two out"
        )


def _check_name(name: str | None) -> None:
    if name is not None and (name in ("", ".", "..") or any(c in name for c in "/\\\0")):
        raise UserError(f"--name {name!r}: must be a plain directory name without slashes")
    if name is not None and len(name.encode()) > MAX_NAME:
        raise UserError(f"--name: {len(name)} letters are too many; give at most {MAX_NAME}")
    if name in RESERVED_NAMES:
        raise UserError(f"--name {name}: lossbench keeps its own files there; choose another")
