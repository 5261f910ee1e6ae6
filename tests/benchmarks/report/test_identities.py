import re

import pytest

from lossbench.benchmarks.report.comparison import write_comparison
from lossbench.benchmarks.report.identities import identities_note

from ..written_experiments import describe, evaluations, write_experiment


def test_identities_stand_apart_and_get_no_verdict(tmp_path) -> None:
    rates = {"cross-entropy": 0.1, "mse": 0.1, "bernoulli-sum": 0.05, "bce": 0.1}
    about = describe(losses=list(rates), learning_rates=rates) | {
        "identities": {
            "bernoulli-sum": {"of": "cross-entropy", "factor": 2.0, "difference": 3e-8},
            "bce": {"of": "cross-entropy", "factor": 1.0, "difference": 1e-7},
        }
    }
    rows = []
    for seed in (0, 1):
        rows += evaluations("cross-entropy", seed, [0.5, 0.6, 0.7 + seed / 10])
        rows += evaluations("mse", seed, [0.5, 0.6, 0.65])
    rows += evaluations("bernoulli-sum", 0, [0.5, 0.6, 0.703])
    rows += evaluations("bce", 0, [0.5, 0.6, 0.712])
    directory = write_experiment(tmp_path / "experiment", about, rows)
    summary = write_comparison(directory).summary
    assert set(summary["losses"]) == {"cross-entropy", "mse"}
    assert summary["unfinished_runs"] == []
    assert summary["identities"]["bernoulli-sum"] == {
        "of": "cross-entropy",
        "factor": 2.0,
        "difference": 3e-8,
        "seed": 0,
        "learning_rate": 0.05,
        "learning_rate_of_other": 0.1,
        "test_accuracy": 0.703,
        "test_accuracy_of_other": 0.7,
        "diverged": False,
    }
    page = (directory / "summary.md").read_text(encoding="utf-8")
    assert "| bernoulli-sum | cross-entropy, × 2 | 3e-08 | 0.05 | 70.3 | 70.0 |" in page
    assert "z above 17" in page
    assert "The control (A/A) is bce: with × 1" in page
    assert "as cross-entropy does but for rounding: here they end at most 1.2 points apart" in page
    # Wherever the page names it before, it says why it has no verdict.
    before = page[: page.index("## Same gradient")]
    assert len(re.findall("bernoulli-sum", before)) == 2
    assert len(re.findall(r"bernoulli-sum.{1,20}same gradient as cross-entropy, × 2", before)) == 2


def test_an_identity_is_not_compared_with_another_seed(tmp_path) -> None:
    about = describe(losses=["cross-entropy", "nll"]) | {
        "identities": {"nll": {"of": "cross-entropy", "factor": 1.0, "difference": 0.0}}
    }
    rows = evaluations("cross-entropy", 1, [0.5, 0.6, 0.8])  # seed 0 has failed
    rows += evaluations("nll", 0, [0.5, 0.6, 0.7])
    summary = write_comparison(write_experiment(tmp_path / "experiment", about, rows)).summary
    assert summary["identities"]["nll"]["test_accuracy"] == 0.7
    assert summary["identities"]["nll"]["test_accuracy_of_other"] is None


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        ("sgd", "another learning rate"),
        ("sgd(momentum=0.5)", "another learning rate"),
        ("adam", "at the same rate nearly as"),
        ("torch.optim:RMSprop", "at the same rate nearly as"),
    ],
)
def test_the_note_is_about_the_optimizer(optimizer, text) -> None:
    double = {"of": "mse", "factor": 2.0, "test_accuracy": 0.7, "test_accuracy_of_other": 0.6}
    note = identities_note({"identities": {"mine": double}}, optimizer)
    assert text in note
    assert "control" not in note
