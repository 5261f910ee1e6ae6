"""Check losses, model, device and images of a command line before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from lossbench import models
from lossbench.benchmarks.config import (
    ARTICLE_LOSSES,
    CompareConfig,
    ExperimentConfig,
    RunConfig,
    TuneConfig,
    validate,
)
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data import ImageSet, open_images
from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.format import plural
from lossbench.losses import kernels, registry
from lossbench.losses.own import OwnLoss

from .network import build_model, in_precision, is_own, place_model
from .objective import Objective
from .optimizer import build_optimizer, check_optimizer, set_learning_rate


def check_settings(
    config: CompareConfig | TuneConfig, say: Callable[[str], None]
) -> tuple[tuple[str, ...], torch.device]:
    """Check the settings and return the losses and the device to train with.

    The kernels of the losses are built if the settings ask for them; `say` gets a line then.

    Raises:
        UserError: a setting is wrong, or a loss, the model, the optimizer or the device is not
            available.
    """
    validate(config)
    device = resolve_device(config.device)
    check_model_name(config.model)
    check_optimizer(config, device)
    if config.kernels:
        check_losses(replace(config, kernels=False))  # a wrong name ends the command before a build
        # Here, because a worker process would build them too.
        kernels.ensure(say)
    names = check_losses(config)
    for name in names:
        say_kind(name, say)
    return names, device


def say_kind(name: str, say: Callable[[str], None]) -> None:
    """Say what a loss of the user's own takes, and how to state it, if it is not registered."""
    module = registry.entry(name).module
    if isinstance(module, OwnLoss):
        where = registry.location(name)
        say(f"{name}: {where}, {module.how}; override with NAME=task,input,target")


def check_losses(config: ExperimentConfig) -> tuple[str, ...]:
    """Return the registered names of the losses to train with.

    Raises:
        UserError: a loss is unknown.
    """
    names = ARTICLE_LOSSES if config.losses is None else config.losses
    if names == ("all",):
        return registry.names()
    return tuple(check_loss(name, config.kernels) for name in names)


def check_loss(name: str, use_kernels: bool) -> str:
    """Return the registered name of a loss after trying it on noise.

    Args:
        name: a registered name, or package.module:name as in `registry.entry`.
        use_kernels: compute it by its kernel, which is compiled now if need be.

    Raises:
        UserError: there is no such loss, or it fails.
    """
    try:
        objective = Objective(name, kernels=use_kernels)
    except KeyError as error:
        raise UserError(error.args[0]) from None
    except Exception as error:  # importing a user's module may raise anything
        raise UserError(f"--losses {name}: {type(error).__name__}: {one_line(error)}") from None
    outputs = torch.randn(4, objective.num_outputs, requires_grad=True)
    try:
        each = objective(outputs, torch.arange(4) % 2)
        if each.shape != (4,):
            raise ValueError(f"four examples gave {tuple(each.shape)}, not (4,)")
        each.sum().backward()  # type: ignore[no-untyped-call]
    except Exception as error:
        raise UserError(
            f"--losses {name}: {type(error).__name__}: {one_line(error)}; a loss is built with "
            "reduction='none' and then returns one number per example"
        ) from None
    return objective.entry.name


