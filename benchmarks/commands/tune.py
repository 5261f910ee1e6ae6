"""`lossbench tune`: find the learning rate of each loss on validation images."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import shlex
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from lossbench.benchmarks.config import (
    DATA_SOURCE_FIELDS,
    OPTIMIZERS,
    ExperimentConfig,
    TrainingConfig,
    TuneConfig,
    optimizer_name,
    rates_of,
)
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data import ImageSet
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.data.description import data_lines, describe_data
from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.format import few_images, percent, plural
from lossbench.benchmarks.records import experiment
from lossbench.benchmarks.records.files import make_directory, write_atomically, write_json
from lossbench.benchmarks.report.document import Banner, Code, Document, Paragraph, Table
from lossbench.benchmarks.report.provenance import repeating
from lossbench.benchmarks.report.render import markdown
from lossbench.benchmarks.report.terminal import print_table
from lossbench.benchmarks.training.checks import (
    check_model,
    check_settings,
    open_image_set,
)
from lossbench.benchmarks.training.executors.pool import Pool
from lossbench.benchmarks.training.identities import find_identities
from lossbench.benchmarks.training.rate_search import (
    accuracy_by_rate,
    best_rate,
    extend_search,
    is_end,
    search,
)
from lossbench.benchmarks.training.result import RunResult

PERFORMANCE_FIELDS = ("evaluations", "channels_last", "compile", "cuda_graphs", "kernels")
"""Settings of a training that change the last bits at most."""

SHARED = (
    "start",
    *(
        f.name
        for f in fields(TrainingConfig)
        if f.name not in (*PERFORMANCE_FIELDS, *DATA_SOURCE_FIELDS)
    ),
)
"""Settings that a search and a comparison need to have in common."""


def run(config: TuneConfig, command: str) -> int:
    """Search the rates, print the accuracy of each, and return the exit code."""
    directory = tune(config, command, Reporter())
    about = read(directory / "tuning.json")
    print(f"Validation accuracy in % for each learning rate, mean of {about['seeds']} seeds")
    print_table(table(about))
    print("".join(f"{note}\n" for note in notes(about)), end="")
    print(f"\nSearch  {directory / 'tuning.md'}")
    return 0


def tune(config: TuneConfig, command: str, reporter: Reporter) -> Path:
    """Search the learning rate of every loss and return the directory with tuning.json.

    Losses of an earlier search with the same rates and seeds are kept.

    Raises:
        UserError: a setting is wrong, the images are unavailable, or the directory cannot be
            written.
    """
    names, device = check_settings(config, reporter.say)
    rates = rates_of(config)
    with reporter:
        images = open_image_set(config, reporter)
        source = "synthetic" if images.synthetic else config.data
        config = replace(config, losses=names, image_size=images.image_size, data=source)
        for name, identity in find_identities(names, len(images.classes)).items():
            reporter.say(f"{name}: same gradient as {identity}, whose rate it gets")
            names = tuple(each for each in names if each != name)
        configs = [replace(config.run_config(name, 0, 1.0), test=False) for name in names]
        check_model(configs[0], images.image_size, len(images.classes), device)
        dataset = prepare(images, device, validation=config.validation)
        data = describe_data(images, dataset, config.batch_size)
        for line in data_lines(data):
            reporter.say(line)
        reporter.say(
            f"{plural(len(names), 'loss', 'losses')} x {len(rates)} learning rates x "
            f"{plural(config.seeds, 'seed')} of {config.model} on "
            f"{len(dataset.train.labels):,} {images.name} images"
        )
        experiment.make_runs_directory(config.runs)
        with Pool(config.runs / "trials", device, reporter, config.workers) as pool:
            results = search(pool, configs, rates, config.seeds)
            if config.rates is None:
                results = extend_search(pool, configs, results, config.seeds)
        searches = dict(zip(names, results, strict=True))
    directory = search_directory(config, images)
    now = datetime.now().astimezone()
    about = experiment.facts(command, now, device, config.kernels) | {
        "name": directory.name,
        "synthetic": images.synthetic,
        "shared": shared_settings(config, images),
        "data": data,
        "rates": list(rates),
        "seeds": config.seeds,
        "losses": {name: summarise_loss(results) for name, results in searches.items()},
    }
    write(directory, about)
    return directory


def summarise_loss(results: list[RunResult]) -> dict[str, Any]:
    """Return the search of one loss as JSON values. A diverged run has None."""
    means = accuracy_by_rate(results)
    return {
        "best": best_rate(means),
        "validation_accuracy": {f"{rate:g}": mean for rate, mean in means.items()},
        "runs": [
            {
                "learning_rate": result.config.learning_rate,
                "seed": result.config.seed,
                "validation_accuracy": _finite(result.evaluations[-1].validation_accuracy),
                "validation_loss": _finite(result.evaluations[-1].validation_loss),
            }
            for result in results
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def write(directory: Path, about: dict[str, Any]) -> None:
    """Write tuning.json, tuning.md and runs.csv.

    Losses of an earlier search with the same rates and seeds are kept in tuning.json.

    Raises:
        UserError: a file cannot be written.
    """
    kept = read(directory / "tuning.json") if (directory / "tuning.json").is_file() else None
    if kept and (kept["rates"], kept["seeds"]) == (about["rates"], about["seeds"]):
        about = about | {"losses": kept["losses"] | about["losses"]}
    try:
        make_directory(directory)
        write_atomically(directory / "runs.csv", runs_csv(about).encode())
        write_atomically(directory / "tuning.md", markdown(search_page(about)).encode())
        write_json(directory / "tuning.json", about)
    except OSError as error:
        raise UserError(
            f"cannot write to {directory}: {one_line(error)}; choose another --runs"
        ) from None


def runs_csv(about: dict[str, Any]) -> str:
    """Return the CSV text with one row per run."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    columns = ("learning_rate", "seed", "validation_accuracy", "validation_loss")
    rows.writerow(["loss", *columns, "images"])
    images = experiment.SYNTHETIC_MARK if about["synthetic"] else about["data"]["name"]
    for name, loss in about["losses"].items():
        rows.writerows([name, *(run[c] for c in columns), images] for run in loss["runs"])
    return text.getvalue()


