"""What an experiment is going to train: made by a command line, or read again from a directory."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.config import Comparison
from benchmarks.data import ImageSet
from benchmarks.data.batches import Material, prepare
from benchmarks.errors import UserError, one_line
from benchmarks.files import write_json
from benchmarks.tracking import experiment
from benchmarks.tracking.console import Reporter

from .choices import images_of, looked_up, loss_name, rehearse, trial_of
from .trial import Trial
from .tuning import tuned_rates

ABOUT = "experiment.json"


@dataclass(frozen=True)
class Plan:
    """The runs of an experiment, and what they are made of.

    Attributes:
        directory: of the experiment.
        images, material: what is trained on, ready on `device`.
        trials: the runs, seeds first, so that an experiment cut short still compares losses pair
            by pair.
        log_every: steps in a logging window.
        checkpoint_every: seconds between two states of a run.
    """

    directory: Path
    images: ImageSet
    device: torch.device
    material: Material
    trials: tuple[Trial, ...]
    log_every: int
    checkpoint_every: float

    @property
    def said(self) -> str:
        """What its rows say they were measured on."""
        return experiment.MARK if self.images.synthetic else self.images.name


def new_plan(config: Comparison, command: str, reporter: Reporter) -> Plan:
    """The plan of a command line, with its directory and experiment.json.

    Raises UserError: a setting is wrong, the images cannot be had, the directory not be written.
    """
    names, device = looked_up(config)
    own = [name for name in config.losses or () if ":" in name]
    images = images_of(config, reporter)
    config = replace(
        config,
        losses=names,
        data="synthetic" if images.synthetic else config.data,
        image_size=images.image_size,
    )
    rates = dict.fromkeys(names, config.learning_rate)
    if config.tuned:
        rates = tuned_rates(config, images, names)
    trials = _trials(config, rates)
    parameters = rehearse(list(trials), images.image_size, len(images.classes), device)
    material = prepare(images, device, validation=config.validation)
    now = datetime.now().astimezone()
    directory = experiment.create(config, experiment.name_of(config, images, now))
    about = experiment.facts(command, now, device) | {
        "name": directory.name,
        "synthetic": images.synthetic,
        "config": config.to_json() | {"learning_rates": rates},
        "own_losses": own,
        "data": experiment.data_facts(images, material),
        "model": {"name": config.model, "parameters": parameters},
    }
    write_json(directory / ABOUT, about)
    reporter.say(
        f"{len(trials)} runs: {len(names)} losses x {config.seeds} seeds of {config.model} "
        f"({parameters:,} parameters) on {len(material.train.labels):,} {images.name} images, "
        f"{device.type}"
    )
    return _plan(config, directory, images, device, material, trials)


def plan_in(directory: Path, command: str, reporter: Reporter) -> Plan:
    """The plan of the experiment in `directory`. What there is now, where it is not what it was
    begun with, is said and added to experiment.json: the last bits of a number can depend on it.

    A loss or model of one's own that the experiment was begun with is imported again.

    Raises UserError: there is no such experiment, it is of another version, or its images are not
    there or are others.
    """
    about = read_about(directory)
    config, rates = config_of(about, directory)
    for name in about.get("own_losses", []):
        loss_name(name)
    _, device = looked_up(config)
    images = images_of(config, reporter)
    if images.fingerprint != about["data"]["fingerprint"]:
        raise UserError(
            f"{directory} was begun with other images than --data {config.data} has now: bring "
            "them back, or begin a new experiment"
        )
    trials = _trials(config, rates)
    rehearse(list(trials), images.image_size, len(images.classes), device)
    material = prepare(images, device, validation=config.validation)
    now = experiment.facts(command, datetime.now().astimezone(), device)
    _note_changes(directory, about, now, reporter)
    return _plan(config, directory, images, device, material, trials)


def read_about(directory: Path) -> dict[str, Any]:
    """experiment.json of a directory. Raises UserError if it cannot be gone on with."""
    path = directory / ABOUT
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"no experiment in {directory}: {path.name} is missing; give a directory that "
            "`lossbench compare` or `lossbench plan` wrote"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {one_line(error)}") from None
    return dict(about) if isinstance(about, dict) else {}


def config_of(about: dict[str, Any], directory: Path) -> tuple[Comparison, dict[str, float]]:
    """The settings and the learning rates in an experiment.json, for the experiment that now lies
    in `directory`. Raises UserError if they are not those of this version."""
    fields = {field.name for field in dataclasses.fields(Comparison)}
    try:
        given = {key: value for key, value in about["config"].items() if key != "learning_rates"}
        if unknown := sorted(set(given) - fields):
            raise ValueError(f"it has settings that there are none of: {', '.join(unknown)}")
        given |= {"runs": directory.parent, "name": directory.name}
        names = tuple(map(str, given["losses"]))
        config = Comparison(**given | {"losses": names})
        rates = {name: float(about["config"]["learning_rates"][name]) for name in names}
        str(about["data"]["fingerprint"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"cannot go on with {directory / ABOUT} ({type(error).__name__}: {one_line(error)}): "
            "it is not of this version of lossbench; begin a new experiment"
        ) from None
    return config, rates


def _plan(
    config: Comparison,
    directory: Path,
    images: ImageSet,
    device: torch.device,
    material: Material,
    trials: tuple[Trial, ...],
) -> Plan:
    return Plan(
        directory, images, device, material, trials, config.log_every, config.checkpoint_every
    )


def _trials(config: Comparison, rates: dict[str, float]) -> tuple[Trial, ...]:
    return tuple(
        replace(trial_of(config, name, seed, rate), evaluations=config.evaluations)
        for seed in range(config.seeds)
        for name, rate in rates.items()
    )


def _note_changes(
    directory: Path, about: dict[str, Any], now: dict[str, Any], reporter: Reporter
) -> None:
    """Add to experiment.json when it was gone on with, and by what."""
    changed = [key for key in ("versions", "hardware", "git") if now[key] != about.get(key)]
    if changed:
        reporter.say(
            f"{', '.join(changed)}: not what {directory} was begun with, see {ABOUT}; the last "
            "bits of the results can differ"
        )
    resumed = [*about.get("resumed", []), {"date": now["date"], **{k: now[k] for k in changed}}]
    write_json(directory / ABOUT, about | {"resumed": resumed})