def resolve_device(name: str) -> torch.device:
    """Return the device for --device auto, cpu or cuda.

    Raises:
        UserError: CUDA is asked for and not available.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--device cuda: this torch sees no CUDA device; use --device cpu, or look at "
            "nvidia-smi and the torch build"
        )
    use_cuda = name != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_cuda else "cpu")


def check_model_name(name: str) -> None:
    """Check that a model exists.

    Raises:
        UserError: there is no such model.
    """
    try:
        models.find(name)
    except (Exception, SystemExit) as error:  # importing a user's module may raise anything
        if not is_own(name):
            raise UserError(error.args[0]) from None
        raise UserError(
            f"--model {name}: {type(error).__name__}: {one_line(error)}; it has to "
            "be importable from here as package.module:name"
        ) from None


def check_model(config: RunConfig, side: int, num_classes: int, device: torch.device) -> int:
    """Try the model of a run on noise: evaluate one and two images, and take a training step.

    Args:
        config: the run.
        side: of the images, in pixels.
        num_classes: of the data.
        device: to train on.

    Returns:
        The number of parameters of the model.

    Raises:
        UserError: the model fails, or cannot start at the probability that the run asks for.
    """
    objective = Objective(config.loss, num_classes, config.loss_arguments, kernels=config.kernels)
    contract = (
        "a model is built with num_outputs or num_classes (and --width, if given) and maps images "
        f"(N, 3, {side}, {side}), as --image-size says, to logits (N, num_outputs)"
    )
    # In the memory format of a batch.
    pixels = torch.randn(2, side, side, 3, device=device).permute(0, 3, 1, 2)
    try:
        model = build_model(replace(config, initial_probability=None), objective, side)
        model = place_model(model, config, side, device)
        for count in (1, 2):  # the last batch of a split may be a single image
            with torch.no_grad():
                seen = pixels[:count].clone()
                _check_outputs(model.eval()(seen), (count, objective.num_outputs))
            if config.test_time_augmentation != "none" and not torch.equal(seen, pixels[:count]):
                raise ValueError("it changes its input in place, of which more views are to come")
        _check_training(config, model.train(), pixels, objective.num_outputs)
        if config.initial_probability is not None:
            contract = (
                "--start confidently-wrong needs a torch.nn.Linear with a bias as the last layer; "
                "--start normal does not"
            )
            _check_head(model.eval(), pixels)
    except Exception as error:  # a user's model may raise anything
        raise UserError(
            f"--model {config.model}: {type(error).__name__}: {one_line(error)}; {contract}"
        ) from None
    return sum(p.numel() for p in model.parameters())


def _check_training(config: RunConfig, model: nn.Module, pixels: Tensor, num_outputs: int) -> None:
    """Take a training step, as a run does. Raises anything if that fails."""
    outputs = in_precision(config, model, pixels.device)(pixels)
    _check_outputs(outputs, (len(pixels), num_outputs))
    if not outputs.requires_grad:
        raise ValueError("its output depends on no parameter that requires a gradient")
    optimizer = build_optimizer(config, model)
    set_learning_rate(optimizer, config.learning_rate)
    outputs.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _check_outputs(outputs: object, shape: tuple[int, int]) -> None:
    """Check type and shape of a model's outputs. Raises TypeError or ValueError."""
    if not isinstance(outputs, Tensor):
        raise TypeError(f"it returns {type(outputs).__name__}, not a tensor")
    images = plural(shape[0], "image")
    if outputs.shape != shape:
        raise ValueError(f"{images} gave {tuple(outputs.shape)}, not {shape}")
    if outputs.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{images} gave {outputs.dtype}, not torch.float32")


def _check_head(model: nn.Module, pixels: Tensor) -> None:
    """Check that the bias of the last linear layer moves the output. Raises ValueError."""
    z = [models.set_initial_probability(model, p)(pixels) for p in (0.3, 0.7)]
    if torch.equal(*z):
        raise ValueError(f"the output does not come from {models.last_linear(model)[0]!r}")


def open_image_set(config: ExperimentConfig, reporter: Reporter) -> ImageSet:
    """Open the images of an experiment.

    Raises:
        UserError: they are not available, or have too many classes for --start.
    """
    images = open_images(
        config.data,
        config.image_size,
        config.split,
        config.classes,
        config.duplicates,
        say=reporter.say,
        progress=lambda done, total: reporter.bar(done, total, "decoding images"),
    )
    if config.start == "confidently-wrong" and len(images.classes) != 2:
        raise UserError(
            f"--start confidently-wrong: {images.name} has {len(images.classes)} classes and this "
            "start needs two; choose cats and dogs"
        )
    return images