def search_page(about: dict[str, Any]) -> Document:
    """Return the page of a search."""
    how = (
        f"Accuracy on {about['data']['validation']:,} validation images in %, mean of "
        f"{about['seeds']} seeds, for each peak learning rate; the same seeds and steps for "
        f"every loss. Optimizer {about['shared']['optimizer']}, {about['shared']['schedule']} "
        "schedule. The test images were not looked at."
    )
    mark = (Banner(f"{experiment.SYNTHETIC_MARK} IMAGES"),) if about["synthetic"] else ()
    blocks = (*mark, Paragraph(how), table(about), *map(Paragraph, notes(about)))
    again = (Paragraph("To repeat it:"), Code(repeating(about["command"])))
    return Document(f"Learning rates: {about['name']}", (*blocks, *again))


def table(about: dict[str, Any]) -> Table:
    """Return the table with one row per loss: accuracy in % per learning rate, and the chosen
    rate."""
    tried = {rate for loss in about["losses"].values() for rate in loss["validation_accuracy"]}
    rates = sorted(tried, key=float)
    rows = (
        (
            name,
            *(percent(loss["validation_accuracy"].get(rate)) for rate in rates),
            f"{loss['best']:g}",
        )
        for name, loss in about["losses"].items()
    )
    return Table(("loss", *rates, "chosen"), tuple(rows))


def notes(about: dict[str, Any]) -> list[str]:
    """Return notes on losses whose best rate lies at an end of those tried, or does not matter."""
    edge, same = [], []
    for name, loss in about["losses"].items():
        means = loss["validation_accuracy"]
        if len(set(means.values())) == 1:
            same.append(name)
        elif is_end(loss["best"], map(float, means)):
            edge.append(name)
    lines = few_images(about["data"]["validation"], "validation")
    if edge:
        lines.append(f"At the end of the rates tried, others may be better: {', '.join(edge)}.")
    if diverged := _diverged(about):
        lines.append(f"Diverged, which counts as chance: {', '.join(diverged)}.")
    if same:
        lines.append(f"As accurate with every rate: {', '.join(same)}.")
    return lines


def _diverged(about: dict[str, Any]) -> list[str]:
    """Describe the runs that diverged: 'mse at 3 (2 of 5 runs)'."""
    diverged: dict[tuple[str, float], list[bool]] = {}
    for name, loss in about["losses"].items():
        for run in loss["runs"]:
            key = (name, run["learning_rate"])
            diverged.setdefault(key, []).append(run["validation_accuracy"] is None)
    return [
        f"{name} at {rate:g} ({sum(ended)} of {plural(len(ended), 'run')})"
        for (name, rate), ended in diverged.items()
        if any(ended)
    ]


def read(path: Path) -> dict[str, Any]:
    """Read a tuning.json. Raises UserError if it is unreadable or incomplete."""
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for key in ("shared", "rates", "seeds", "losses", "date"):
            about[key]
        for loss in about["losses"].values():
            loss["runs"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"cannot use {path} ({type(error).__name__}: {one_line(error)}); remove it and run "
            "`lossbench tune` again"
        ) from None
    return about


def shared_settings(config: ExperimentConfig, images: ImageSet) -> dict[str, Any]:
    """Return the settings that a search and a comparison share, with the images' fingerprint."""
    settings = config.to_json()
    return {key: settings[key] for key in SHARED} | {"fingerprint": images.fingerprint}


def search_directory(config: ExperimentConfig, images: ImageSet) -> Path:
    """Return the directory of the search with these settings."""
    text = json.dumps(shared_settings(config, images), sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:8]
    name = experiment.SYNTHETIC_MARK if images.synthetic else images.name
    model = config.model.rpartition(":")[2]
    return config.runs / "tuning" / f"{name}-{model}-{config.start}-{key}"


def tuned_rates(
    config: ExperimentConfig, images: ImageSet, names: tuple[str, ...]
) -> dict[str, float]:
    """Return the learning rate of each loss from the search with the same settings.

    Raises:
        UserError: there is no such search or it lacks a loss; the text has the command to run
            first.
    """
    path = search_directory(config, images) / "tuning.json"
    losses = read(path)["losses"] if path.is_file() else {}
    if missing := [name for name in names if name not in losses]:
        raise UserError(
            f"--tuned: no learning rate was searched for {', '.join(missing)} with this data, "
            f"model and training; run `{search_command(config, missing)}` first"
        )
    return {name: float(losses[name]["best"]) for name in names}


def search_command(config: ExperimentConfig, losses: list[str]) -> str:
    """Return the command that searches what a comparison needs; RATE stands for rates to choose."""
    default = ExperimentConfig()
    flags = ["--losses", *losses]
    for field in (*DATA_SOURCE_FIELDS, "runs", *SHARED):
        value = getattr(config, field)
        if value is not None and value != getattr(default, field):
            values = value if isinstance(value, tuple) else (value,)
            flags += [f"--{field.replace('_', '-')}", *map(str, values)]
    if optimizer_name(config.optimizer) not in OPTIMIZERS:
        flags += ["--rates", "RATE", "RATE"]  # a class has no usual ones
    return shlex.join(["lossbench", "tune", *flags])
