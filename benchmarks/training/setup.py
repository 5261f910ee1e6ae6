"""What a command line names, looked up and tried before anything is written."""

from __future__ import annotations

import torch

from lossbench import models
from lossbench.benchmarks.config import (
    ARTICLE_LOSSES,
    CompareConfig,
    ExperimentConfig,
    TuneConfig,
    validate,
)
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data import ImageSet, open_images
from lossbench.benchmarks.errors import UserError, one_line
from lossbench.losses import registry

from .objective import Objective
from .result import RunConfig
from .train import build_model


def resolve_names(config: CompareConfig | TuneConfig) -> tuple[tuple[str, ...], torch.device]:
    """The losses to train with and the device to train on; the model is looked for as well.

    Raises UserError for a setting that cannot be, or for one of the three that is not to be had.
    """
    validate(config)
    names = losses_of(config)
    device = resolve_device(config.device)
    model_class(config.model)
    return names, device


def losses_of(config: ExperimentConfig) -> tuple[str, ...]:
    """The registered names of the losses to train with. Raises UserError for an unknown one."""
    wanted = ARTICLE_LOSSES if config.losses is None else config.losses
    return registry.names() if wanted == ("all",) else tuple(map(loss_name, wanted))


def loss_name(wanted: str) -> str:
    """The registered name of a loss. Raises UserError if it is none, or fails on noise."""
    try:
        objective = Objective(wanted)
    except KeyError as error:
        raise UserError(error.args[0]) from None
    except Exception as error:  # a user's module may raise whatever it likes when imported
        raise UserError(f"--losses {wanted}: {type(error).__name__}: {one_line(error)}") from None
    logits = torch.randn(4, objective.num_outputs, requires_grad=True)
    try:
        each = objective(objective.logits(logits), torch.arange(4) % 2)
        if each.shape != (4,):
            raise ValueError(f"four examples gave {tuple(each.shape)}, not (4,)")
        each.sum().backward()  # type: ignore[no-untyped-call]
    except Exception as error:
        raise UserError(
            f"--losses {wanted}: {type(error).__name__}: {one_line(error)}; a loss is built with "
            "reduction='none' and then gives one number an example"
        ) from None
    return objective.entry.name


def resolve_device(wanted: str) -> torch.device:
    """The device to train on. Raises UserError if CUDA is asked for and absent."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--device cuda: this torch sees no CUDA device; use --device cpu, or look at "
            "nvidia-smi and the torch build"
        )
    use_cuda = wanted != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_cuda else "cpu")


def model_class(name: str) -> None:
    """Raise UserError if there is no model of that name."""
    try:
        models.find(name)
    except KeyError as error:
        raise UserError(error.args[0]) from None
    except Exception as error:  # a user's module may raise whatever it likes when imported
        raise UserError(
            f"--model {name}: {type(error).__name__}: {one_line(error)}; it has to "
            "be importable from here as package.module:Class"
        ) from None


def check_model(trials: list[RunConfig], side: int, num_classes: int, device: torch.device) -> int:
    """Take the model through what awaits it, with two images of noise and each kind of head, and
    return its number of parameters, that of the narrowest head.

    Raises UserError if anything fails: before anything is written.
    """
    pixels, labels = torch.randn(2, 3, side, side, device=device), torch.arange(2, device=device)
    heads = {}
    for trial in trials:
        objective = Objective(trial.loss, num_classes, trial.settings)
        heads[objective.num_outputs] = (trial, objective)
    name = trials[0].model
    parameters = []
    try:
        for columns, (trial, objective) in heads.items():
            model = build_model(trial, objective).to(device)
            parameters.append(sum(p.numel() for p in model.parameters()))
            for training in (False, True):
                output = model.train(training)(pixels)
                if output.shape != (2, columns):
                    raise ValueError(f"two images gave {tuple(output.shape)}, not (2, {columns})")
            objective(objective.logits(output), labels).sum().backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # the model may be the user's own, and raise whatever it likes
        raise UserError(
            f"--model {name}: {type(error).__name__}: {one_line(error)}; a model is built with "
            f"num_outputs (and --width, if given), maps (N, 3, {side}, {side}) to (N, num_outputs) "
            "and ends in a torch.nn.Linear"
        ) from None
    return min(parameters)


def open_dataset(config: ExperimentConfig, reporter: Reporter) -> ImageSet:
    """The images that are asked for. Raises UserError if they cannot be had, or if the start that
    is asked for is one of two classes and they have more."""
    images = open_images(
        config.data,
        config.image_size,
        say=reporter.say,
        progress=lambda done, total: reporter.bar(done, total, "decoding images"),
    )
    if config.start == "confidently-wrong" and len(images.classes) != 2:
        raise UserError(
            f"--start confidently-wrong: {images.name} has {len(images.classes)} classes and this "
            "start is one of two; choose cats and dogs"
        )
    return images
