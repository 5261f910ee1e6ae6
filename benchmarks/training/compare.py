"""A comparison: every loss with every seed, one run after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from benchmarks.config import Comparison
from benchmarks.data.batches import Material, prepare
from benchmarks.files import write_json
from benchmarks.report import write_summary
from benchmarks.tracking import experiment
from benchmarks.tracking.board import write_board
from benchmarks.tracking.console import Reporter
from benchmarks.tracking.window import Window

from .alarms import Alarm
from .choices import images_of, looked_up, rehearse, trial_of
from .recorder import Recorder
from .run import train
from .trial import Trial
from .tuning import tuned_rates


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
    names, device = looked_up(config)
    with reporter:
        images = images_of(config, reporter)
        config = replace(
            config,
            losses=names,
            data="synthetic" if images.synthetic else config.data,
            image_size=images.image_size,
            device="cuda" if device.type == "cuda" else "cpu",
        )
        if config.tuned:
            rates = tuned_rates(config, images, names)
        else:
            rates = dict.fromkeys(names, config.learning_rate)
        # Seeds first, so that a comparison cut short still compares losses pair by pair.
        trials = [
            replace(trial_of(config, name, seed, rates[name]), evaluations=config.evaluations)
            for seed in range(config.seeds)
            for name in names
        ]
        parameters = rehearse(trials, images.image_size, len(images.classes), device)
        material = prepare(images, device, validation=config.validation)
        now = datetime.now().astimezone()
        directory = experiment.create(config, experiment.name_of(config, images, now))
        about = experiment.facts(command, now, device) | {
            "name": directory.name,
            "synthetic": images.synthetic,
            "config": config.to_json() | {"learning_rates": rates},
            "data": experiment.data_facts(images, material),
            "model": {"name": config.model, "parameters": parameters},
        }
        write_json(directory / "experiment.json", about)
        reporter.say(
            f"{len(trials)} runs: {len(names)} losses x {config.seeds} seeds of {config.model} "
            f"({parameters:,} parameters) on {len(material.train.labels):,} {images.name} images, "
            f"{device.type}"
        )
        what = experiment.MARK if images.synthetic else images.name
        finished = train_all(trials, directory, material, what, config.log_every, reporter)
        if finished:
            write_summary(directory)
            write_board(directory, images)
    if finished < len(trials):
        raise ComparisonInterruptedError(directory, finished, len(trials))
    return directory


def train_all(
    trials: list[Trial],
    directory: Path,
    material: Material,
    images: str,
    log_every: int,
    reporter: Reporter,
) -> int:
    """Train the runs in turn and return how many were finished; Ctrl-C ends it early."""
    losses = list(dict.fromkeys(trial.loss for trial in trials))
    seeds = len({trial.seed for trial in trials})
    batch_size = min(trials[0].batch_size, len(material.train.labels))
    finished = 0
    with reporter.table(losses, seeds) as table:

        def moved(share: float, window: Window) -> None:
            run = trials[finished]
            table.update(run.loss, run.seed, share, window.accuracy, window.logit_mean_abs)

        def alarmed(alarm: Alarm) -> None:
            reporter.say(f"warning: {alarm.text}")

        try:
            for trial in trials:
                recorder = Recorder(trial, directory, images, batch_size, moved, alarmed)
                with recorder:
                    outcome, model = train(trial, material, recorder, log_every)
                    accuracy = recorder.finish(outcome, model)
                finished += 1
                table.finished(trial.loss, trial.seed, accuracy, outcome.seconds)
        except KeyboardInterrupt:
            pass
    return finished
