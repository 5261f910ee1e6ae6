"""Every flag that a command accepts takes effect or is refused."""

import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossbench.benchmarks import cli, subcommands
from lossbench.benchmarks.commands import (
    article,
    catalogue,
    compare,
    evidence,
    plan,
    report,
    speed,
    tune,
)
from lossbench.benchmarks.config import (
    DATA_SOURCE_FIELDS,
    CompareConfig,
    TrainingConfig,
    TuneConfig,
)
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.experiment import make_runs_directory
from lossbench.benchmarks.training import checks

from .test_cli_help import COMMANDS

PERFORMANCE_FIELDS = {"channels_last", "compile", "cuda_graphs", "kernels"}
"""Settings of a training that change the last bits at most."""

WHILE_TRAINING = {"log_every", "checkpoint_every", "deterministic"}
"""Settings of a comparison that its runs do not hold."""

OTHER: dict[str, list[str]] = {
    "losses": ["zero-one"],
    "data": ["pets"],
    "split": ["test=held"],
    "classes": ["cat=tabby", "wolf"],
    "duplicates": ["drop"],
    "model": ["lenet"],
    "width": ["6"],
    "image_size": ["40"],
    "augmentation": ["none"],
    "epochs": ["3"],
    "batch_size": ["24"],
    "optimizer": ["adam"],
    "schedule": ["constant"],
    "weight_decay": ["0.01"],
    "test_time_augmentation": ["mirror"],
    "validation": ["0.3"],
    "evaluations": ["2"],
    "precision": ["bfloat16"],
    "start": ["confidently-wrong"],
    "device": ["cuda"],
    "runs": ["elsewhere"],
    "learning_rate": ["0.7"],
    "rates": ["0.1", "0.2"],
    "seeds": ["3"],
    "log_every": ["3"],
    "checkpoint_every": ["7"],
    "preset": ["cifar-full"],
    "name": ["another"],
    "workers": ["1"],
    "looks": ["1"],
    "only": ["float64"],
    "seconds": ["0.7"],
    "output": ["elsewhere"],
    "evidence": ["elsewhere"],
}
"""Another value than the default of each flag that has one."""

ELSEWHERE = {
    ("compare", "resume"): "test_an_experiment_goes_on_with_its_own_settings",
    ("compare", "executor"): "test_ray",
    ("compare", "workers"): "test_processes",
    ("evidence", "names"): "test_without_a_name_the_claims_are_listed",
    ("report", "directories"): "test_a_mistake_is_one_line_and_exit_code_2",
    ("run-one", "directory"): "test_runs_can_be_trained_each_by_itself",
    ("run-one", "number"): "test_runs_can_be_trained_each_by_itself",
    ("collect", "directory"): "test_runs_can_be_trained_each_by_itself",
    ("speed", "against"): "test_against",
    ("view", "runs"): "test_view",
    ("view", "port"): "test_view",
    ("view", "losses"): "test_view",
    ("view", "all"): "test_view",
    ("view", "every_seed"): "test_view",
}
"""Flags that other tests cover, with their names."""

CLASSES = {
    "compare": subcommands.CompareCommand,
    "plan": subcommands.PlanCommand,
    "run-one": subcommands.RunOneCommand,
    "collect": subcommands.CollectCommand,
    "tune": TuneConfig,
    "evidence": subcommands.EvidenceCommand,
    "report": subcommands.ReportCommand,
    "view": subcommands.ViewCommand,
    "speed": subcommands.SpeedCommand,
    "catalogue": subcommands.CatalogueCommand,
    "article": subcommands.ArticleCommand,
}
BASE = {
    "compare": ["--name", "base"],
    "plan": ["--name", "base"],
    "run-one": ["runs/x", "0"],
    "collect": ["runs/x"],
    "report": ["runs/x"],
    "evidence": ["zero-one"],
    "catalogue": ["--output", "."],
}
FLAGS = [
    (command, field.name)
    for command, kind in CLASSES.items()
    for field in dataclasses.fields(kind)
    if (command, field.name) not in ELSEWHERE and field.name not in WHILE_TRAINING
]


class Reached(Exception):  # noqa: N818
    """The command has got as far as its work, with these arguments."""


def flags_of(name: str) -> list[str]:
    """Return a flag with another value than its default; a switch is turned over."""
    switches = {f.name: f.default for f in dataclasses.fields(CompareConfig) if f.type == "bool"}
    if name in switches:
        return [option(("no_" if switches[name] else "") + name)]
    return [option(name), *OTHER[name]]


def option(field: str) -> str:
    return f"--{field.replace('_', '-')}"


