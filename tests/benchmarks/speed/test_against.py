"""`lossbench speed --against`: what is called slower, in simulated and in real measurements."""

import subprocess
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from lossbench.benchmarks.cli import main
from lossbench.benchmarks.speed import against
from lossbench.benchmarks.speed.against import Difference, table, verdicts
from lossbench.benchmarks.speed.revision_worker import turns


def measured(ratio: float, seed: int, count: int = 800) -> Difference:
    """Measurements of 1 us with noise, of which a third is interrupted for up to 1 us more."""
    random = np.random.default_rng(seed)
    here, there = (
        scale
        * 1e-6
        * random.lognormal(sigma=0.03, size=count)
        * (1 + random.random(count) * (random.random(count) < 0.3))
        for scale in (ratio, 1.0)
    )
    return Difference.of(f"row {seed}", here.tolist(), there.tolist())


def called(ratio: float, runs: int = 30) -> list[str]:
    return [verdicts([measured(ratio, seed)])[0][0] for seed in range(runs)]


@pytest.mark.slow
def test_a_slowdown_of_5_percent_is_found_and_no_other() -> None:
    assert called(1.05).count("slower") >= 29
    assert called(1.0).count("alike") >= 29
    assert called(1.019).count("slower") <= 2  # within the margin
    assert called(0.95).count("faster") >= 29


def test_the_interval_holds_the_truth() -> None:
    each = [measured(1.05, seed) for seed in range(50)]
    assert sum(x.lower <= 1.05 <= x.upper for x in each) >= 46
    assert each[0].here == pytest.approx(1.05 * each[0].there, rel=0.02)


def test_p_values_are_corrected_over_the_rows() -> None:
    def of(p_slower: float) -> Difference:
        return Difference("row", 1.0, 1.0, 1.03, 1.0, 1.1, p_slower, 1.0)

    assert [v for v, _ in verdicts([of(0.006)])] == ["slower"]
    assert [v for v, _ in verdicts([of(0.006), of(0.5)])] == ["alike", "alike"]
    assert [v for v, _ in verdicts([of(0.004), of(0.5)])] == ["slower", "alike"]
    assert verdicts([of(0.004), of(0.5)])[0][1] == pytest.approx(0.008)
    assert verdicts([]) == []


def test_a_row_of_the_table_says_all() -> None:
    (row,) = table([Difference("mse", 1.5e-6, 1e-6, 1.5, 1.4, 1.6, 1e-4, 1.0)]).rows
    assert row == ("mse", "1.5 us", "1.0 us", "1.500 (1.400 to 1.600)", "0.0001", "slower")


def test_both_sides_take_the_same_turns() -> None:
    calls = []
    here, there = turns(lambda: calls.append(1), lambda: calls.append(2), 0.0, 20)
    assert len(here) == len(there) == 40
    # Up to the last calls that found how many make a chunk.
    measured = calls[-len(calls) // 2 :]
    assert measured.count(1) == pytest.approx(measured.count(2), rel=0.1)


@pytest.mark.slow
def test_wasted_time_is_measured() -> None:
    def work() -> None:
        end = time.process_time() + 1e-4
        while time.process_time() < end:
            pass

    here, there = turns(work, work, 0.0, 100, slowdown=0.5)
    assert np.quantile(here, 0.1) / np.quantile(there, 0.1) == pytest.approx(1.5, rel=0.1)


def test_a_flag_that_would_do_nothing_is_refused(capsys) -> None:
    assert main(["speed", "--against", "HEAD", "--runs", "elsewhere"]) == 2
    assert "--runs beside --against" in capsys.readouterr().err


def test_rows_are_chosen_by_their_names(refusal) -> None:
    assert [x.group for x in against.select("bfloat16 mse (64)")] == ["mse (64)"]
    assert len(against.select(None)) > 100
    refusal(lambda: against.select("cros-entropy"), "did you mean 'cross-entropy'")


def test_an_unknown_commit_is_refused(refusal, tmp_path, monkeypatch) -> None:
    for name in ("nowhere", "--help", ""):
        refusal(lambda name=name: against.checked_out(name).__enter__(), "--against", "no such")
    monkeypatch.setattr(against, "ROOT", tmp_path)
    refusal(lambda: against.checked_out("HEAD").__enter__(), "--against", "git")
    monkeypatch.setenv("PATH", str(tmp_path))
    refusal(lambda: against.checked_out("HEAD").__enter__(), "git, which is not installed")


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone of this clone, and the command git in it."""
    root = against.ROOT
    if not (root / ".git").exists():
        pytest.skip("no clone of git")
    git = ["git", "-C", str(tmp_path / "clone"), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "clone", "-q", "--shared", str(root), git[2]], check=True)
    monkeypatch.setattr(against, "ROOT", tmp_path / "clone")
    return git


@pytest.mark.slow
def test_another_commit_is_timed_and_leaves_nothing_behind(clone, capsys, monkeypatch) -> None:
    monkeypatch.setattr(against, "LEVEL", 1e-9)  # the outcome does not matter here
    row = ["--only", "float32 mse (64)", "--seconds", "0.1"]
    assert main(["speed", "--against", "HEAD", *row]) == 0
    printed = capsys.readouterr()
    assert "mse (64) float32" in printed.out
    assert "0 of 1 row slower by more than 2 %" in printed.out
    worktrees = subprocess.run([*clone, "worktree", "list"], capture_output=True, text=True)
    assert len(worktrees.stdout.splitlines()) == 1


def test_a_slower_row_ends_with_1(monkeypatch, capsys) -> None:
    slow = Difference("mse", 2.0, 1.0, 2.0, 1.9, 2.1, 1e-9, 1.0)
    monkeypatch.setattr(against, "checked_out", lambda _: nullcontext(Path()))
    monkeypatch.setattr(against, "compare_rows", lambda *_: iter([slow]))
    assert main(["speed", "--against", "HEAD", "--only", "mse"]) == 1
    assert "1 of 1 row slower" in capsys.readouterr().out
