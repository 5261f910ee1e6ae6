import dataclasses
import json
import shlex
from pathlib import Path

import pytest

from lossbench.benchmarks.commands import compare as comparison
from lossbench.benchmarks.commands import tune as tuning
from lossbench.benchmarks.commands.tune import search_command, tune, tuned_rates
from lossbench.benchmarks.config import (
    DATA_SOURCE_FIELDS,
    CompareConfig,
    ExperimentConfig,
    TuneConfig,
    validate,
)
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.training import checks
from lossbench.benchmarks.training.executors import pool

from ..comparisons import compare


@pytest.fixture
def config(tmp_path: Path, images, monkeypatch) -> TuneConfig:
    """A search of three rates for two losses on the 96 images of noise."""
    for module in (checks, pool):
        monkeypatch.setattr(module, "open_images", lambda *_, **__: images)
    # In one process: another would not know of the images above.
    monkeypatch.setattr(pool.Pool, "_in_processes", pool.Pool._in_streams)
    return TuneConfig(
        losses=("cross-entropy", "mse"),
        rates=(1e-4, 0.02, 1e6),
        width=4,
        epochs=1,
        batch_size=16,
        validation=0.25,
        device="cpu",
        runs=tmp_path / "runs",
    )


def matching(config: TuneConfig, **settings) -> CompareConfig:
    """The comparison that a search is for."""
    names = [field.name for field in dataclasses.fields(ExperimentConfig)]
    fields = {name: getattr(config, name) for name in names}
    fields |= {"tuned": True, "seeds": 1, "evaluations": 1, "name": "after"} | settings
    return CompareConfig(**fields)


def about_of(directory: Path) -> dict:
    return json.loads((directory / "tuning.json").read_text())


