import csv
import dataclasses
import json
import sys
from pathlib import Path

import pytest

from benchmarks.config import Comparison
from benchmarks.tracking.console import Reporter
from benchmarks.training import choices
from benchmarks.training import compare as comparison
from benchmarks.training.choices import losses_of
from benchmarks.training.compare import ComparisonInterruptedError, compare
from losses import registry


@pytest.fixture
def config(tmp_path: Path, images, monkeypatch) -> Comparison:
    """A comparison of two losses and two seeds on the 96 images of noise."""
    monkeypatch.setattr(choices, "open_images", lambda *_, **__: images)
    return Comparison(
        losses=("cross-entropy", "mse"),
        width=4,
        epochs=1,
        batch_size=32,
        learning_rate=0.02,
        evaluations=1,
        seeds=2,
        device="cpu",
        runs=tmp_path / "runs",
        name="small",
    )


def rows_of(directory: Path) -> list[dict[str, str]]:
    with (directory / "results.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_comparison_leaves_every_file(config: Comparison) -> None:
    directory = compare(config, "lossbench compare --some flags", Reporter())
    assert {p.name for p in directory.iterdir()} == {
        "experiment.json",
        "results.csv",
        "summary.json",
        "summary.md",
        "report.html",
        "comparison.png",
        "closed_forms.png",
        "differences.png",
        "tensorboard",
        "cross-entropy",
        "mse",
    }
    runs = {str(p.parent.relative_to(directory)) for p in directory.rglob("checkpoint.pt")}
    assert runs == {f"{n}/seed{k}" for n in ("cross-entropy", "mse") for k in (0, 1)}
    about = json.loads((directory / "experiment.json").read_text())
    assert about["command"] == "lossbench compare --some flags"
    assert about["config"]["losses"] == ["cross-entropy", "mse"]
    assert (about["data"]["train"], about["data"]["validation"]) == (86, 10)
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["finished_runs"] == 4


def test_the_summary_is_of_the_last_rows(config: Comparison) -> None:
    directory = compare(config, "", Reporter())
    summary = json.loads((directory / "summary.json").read_text())
    for name in ("cross-entropy", "mse"):
        last = [
            float(r["test_accuracy"])
            for r in rows_of(directory)
            if (r["loss"], r["epoch"]) == (name, "1")
        ]
        assert summary["losses"][name]["test_accuracy"]["mean"] == pytest.approx(sum(last) / 2)


def test_synthetic_images_mark_the_name_and_every_row(config: Comparison) -> None:
    directory = compare(config, "", Reporter())
    assert directory.name == "SYNTHETIC-small"
    assert {row["images"] for row in rows_of(directory)} == {"SYNTHETIC"}
    assert "SYNTHETIC" in (directory / "summary.md").read_text()
    assert "SYNTHETIC" in (directory / "report.html").read_text()


def test_the_losses_of_a_seed_see_the_same_start(config: Comparison) -> None:
    directory = compare(config, "", Reporter())
    start = {(r["seed"], r["test_accuracy"]) for r in rows_of(directory) if r["step"] == "0"}
    assert len(start) == 2


def test_seeds_come_first_so_that_what_is_cut_short_is_paired(config: Comparison) -> None:
    directory = compare(config, "", Reporter())
    ends = [(r["seed"], r["loss"]) for r in rows_of(directory) if r["epoch"] == "1"]
    assert ends == [("0", "cross-entropy"), ("0", "mse"), ("1", "cross-entropy"), ("1", "mse")]


@pytest.mark.parametrize("finished", [0, 1, 3])
def test_interrupting_keeps_the_finished_runs(
    config: Comparison, monkeypatch, finished: int
) -> None:
    real, calls = comparison.train, []

    def impatient(*arguments):
        calls.append(arguments)
        if len(calls) > finished:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(comparison, "train", impatient)
    with pytest.raises(ComparisonInterruptedError, match=f"after {finished} of 4 runs") as caught:
        compare(config, "", Reporter())
    assert caught.value.finished == finished
    summary = caught.value.directory / "summary.json"
    assert summary.exists() == (finished > 0)
    if finished:
        assert json.loads(summary.read_text())["finished_runs"] == finished


def test_an_existing_experiment_is_not_touched(config: Comparison, refusal) -> None:
    directory = config.runs / "SYNTHETIC-small"
    directory.mkdir(parents=True)
    refusal(lambda: compare(config, "", Reporter()), "already exists", "--name")
    assert list(directory.iterdir()) == []


def test_runs_that_cannot_be_a_directory_are_refused(config: Comparison, refusal, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    for runs in (tmp_path / "file", tmp_path / "file" / "below"):
        bad = dataclasses.replace(config, runs=runs)
        refusal(lambda bad=bad: compare(bad, "", Reporter()), "file", "--runs")


OWN_LOSS = """
import torch, losses

@losses.register("mine", task="binary", summary="softplus of the wrong side")
class Mine(torch.nn.Module):
    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, input, target):
        each = torch.nn.functional.softplus(input * (1 - 2 * target))
        return each if self.reduction == "none" else each.mean()

class Unregistered(Mine):
    pass

@losses.register("meaning", task="binary")
class Meaning(Mine):
    def forward(self, input, target):
        return super().forward(input, target).mean()
"""


def test_a_loss_of_ones_own_is_trained(config, refusal, tmp_path, monkeypatch) -> None:
    (tmp_path / "own_losses.py").write_text(OWN_LOSS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.delitem(sys.modules, "own_losses", raising=False)
    own = dataclasses.replace(config, losses=("own_losses:Mine", "cross-entropy"), seeds=1)
    directory = compare(own, "", Reporter())
    assert (directory / "mine" / "seed0").is_dir()
    assert set(json.loads((directory / "summary.json").read_text())["losses"]) == {
        "mine",
        "cross-entropy",
    }
    for name, words in (
        ("own_losses:Unregistered", "register"),
        ("own_losses:Nothing", "has no 'Nothing'"),
        ("own_losses:Meaning", "reduction='none'"),
        ("nowhere:Mine", "nowhere"),
    ):
        refusal(lambda name=name: losses_of(Comparison(losses=(name,))), f"--losses {name}", words)
