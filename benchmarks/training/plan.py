"""What an experiment is going to train: made by a command line, or read again from a directory."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from lossbench.benchmarks.commands.tune import tuned_rates
from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.console import Reporter, plural
from lossbench.benchmarks.data import ImageSet
from lossbench.benchmarks.data.batches import DeviceDataset, prepare
from lossbench.benchmarks.data.description import data_facts, experiment_name
from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.records import experiment
from lossbench.benchmarks.records.files import write_json
from lossbench.benchmarks.records.reading import EXPERIMENT_FILE, read_description, runs_error
from lossbench.benchmarks.records.results import RESULTS, run_directory
from lossbench.benchmarks.records.schema import NUMBER, schema_error

from .result import RunConfig
from .setup import check_model, loss_name, open_dataset, resolve_names


def _kind(default: Any) -> Any:
    return NUMBER if isinstance(default, float) else type(default)


SETTINGS: dict[str, Any] = {
    # Of what kind a setting is says its default, where it has one.
    **{field.name: _kind(field.default) for field in dataclasses.fields(CompareConfig)},
    **dict.fromkeys(("width", "image_size", "at_once"), int | None),
    **dict.fromkeys(("data", "preset", "name"), str | None),
    "losses": [str],
    "runs": str,
}
"""The settings in an experiment.json, and of what kind each is."""


@dataclass
class Plan:
    """The runs of an experiment, and what they are made of.

    Attributes:
        directory: of the experiment.
        config: its settings, names looked up.
        images: what it is of. device: where it is trained.
        trials: the runs, seeds first, so that an experiment cut short still compares losses pair
            by pair.
    """

    directory: Path
    config: CompareConfig
    images: ImageSet
    device: torch.device
    trials: tuple[RunConfig, ...]

    @cached_property
    def material(self) -> DeviceDataset:
        """What every run is trained on, ready on the device."""
        return prepare(self.images, self.device, validation=self.config.validation)

    @property
    def said(self) -> str:
        """What the rows say they were measured on."""
        return experiment.SYNTHETIC_MARK if self.images.synthetic else self.images.name

    @property
    def paths(self) -> list[Path]:
        """The directories of all runs, there or not."""
        return [run_directory(self.directory, trial.loss, trial.seed) for trial in self.trials]


def new_plan(config: CompareConfig, command: str, reporter: Reporter) -> Plan:
    """The plan of a command line, with its directory and experiment.json.

    Raises UserError: a setting is wrong, the images cannot be had, the directory not be written.
    """
    names, device = resolve_names(config)
    _settle(config)
    own = [name for name in config.losses or () if ":" in name]
    images = open_dataset(config, reporter)
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
    parameters = check_model(list(trials), images.image_size, len(images.classes), device)
    now = datetime.now().astimezone()
    directory = config.runs / experiment_name(config, images, now)
    plan = Plan(directory, config, images, device, trials)
    data = data_facts(images, plan.material)
    experiment.create(directory)
    about = experiment.facts(command, now, device) | {
        "name": directory.name,
        "synthetic": images.synthetic,
        "config": config.to_json() | {"learning_rates": rates},
        "own_losses": own,
        "data": data,
        "model": {"name": config.model, "parameters": parameters},
    }
    write_json(directory / EXPERIMENT_FILE, about)
    reporter.say(
        f"{plural(len(trials), 'run')}: {plural(len(names), 'loss', 'losses')} x "
        f"{plural(config.seeds, 'seed')} of {config.model} "
        f"({parameters:,} parameters) on {data['train']:,} {images.name} images, "
        f"{device.type}"
    )
    return plan


def plan_in(directory: Path, reporter: Reporter) -> Plan:
    """The plan of the experiment in `directory`, as `plan_of` makes it of its experiment.json.

    Raises UserError: there is no such experiment, what its runs wrote is gone, and as `plan_of`.
    """
    plan = plan_of(read_description(directory), directory, reporter)
    tables = directory / RESULTS
    told = tables.is_file() and len(tables.read_bytes().splitlines()) > 1
    if told and not any((path / RESULTS).exists() for path in plan.paths):
        raise UserError(
            f"{directory} has the tables of its runs but none of the runs, whose place new ones "
            "would take: begin a new experiment"
        )
    return plan


def plan_of(about: dict[str, Any], directory: Path, reporter: Reporter) -> Plan:
    """The plan of what an experiment.json says, for an experiment in `directory`.

    A loss or model of one's own that the experiment was begun with is imported again.

    Raises UserError: it is of another version, or its images are not there or are others.
    """
    config, rates = config_of(about, directory)
    for name in about.get("own_losses", []):
        loss_name(name)
    _, device = resolve_names(config)
    _settle(config)
    images = open_dataset(config, reporter)
    if images.fingerprint != about["data"]["fingerprint"]:
        raise UserError(
            f"{directory} was begun with other images than --data {config.data} has now: bring "
            "them back, or begin a new experiment"
        )
    trials = _trials(config, rates)
    check_model(list(trials), images.image_size, len(images.classes), device)
    return Plan(directory, config, images, device, trials)


def config_of(about: dict[str, Any], directory: Path) -> tuple[CompareConfig, dict[str, float]]:
    """The settings and the learning rates in an experiment.json, for the experiment that now lies
    in `directory`. Raises UserError if they are not those of this version."""
    try:
        given = {key: value for key, value in about["config"].items() if key != "learning_rates"}
        if unknown := sorted(set(given) - set(SETTINGS)):
            raise ValueError(f"it has settings that there are none of: {', '.join(unknown)}")
        wrong = schema_error(given, SETTINGS) or schema_error(about, {"own_losses": [str]})
        if wrong := wrong or runs_error(about["config"]):
            raise ValueError(wrong)
        given |= {name: float(given[name]) for name in given if SETTINGS[name] == NUMBER}
        given |= {"runs": directory.parent, "name": directory.name}
        names = tuple(map(str, given["losses"]))
        config = CompareConfig(**given | {"losses": names})
        rates = {name: float(about["config"]["learning_rates"][name]) for name in names}
        str(about["data"]["fingerprint"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            f"cannot go on with {directory / EXPERIMENT_FILE} ({type(error).__name__}: "
            f"{one_line(error)}): it is not of this version of lossbench; begin a new experiment"
        ) from None
    return config, rates


def _settle(config: CompareConfig) -> None:
    """Have torch compute as the settings say, from here on in this process."""
    # cuBLAS looks at it when it is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(config.deterministic)
    torch.backends.cudnn.benchmark = False


def _trials(config: CompareConfig, rates: dict[str, float]) -> tuple[RunConfig, ...]:
    return tuple(
        config.run_config(name, seed, rate)
        for seed in range(config.seeds)
        for name, rate in rates.items()
    )


def note_resumption(plan: Plan, command: str, reporter: Reporter) -> None:
    """Add to experiment.json when the experiment was gone on with. What there is now, where it is
    not what it was begun with, is said and added: the last bits of a number can depend on it."""
    about = read_description(plan.directory)
    now = experiment.facts(command, datetime.now().astimezone(), plan.device)
    changed = [key for key in ("versions", "hardware", "git") if now[key] != about.get(key)]
    if changed:
        reporter.say(
            f"{', '.join(changed)}: not what {plan.directory} was begun with, see "
            f"{EXPERIMENT_FILE}; the last bits of the results can differ"
        )
    resumed = [*about.get("resumed", []), {"date": now["date"], **{k: now[k] for k in changed}}]
    write_json(plan.directory / EXPERIMENT_FILE, about | {"resumed": resumed})
