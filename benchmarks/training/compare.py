"""A comparison: every loss with every seed, one run after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import torch

import models
from benchmarks.config import ARTICLE, Comparison, check
from benchmarks.data import open_images
from benchmarks.data.batches import Material, prepare
from benchmarks.errors import UserError, one_line
from benchmarks.report import write_summary
from benchmarks.tracking import experiment
from benchmarks.tracking.console import Reporter
from losses import registry

from .objective import Objective
from .run import Run, build, train


class ComparisonInterruptedError(Exception):
    """Ctrl-C during a comparison; the runs that were finished are kept in `directory`."""

    def __init__(self, directory: Path, finished: int, planned: int) -> None:
        super().__init__(f"interrupted after {finished} of {planned} runs")
        self.directory, self.finished = directory, finished


def compare(config: Comparison, command: str, reporter: Reporter) -> Path:
    """Run a comparison and return the directory of the experiment, report included.

    Raises:
        UserError: a setting is wrong, the images cannot be had, the directory not be written.
        ComparisonInterruptedError: by Ctrl-C; the summary then is of the finished runs.
    """
    check(config)
    names = losses_of(config)
    device = device_of(config)
    model_class(config)
    with reporter:
        images = open_images(
            config.data,
            config.image_size,
            say=reporter.say,
            progress=lambda done, total: reporter.bar(done, total, "decoding images"),
        )
        config = replace(
            config,
            losses=names,
            image_size=images.image_size,
            device="cuda" if device.type == "cuda" else "cpu",
        )
        parameters = trial(config, device)
        now = datetime.now().astimezone()
        directory = experiment.create(config, experiment.name_of(config, images, now))
        experiment.describe(
            directory,
            config,
            images,
            parameters=parameters,
            device=device,
            command=command,
            now=now,
        )
        # Seeds first, so that a comparison cut short still compares losses pair by pair.
        runs = [Run(name, seed, directory) for seed in range(config.seeds) for name in names]
        reporter.say(
            f"{len(runs)} runs: {len(names)} losses x {config.seeds} seeds of {config.model} "
            f"({parameters:,} parameters) on {len(images.train.labels):,} {images.name} images, "
            f"{device.type}"
        )
        what = experiment.MARK if images.synthetic else images.name
        finished = train_all(runs, config, prepare(images, device), what, reporter)
    if finished:
        write_summary(directory)
    if finished < len(runs):
        raise ComparisonInterruptedError(directory, finished, len(runs))
    return directory


def train_all(
    runs: list[Run],
    config: Comparison,
    material: Material,
    images: str,
    reporter: Reporter,
) -> int:
    """Train the runs in turn and return how many were finished; Ctrl-C ends it early."""
    finished = 0

    def progress(step: int, steps: int, note: str) -> None:
        run = runs[finished]
        doing = f"{finished + 1}/{len(runs)}  {run.loss} seed {run.seed}  {note}"
        reporter.bar(finished + step / steps, len(runs), doing)

    try:
        for run in runs:
            last = train(run, config, material, images, progress)
            finished += 1
            reporter.say(
                f"{finished:3}/{len(runs)}  {run.loss:16} seed {run.seed}  "
                f"test accuracy {last.test_accuracy:6.2%}  {last.seconds:5.1f} s"
            )
    except KeyboardInterrupt:
        pass
    return finished


def losses_of(config: Comparison) -> tuple[str, ...]:
    """The registered names of the losses to compare. Raises UserError for an unknown one."""
    wanted = ARTICLE if config.losses is None else config.losses
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


def device_of(config: Comparison) -> torch.device:
    """The device to train on. Raises UserError if CUDA is asked for and absent."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--device cuda: this torch sees no CUDA device; use --device cpu, or look at "
            "nvidia-smi and the torch build"
        )
    use_cuda = config.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_cuda else "cpu")


def model_class(config: Comparison) -> None:
    """Raise UserError if there is no model of that name."""
    try:
        models.find(config.model)
    except KeyError as error:
        raise UserError(error.args[0]) from None
    except Exception as error:  # a user's module may raise whatever it likes when imported
        raise UserError(
            f"--model {config.model}: {type(error).__name__}: {one_line(error)}; it has to "
            "be importable from here as package.module:Class"
        ) from None


def trial(config: Comparison, device: torch.device) -> int:
    """Take the model through what awaits it, with two images of noise and each kind of head, and
    return its number of parameters, that of one logit.

    Raises UserError if anything fails: before anything is written.
    """
    side = config.image_size or 32
    pixels, labels = torch.randn(2, 3, side, side, device=device), torch.arange(2, device=device)
    heads = {o.num_outputs: o for o in map(Objective, losses_of(config))}
    try:
        parameters = sum(
            p.numel() for p in models.build(config.model, 1, config.width).parameters()
        )
        for wanted, objective in heads.items():
            model = build(config, 0, objective).to(device)
            for training in (False, True):
                output = model.train(training)(pixels)
                if output.shape != (2, wanted):
                    raise ValueError(f"two images gave {tuple(output.shape)}, not (2, {wanted})")
            objective(objective.logits(output), labels).sum().backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # the model may be the user's own, and raise whatever it likes
        raise UserError(
            f"--model {config.model}: {type(error).__name__}: {one_line(error)}; a model is built "
            f"with num_outputs=1 (and --width, if given), maps (N, 3, {side}, {side}) to (N, 1) "
            "and ends in a torch.nn.Linear"
        ) from None
    return parameters
