"""`lossbench plan`, `run-one` and `collect`: an experiment whose runs are trained one by one."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lossbench.benchmarks.config import CompareConfig, Start, optimizer_name, rates_of
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data import ImageSet
from lossbench.benchmarks.data.description import data_lines, describe_data
from lossbench.benchmarks.data.sources import absolute_data, data_directory
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.format import plural
from lossbench.benchmarks.records import experiment
from lossbench.benchmarks.records.experiment import SYNTHETIC_MARK
from lossbench.benchmarks.records.files import write_json
from lossbench.benchmarks.records.identities import Identity
from lossbench.benchmarks.records.reading import EXPERIMENT_FILE, read_failure, read_finished_run
from lossbench.benchmarks.subcommands import PROGRAM, CollectCommand, RunOneCommand
from lossbench.benchmarks.training.checks import check_model, check_settings, open_image_set
from lossbench.benchmarks.training.default_rates import default_rates, describe_table
from lossbench.benchmarks.training.executors.local import run_locally
from lossbench.benchmarks.training.identities import find_identities, identity_rate
from lossbench.benchmarks.training.plan import (
    Plan,
    configure_torch,
    load_plan,
    run_configs,
    threads_per_run,
)
from lossbench.benchmarks.training.progress import ExperimentStatus, train_runs
from lossbench.losses import registry

from .results import experiment_lock, explain_disk_errors, print_status, write_results
from .tune import tuned_rates


def run(command: CompareConfig, line: str) -> int:
    """Run `lossbench plan`: print one command per run, and return the exit code."""
    with Reporter() as reporter:
        planned = create_plan(experiment_settings(command), line, reporter)
    for number in range(len(planned.runs)):
        print(shlex.join([*PROGRAM, "run-one", str(planned.directory), str(number)]))
    return 0


def train_part(command: RunOneCommand | CollectCommand) -> int:
    """Run `lossbench run-one` or `lossbench collect`."""
    if isinstance(command, CollectCommand):
        return print_status([collect(command.directory, Reporter(), command.data)])
    ended = run_one(command.directory, command.number, Reporter(), command.data)
    for failure in ended.failed:
        print(f"lossbench: {failure}", file=sys.stderr)
    if ended.interrupted:
        print("lossbench: interrupted; the same command continues", file=sys.stderr)
        return 128 + ended.interrupted
    return 1 if ended.failed else 0


def experiment_settings(command: CompareConfig) -> CompareConfig:
    """Return the settings of the experiment, without those of the command line alone."""
    names = [field.name for field in fields(CompareConfig)]
    return CompareConfig(**{name: getattr(command, name) for name in names})


def create_plan(config: CompareConfig, command: str, reporter: Reporter) -> Plan:
    """Create an experiment, see `create_plans`."""
    return create_plans(config, (config.start,), command, reporter)[0]


def create_plans(
    config: CompareConfig, starts: Sequence[Start], command: str, reporter: Reporter
) -> list[Plan]:
    """Create an experiment for each start: its directory and experiment.json.

    Several experiments lie in one directory. More than two classes have the first start alone.

    Args:
        config: settings of the experiments; `starts` takes the place of the start.
        starts: initial models. If the rates are tuned, they are those found for the first.
        command: the command line, for the record.
        reporter: for messages.

    Returns:
        The plans of their runs.

    Raises:
        UserError: a setting is wrong, the images are missing, or a directory cannot be written.
    """
    config, images, device = _resolve(replace(config, start=starts[0]), reporter)
    names = config.losses or ()
    starts = starts if len(images.classes) == 2 else starts[:1]
    identities = find_identities(names, len(images.classes))
    rates, source = learning_rates(config, images, identities)
    now = datetime.now().astimezone()
    single = starts[0] if len(starts) == 1 else None
    home = config.runs / experiment_name(config, images, now, single)
    plans = []
    for start in starts:
        directory, settings = home if single else home / start, replace(config, start=start)
        runs = run_configs(settings, rates, identities)
        plans.append(Plan(directory, settings, images, device, runs, threads_per_run(len(runs))))
    parameters = [
        check_model(plan.runs[0], images.image_size, len(images.classes), device) for plan in plans
    ]
    facts = experiment.facts(command, now, device, config.kernels, plans[0].threads)
    description = facts | _describe(plans[0], source, identities, parameters[0])
    if len(plans) > 1:
        experiment.create(home)
    for plan in plans:
        experiment.create(plan.directory)
        about = description | {
            "name": plan.directory.name,
            "config": plan.config.to_json() | {"learning_rates": rates},
        }
        write_json(plan.directory / EXPERIMENT_FILE, about)
    _say_plans(plans, description, reporter)
    return plans


def _describe(
    plan: Plan, rates_from: str, identities: Mapping[str, Identity], parameters: int
) -> dict[str, Any]:
    """Return what experiment.json says of every start: images, losses, rates and model."""
    config, images = plan.config, plan.images
    data = describe_data(images, plan.dataset, config.batch_size)
    if searched := data_directory():
        data["data_directory"] = os.path.abspath(searched)
    own = [each for name in config.losses or () if (each := registry.location(name))]
    return {
        "synthetic": images.synthetic,
        "learning_rates_from": rates_from,
        "identities": {name: asdict(each) for name, each in identities.items()},
        "own_losses": own,
        "data": data,
        "model": {"name": config.model, "parameters": parameters},
    }


def experiment_name(
    config: CompareConfig, images: ImageSet, now: datetime, start: str | None
) -> str:
    """Return the name of an experiment: the user's, or data, model, start and date.

    The name of an experiment on synthetic images says SYNTHETIC, so nobody takes its numbers for
    results.

    Args:
        config: its settings.
        images: its images.
        now: the date.
        start: initial model, or None for a directory of one experiment for each.
    """
    model = config.model.rpartition(":")[2]
    data = SYNTHETIC_MARK if images.synthetic else images.name
    if config.name:
        return f"{data}-{config.name}" if images.synthetic else config.name
    parts = [data, model, *([start] if start else []), f"{now:%Y%m%d-%H%M%S}"]
    return "-".join(parts)


def _resolve(
    config: CompareConfig, reporter: Reporter
) -> tuple[CompareConfig, ImageSet, torch.device]:
    """Check the settings; return them with names resolved, the images and the device."""
    names, device = check_settings(config, reporter.say)
    configure_torch(config)
    images = open_image_set(config, reporter)
    config = replace(
        config,
        losses=names,
        data="synthetic" if images.synthetic else absolute_data(config.data),
        image_size=images.image_size,
    )
    return config, images, device


def _say_plans(plans: Sequence[Plan], about: dict[str, Any], reporter: Reporter) -> None:
    """Print the images and the number of runs."""
    for line in data_lines(about["data"]):
        reporter.say(line)
    config, identities = plans[0].config, about["identities"]
    arms = len(config.losses or ()) - len(identities)
    parts = [plural(arms, "loss", "losses"), plural(config.seeds, "seed")]
    if len(plans) > 1:
        parts.append(plural(len(plans), "start"))
    more = f" and {plural(len(identities), 'multiple')} of them x 1 seed" if identities else ""
    reporter.say(
        f"{plural(sum(len(each.runs) for each in plans), 'run')}: {' x '.join(parts)}{more} of "
        f"{config.model} ({about['model']['parameters']:,} parameters) on "
        f"{about['data']['train']:,} {plans[0].images.name} images, {plans[0].device.type}"
    )


def learning_rates(
    config: CompareConfig, images: ImageSet, identities: Mapping[str, Identity]
) -> tuple[dict[str, float], str]:
    """Return the learning rate of each loss, and where the rates come from.

    Args:
        config: settings of the experiment, with the names of its losses.
        images: its images.
        identities: losses that are a multiple of another; their rate follows from the other's.

    Raises:
        UserError: the rates are tuned and there is no search with these settings.
    """
    assert config.losses is not None
    arms = tuple(name for name in config.losses if name not in identities)
    usual = rates_of(config)
    unnamed = config.learning_rate is None and config.preset is None
    if config.tuned:
        rates = tuned_rates(config, images, arms)
        source = f"searched with these settings from a {config.start} start"
    elif unnamed and optimizer_name(config.optimizer) == "sgd":
        rates, source = default_rates(arms), describe_table()
    else:
        rates, source = dict.fromkeys(arms, *usual), "one for every loss, not searched"
    for name, identity in identities.items():
        rates[name] = identity_rate(identity, rates[identity.of], config.optimizer)
    return {name: rates[name] for name in config.losses}, source


def run_one(
    directory: Path, number: int, reporter: Reporter, data: str | None = None
) -> ExperimentStatus:
    """Train one run of an experiment; other processes may train others meanwhile.

    Args:
        directory: of the experiment.
        number: of the run in `Plan.runs`, from 0.
        reporter: for messages.
        data: where the images are now, if they have moved.

    Raises:
        UserError: there is no such experiment or run, or another process is writing the run.
    """
    with reporter:
        plan = load_plan(directory, reporter, data)
        if not 0 <= number < len(plan.runs):
            raise UserError(f"run {number}: {directory} has the runs 0 to {len(plan.runs) - 1}")
        plan = replace(plan, runs=(plan.runs[number],))
        with explain_disk_errors(directory):
            return train_runs(plan, reporter, partial(run_locally, tables=False))


def collect(directory: Path, reporter: Reporter, data: str | None = None) -> ExperimentStatus:
    """Write tables and report of an experiment from its finished runs.

    Args:
        directory: of the experiment.
        reporter: for messages.
        data: where the images are now, if they have moved.

    Raises:
        UserError: there is no such experiment, or its images have changed.
    """
    with reporter:
        plan = load_plan(directory, reporter, data, train=False)
        status = ExperimentStatus(directory, len(plan.runs))
        for config, path in zip(plan.runs, plan.run_directories, strict=True):
            if result := read_finished_run(path, config.epochs):
                status.add_finished(config, result[0])
            elif reason := read_failure(path):
                status.add_failed(config, reason)
        with experiment_lock(directory):
            write_results(plan, status)
    return status
