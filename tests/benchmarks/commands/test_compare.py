import dataclasses
import gc
import json
import os
import sys
import threading

import pytest
import torch

from lossbench.benchmarks.commands.compare import compare
from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.training.setup import losses_of
from lossbench.losses import registry

from ..rows import equal_but_for_time, rows_of


def test_a_comparison_leaves_every_file(config: CompareConfig) -> None:
    directory = compare(config, "lossbench compare --some flags", Reporter()).directory
    assert {p.name for p in directory.iterdir()} == {
        ".lock",
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


def test_the_summary_is_of_the_last_rows(config: CompareConfig) -> None:
    directory = compare(config, "", Reporter()).directory
    summary = json.loads((directory / "summary.json").read_text())
    for name in ("cross-entropy", "mse"):
        last = [
            float(r["test_accuracy"])
            for r in rows_of(directory)
            if (r["loss"], r["epoch"]) == (name, "1")
        ]
        assert summary["losses"][name]["test_accuracy"]["mean"] == pytest.approx(sum(last) / 2)


def test_synthetic_images_mark_the_name_and_every_row(config: CompareConfig) -> None:
    directory = compare(config, "", Reporter()).directory
    assert directory.name == "SYNTHETIC-small"
    assert {row["images"] for row in rows_of(directory)} == {"SYNTHETIC"}
    assert "SYNTHETIC" in (directory / "summary.md").read_text()
    assert "SYNTHETIC" in (directory / "report.html").read_text()


def test_the_losses_of_a_seed_see_the_same_start(config: CompareConfig) -> None:
    directory = compare(config, "", Reporter()).directory
    start = {(r["seed"], r["test_accuracy"]) for r in rows_of(directory) if r["step"] == "0"}
    assert len(start) == 2


def test_seeds_come_first_so_that_what_is_cut_short_is_paired(config: CompareConfig) -> None:
    directory = compare(config, "", Reporter()).directory
    ends = [(r["seed"], r["loss"]) for r in rows_of(directory) if r["epoch"] == "1"]
    assert ends == [("0", "cross-entropy"), ("0", "mse"), ("1", "cross-entropy"), ("1", "mse")]


def test_an_existing_experiment_is_not_touched(config: CompareConfig, refusal) -> None:
    directory = config.runs / "SYNTHETIC-small"
    directory.mkdir(parents=True)
    refusal(lambda: compare(config, "", Reporter()), "already exists", "--name")
    assert list(directory.iterdir()) == []


def test_runs_that_cannot_be_a_directory_are_refused(
    config: CompareConfig, refusal, tmp_path
) -> None:
    (tmp_path / "file").write_text("")
    for runs in (tmp_path / "file", tmp_path / "file" / "below"):
        bad = dataclasses.replace(config, runs=runs)
        refusal(lambda bad=bad: compare(bad, "", Reporter()), "file", "--runs")


OWN_LOSS = """
import torch
from lossbench import losses

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
    directory = compare(own, "", Reporter()).directory
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
        refusal(
            lambda name=name: losses_of(CompareConfig(losses=(name,))), f"--losses {name}", words
        )


def test_the_same_comparison_gives_the_same_bits_twice(config: CompareConfig) -> None:
    try:
        one, two = (
            compare(dataclasses.replace(config, name=name, deterministic=True), "", Reporter())
            for name in ("one", "two")
        )
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    equal_but_for_time(one.directory, two.directory)
    for path in one.directory.rglob("checkpoint.pt"):
        other = two.directory / path.relative_to(one.directory)
        first, second = (torch.load(p, weights_only=True)["model"] for p in (path, other))
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_runs_side_by_side_write_what_they_write_one_by_one(config: CompareConfig) -> None:
    longer = dataclasses.replace(config, epochs=12, log_every=1)
    one, other = (
        compare(dataclasses.replace(longer, name=f"{most}", at_once=most), "", Reporter())
        for most in (1, 4)
    )
    assert (one.finished, other.finished) == (4, 4)
    equal_but_for_time(one.directory, other.directory)
    for path in one.directory.rglob("checkpoint.pt"):
        beside = other.directory / path.relative_to(one.directory)
        first, second = (torch.load(p, weights_only=True)["model"] for p in (path, beside))
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_runs_leave_no_files_open_and_no_threads(config: CompareConfig) -> None:
    def held() -> tuple[int, int]:
        gc.collect()
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    def trained(name: str, seeds: int) -> None:
        named = dataclasses.replace(config, name=name, seeds=seeds)
        assert compare(named, "", Reporter()).finished == 2 * seeds

    trained("first", 1)
    before = held()
    trained("second", 6)
    assert held() == before