def test_a_search_leaves_its_files_and_no_test_accuracy(config: TuneConfig) -> None:
    directory = tune(config, "lossbench tune", Reporter())
    assert {p.name for p in directory.iterdir()} == {"tuning.json", "tuning.md", "runs.csv"}
    about = about_of(directory)
    assert about["synthetic"] is True
    assert "SYNTHETIC" in (directory / "tuning.md").read_text()
    assert set(about["losses"]) == {"cross-entropy", "mse"}
    rows = (directory / "runs.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 3 * 2
    assert all(row.endswith("SYNTHETIC") for row in rows[1:])
    assert "test" not in rows[0]


def test_the_chosen_rate_has_the_highest_validation_accuracy(config: TuneConfig) -> None:
    about = about_of(tune(config, "", Reporter()))
    for loss in about["losses"].values():
        means = {float(rate): mean for rate, mean in loss["validation_accuracy"].items()}
        assert loss["best"] == max(sorted(means), key=means.__getitem__)
        assert len(loss["runs"]) == 6
    # A rate of a million teaches nothing.
    assert about["losses"]["mse"]["best"] != 1e6


def test_a_comparison_takes_the_rates_that_were_found(config: TuneConfig, monkeypatch) -> None:
    monkeypatch.setattr(comparison, "write_results", lambda *_: None)
    found = about_of(tune(config, "", Reporter()))["losses"]
    directory = compare(matching(config), "", Reporter()).directory
    about = json.loads((directory / "experiment.json").read_text())
    assert about["config"]["learning_rates"] == {n: loss["best"] for n, loss in found.items()}
    run = json.loads((directory / "mse" / "seed0" / "config.json").read_text())
    assert run["learning_rate"] == found["mse"]["best"]


def test_a_search_of_other_settings_does_not_count(config: TuneConfig, images, refusal) -> None:
    tune(config, "", Reporter())
    wanted = dataclasses.replace(matching(config), image_size=32)
    assert set(tuned_rates(wanted, images, ("mse",))) == {"mse"}
    for changed in (
        {"epochs": 2},
        {"start": "confidently-wrong"},
        {"width": 8},
        {"validation": 0.5},
        {"optimizer": "adam"},
        {"schedule": "constant"},
        {"losses": ("nll",)},
    ):
        other = dataclasses.replace(wanted, **changed)
        refusal(
            lambda other=other: tuned_rates(other, images, other.losses),
            "lossbench tune",
            "--tuned",
        )
    others = dataclasses.replace(images, fingerprint="0" * 64)
    refusal(lambda: tuned_rates(wanted, others, ("mse",)), "lossbench tune")


def test_the_command_that_is_named_searches_what_is_missing(config: TuneConfig) -> None:
    from lossbench.benchmarks.cli import parse

    wanted = dataclasses.replace(matching(config), image_size=32, data="a", split=("test=b",))
    wanted = dataclasses.replace(wanted, classes=("cat=a", "dog=b"), duplicates="drop")
    program, *arguments = search_command(wanted, ["nll"]).split()
    assert arguments.count("--split") == 1
    assert program == "lossbench"
    parsed = parse(arguments)
    assert isinstance(parsed, TuneConfig)
    assert parsed.losses == ("nll",)
    for field in (*DATA_SOURCE_FIELDS, "runs", *tuning.SHARED):
        assert getattr(parsed, field) == getattr(wanted, field), field


def test_the_command_for_a_class_of_optimizer_asks_for_rates(config: TuneConfig) -> None:
    from lossbench.benchmarks.cli import parse

    wanted = dataclasses.replace(matching(config), optimizer="torch.optim:RMSprop(alpha=0.9)")
    command = search_command(wanted, ["nll"])
    assert command.endswith("--rates RATE RATE")
    filled = command.replace("RATE RATE", "0.1 0.2")
    validate(parse(shlex.split(filled)[1:]))


def test_the_spelling_of_splits_is_nothing_to_a_search(config: TuneConfig, images) -> None:
    one, other = (dataclasses.replace(config, split=s) for s in (("test=b",), ("test=./b/",)))
    assert tuning.search_directory(one, images) == tuning.search_directory(other, images)


def test_a_tuned_comparison_without_validation_images_is_refused(config, refusal) -> None:
    refusal(lambda: validate(matching(config, validation=0.0)), "--tuned", "--validation 0.1")


def test_a_second_search_trains_nothing_twice_and_keeps_other_losses(
    config: TuneConfig, monkeypatch
) -> None:
    tune(config, "", Reporter())
    real, trained = pool.Trainer, []

    def noted(config, *rest):
        trained.append(config)
        return real(config, *rest)

    monkeypatch.setattr(pool, "Trainer", noted)
    directory = tune(config, "", Reporter())
    assert not trained
    tune(dataclasses.replace(config, losses=("nll",)), "", Reporter())
    assert {run.loss for run in trained} == {"nll"}
    assert set(about_of(directory)["losses"]) == {"cross-entropy", "mse", "nll"}
    # With other rates it is another search.
    tune(dataclasses.replace(config, losses=("nll",), rates=(0.01, 0.02)), "", Reporter())
    assert set(about_of(directory)["losses"]) == {"nll"}


def test_a_best_rate_at_the_end_of_the_range_is_said(config: TuneConfig) -> None:
    about = about_of(tune(dataclasses.replace(config, rates=(1e-7, 0.02)), "", Reporter()))
    assert any("cross-entropy" in note for note in tuning.notes(about))


def test_a_search_on_few_validation_images_says_so(config: TuneConfig) -> None:
    about = about_of(tune(config, "", Reporter()))
    count = about["data"]["validation"]
    assert any(f"only {count} validation images: " in note for note in tuning.notes(about))
    about["data"]["validation"] = 100
    assert not any("validation images" in note for note in tuning.notes(about))


def test_a_damaged_search_is_one_line(config: TuneConfig, refusal) -> None:
    path = tune(config, "", Reporter()) / "tuning.json"
    found = json.loads(path.read_text())
    found["losses"]["mse"].pop("runs")
    for text in ("", "{", "{}", "[1]", '{"shared": 1}', json.dumps(found)):
        path.write_text(text)
        refusal(lambda: tune(config, "", Reporter()), "tuning.json", "remove it")
        refusal(lambda: compare(matching(config), "", Reporter()), "tuning.json", "remove it")