@pytest.fixture
def outcome(images, tmp_path: Path, monkeypatch):
    """What a command line does: the arguments of its work, without the settings as recorded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(checks.kernels, "ensure", lambda _: None)
    monkeypatch.setattr(checks, "check_losses", lambda config: config.losses or ("mse", "nll"))
    opened: list[Any] = []

    def open_images(*arguments: Any, **_: Any):
        opened.append(arguments)
        return images

    def reached(*arguments: Any, **keywords: Any):
        shown = [each for each in arguments if not isinstance(each, Reporter)]
        raise Reached(repr((opened, shown, keywords)))

    monkeypatch.setattr(checks, "open_images", open_images)
    monkeypatch.setattr(plan, "load_plan", reached)
    monkeypatch.setattr(evidence, "examine", reached)
    monkeypatch.setattr(report, "write_reports", reached)
    monkeypatch.setattr(article, "write_article", reached)
    monkeypatch.setattr(catalogue.page, "write", reached)
    monkeypatch.setattr(catalogue.kernels, "ensure", lambda _: None)
    monkeypatch.setattr(tune, "Pool", PoolOf)
    monkeypatch.setattr(tune, "search", lambda pool, *rest: reached(pool.arguments, *rest))
    monkeypatch.setattr(speed, "measure", lambda *arguments: reached(made, *arguments[:2]))
    made: list[Path] = []
    monkeypatch.setattr(speed, "make_runs_directory", made.append)

    places = itertools.count()

    def run(arguments: list[str]) -> str:
        opened.clear()
        made.clear()
        place = tmp_path / str(next(places))
        place.mkdir()
        monkeypatch.chdir(place)
        command = cli.parse(arguments)
        try:
            if arguments[0] == "compare":
                plans = plan.create_plans(*compare.starts_of(command), "line", Reporter())
                return repr((opened, [(each.directory, each.runs) for each in plans]))
            if arguments[0] == "plan":
                each = plan.create_plan(plan.experiment_settings(command), "line", Reporter())
                return repr((opened, each.directory, each.runs))
            cli.run(command, "line")
        except Reached as end:
            return str(end)
        except UserError as error:
            return f"refused: {error}"
        raise AssertionError("the command did nothing that this test knows of")

    return run


class PoolOf:
    """The arguments of a pool, which trains nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = [each for each in arguments if not isinstance(each, Reporter)]
        make_runs_directory(arguments[0])

    def __enter__(self) -> "PoolOf":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def without_places(text: str) -> str:
    """Leave out of runs what only says which images were opened."""
    return re.sub(rf"\b({'|'.join(DATA_SOURCE_FIELDS)})=(\([^)]*\)|'[^']*'|None)", "", text)


def test_every_command_and_flag_is_here() -> None:
    assert tuple(CLASSES) == COMMANDS
    names = {
        (command, field.name)
        for command, kind in CLASSES.items()
        for field in dataclasses.fields(kind)
    }
    assert {*FLAGS, *ELSEWHERE} == {each for each in names if each[1] not in WHILE_TRAINING}


@pytest.mark.parametrize(("command", "flag"), FLAGS)
def test_a_flag_changes_what_a_command_does_or_is_refused(command: str, flag: str, outcome) -> None:
    """For `compare` and `plan`: the images that are opened and the runs that are planned."""
    base = [command, *BASE.get(command, [])]
    usual = outcome(base)
    assert not usual.startswith("refused")
    arguments = base if flag != "name" else [command]
    assert without_places(outcome([*arguments, *flags_of(flag)])) != without_places(usual)


def test_what_a_preset_sets_can_be_set_otherwise(outcome) -> None:
    preset = ["compare", "--preset", "cifar-full", "--name", "base"]
    assert "initial_probability=0" not in outcome(preset)
    assert "initial_probability=0" in outcome([*preset, "--start", "both"])


OF_TRAINING = [
    f.name for f in dataclasses.fields(TrainingConfig) if f.name not in DATA_SOURCE_FIELDS
]


@pytest.mark.parametrize("flag", sorted({*OF_TRAINING} - PERFORMANCE_FIELDS - {"image_size"}))
def test_a_setting_changes_what_a_training_computes(flag: str, trained) -> None:
    config = cli.parse(["compare", *flags_of(flag)])
    usual, other = trained(), trained(**{flag: getattr(config, flag)})
    curves = [[e.train_loss for e in each.evaluations] for each in (usual, other)]
    outputs = [each.test.outputs for each in (usual, other)]
    assert curves[0] != curves[1] or not np.array_equal(*outputs)


@pytest.mark.parametrize("name", sorted(PERFORMANCE_FIELDS | WHILE_TRAINING))
def test_a_setting_that_changes_no_number_is_read(name: str) -> None:
    """In a test on the CPU it may change nothing that can be seen."""
    rooms = Path(checks.__file__).parent
    text = "".join(path.read_text() for path in rooms.rglob("*.py"))
    assert re.search(rf"config\.{name}\b", text)
