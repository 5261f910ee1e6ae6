"""Plan of an experiment: its settings, images and runs, read from its directory."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from lossbench.benchmarks.config import CompareConfig, RunConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data import ImageSet
from lossbench.benchmarks.data.batches import DeviceDataset, prepare
from lossbench.benchmarks.data.sources import absolute_data
from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.records.environment import cpu_count
from lossbench.benchmarks.records.experiment import SYNTHETIC_MARK
from lossbench.benchmarks.records.identities import Identity, read_identities, run_keys
from lossbench.benchmarks.records.reading import EXPERIMENT_FILE, read_description, runs_error
from lossbench.benchmarks.records.results import RESULTS, run_directory
from lossbench.benchmarks.records.schema import NUMBER, dataclass_shape, schema_error

from .checks import check_loss, check_model, check_settings, open_image_set

MAX_THREADS = 1024
SETTINGS = dataclass_shape(CompareConfig)
"""Shape of the settings in an experiment.json."""


@dataclass
class Plan:
    """Runs of an experiment and what they need.

    Attributes:
        directory: of the experiment.
        config: its settings, with names resolved.
        images: its images.
        device: where the runs are trained.
        runs: configurations, seeds first, so that an interrupted experiment still compares losses
            pair by pair.
        threads: threads that train a run on the CPU.
    """

    directory: Path
    config: CompareConfig
    images: ImageSet
    device: torch.device
    runs: tuple[RunConfig, ...]
    threads: int = 1

    @cached_property
    def dataset(self) -> DeviceDataset:
        """The images of every run, on the device."""
        return prepare(self.images, self.device, validation=self.config.validation)

    @property
    def images_name(self) -> str:
        """Name of the images in results.csv; SYNTHETIC for images drawn by code."""
        return SYNTHETIC_MARK if self.images.synthetic else self.images.name

    @property
    def run_directories(self) -> list[Path]:
        """Directories of all runs, whether they exist or not."""
        return [run_directory(self.directory, config.loss, config.seed) for config in self.runs]


def load_plan(
    directory: Path, reporter: Reporter, data: str | None = None, *, train: bool = True
) -> Plan:
    """Return the plan of the experiment in a directory.

    Args:
        directory: of the experiment.
        reporter: for messages about the images.
        data: where the images are now; None: where they were.
        train: whether the runs are to be trained; else no kernels are built.

    Raises:
        UserError: there is no such experiment, the files of its runs are gone, or as `parse_plan`.
    """
    plan = parse_plan(read_description(directory), directory, reporter, data, train=train)
    table = directory / RESULTS
    has_rows = table.is_file() and len(table.read_bytes().splitlines()) > 1
    if has_rows and not any((path / RESULTS).exists() for path in plan.run_directories):
        raise UserError(
            f"{directory} has results.csv but none of its runs, and new runs would overwrite it: "
            "begin a new experiment"
        )
    return plan


def parse_plan(
    description: dict[str, Any],
    directory: Path,
    reporter: Reporter,
    data: str | None = None,
    *,
    train: bool = True,
) -> Plan:
    """Return the plan that an experiment.json describes, for an experiment in `directory`.

    Losses and models of the user's own are imported again.

    Args:
        description: content of the file.
        directory: of the experiment, which may have been moved.
        reporter: for messages about the images.
        data: where the images are now; None: where they were.
        train: whether the runs are to be trained; else no kernels are built.

    Raises:
        UserError: the file is of another version, or the images are missing or have changed.
    """
    config, rates, identities = parse_config(description, directory)
    checked = config if train else replace(config, kernels=False)
    for name in description.get("own_losses", []):
        check_loss(name, checked.kernels)
    _, device = check_settings(checked, reporter.say)
    configure_torch(config)
    if data is not None:
        config = replace(config, data=absolute_data(data))
    images = _reopen_images(config, description["data"], directory, reporter)
    runs = run_configs(config, rates, identities)
    tried = replace(runs[0], kernels=checked.kernels)
    check_model(tried, images.image_size, len(images.classes), device)
    # As it was begun, however many cores there are now: the last bits depend on it.
    threads = description.get("hardware", {}).get("threads", threads_per_run(len(runs)))
    return Plan(directory, config, images, device, runs, threads)


def _reopen_images(
    config: CompareConfig, about: dict[str, Any], directory: Path, reporter: Reporter
) -> ImageSet:
    """Open the images that an experiment was begun with, under their name of then.

    Args:
        config: settings of the experiment.
        about: its description of the images.
        directory: of the experiment.
        reporter: for messages about the images.

    Raises:
        UserError: they are not there, or others are; the text says how to point to them.
    """
    # Without a name the images may have been found or drawn; they were found.
    config = replace(config, data=config.data or "cifar10")
    remedy = "if the images have moved, say where with --data"
    was, now = about.get("data_directory"), os.environ.get("LOSSBENCH_DATA")
    if was and was != os.path.abspath(os.path.expanduser(now or "")):
        remedy += f"; LOSSBENCH_DATA was {was} and is {now or 'not set'} now"
    try:
        images = open_image_set(config, reporter)
    except UserError as error:
        raise UserError(f"{directory}: {error}; {remedy}") from None
    if images.fingerprint != about["fingerprint"]:
        raise UserError(
            f"{directory} was begun with other images than --data {config.data} has now: restore "
            f"them, or begin a new experiment; {remedy}"
        )
    return replace(images, name=str(about.get("name", images.name)))


def parse_config(
    description: dict[str, Any], directory: Path
) -> tuple[CompareConfig, dict[str, float], dict[str, Identity]]:
    """Return the settings, learning rates and identities in an experiment.json.

    Args:
        description: content of the file.
        directory: of the experiment, which may have been moved.

    Raises:
        UserError: they are not settings of this version.
    """
    try:
        given = {
            key: value for key, value in description["config"].items() if key != "learning_rates"
        }
        if unknown := sorted(set(given) - set(SETTINGS)):
            raise ValueError(f"unknown settings: {', '.join(unknown)}")
        about = {"own_losses": [str], "hardware": {"threads": int}}
        wrong = schema_error(given, SETTINGS) or schema_error(description, about)
        if wrong := wrong or runs_error(description["config"]):
            raise ValueError(wrong)
        if not 1 <= description.get("hardware", {}).get("threads", 1) <= MAX_THREADS:
            raise ValueError(f"hardware.threads should be 1 to {MAX_THREADS}")
        given |= {name: float(given[name]) for name in given if SETTINGS[name] == NUMBER}
        given |= {"runs": directory.parent, "name": directory.name}
        names = tuple(map(str, given["losses"]))
        given |= {"losses": names} | {n: tuple(given.get(n, ())) for n in ("split", "classes")}
        config = CompareConfig(**given)
        rates = {name: float(description["config"]["learning_rates"][name]) for name in names}
        identities = read_identities(description)
        str(description["data"]["fingerprint"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            f"cannot resume {directory / EXPERIMENT_FILE} ({type(error).__name__}: "
            f"{one_line(error)}): another version of lossbench wrote it; begin a new experiment"
        ) from None
    return config, rates, identities


def threads_per_run(runs: int) -> int:
    """Return the threads that train a run on the CPU: one, or more if there are fewer runs than
    cores. The number of threads changes the last bits of a result."""
    return max(1, cpu_count() // runs)


def configure_torch(config: CompareConfig) -> None:
    """Set torch's determinism in this process as the settings ask, without cuDNN benchmarking."""
    # cuBLAS reads it when it is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(config.deterministic)
    torch.backends.cudnn.benchmark = False


def run_configs(
    config: CompareConfig, rates: dict[str, float], identities: Collection[str]
) -> tuple[RunConfig, ...]:
    """Return the runs of an experiment: each loss with each seed, an identity with the first.

    Args:
        config: settings of the experiment.
        rates: learning rate per loss.
        identities: losses that are a multiple of another.
    """
    return tuple(
        config.run_config(name, seed, rates[name])
        for name, seed in run_keys(rates, range(config.seeds), identities)
    )
