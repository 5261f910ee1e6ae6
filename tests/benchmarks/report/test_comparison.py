import json

import pytest

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.report import comparison
from lossbench.benchmarks.report.comparison import write_comparison
from lossbench.benchmarks.report.summary import summarise

from ..written_experiments import describe, evaluations, write_experiment

FIGURES = {"differences.png", "comparison.png", "closed_forms.png"}
FILES = {"summary.json", "summary.md", "report.html"} | FIGURES


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_every_file_is_written_and_the_json_is_strict(experiment):
    before = {path.name for path in experiment.iterdir()}
    made = write_comparison(experiment)
    summary, document = made.summary, made.document
    assert {path.name for path in experiment.iterdir()} - before == FILES
    assert strict((experiment / "summary.json").read_text()) == summary == summarise(experiment)
    assert (
        document.title
        == "cross-entropy and mse compared on dog and cat, from a normal start (tiny)"
    )
    assert not any(b"SYNTHETIC" in (experiment / name).read_bytes() for name in FILES)


def test_every_file_says_synthetic(experiment):
    path = experiment / "experiment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"synthetic": True}))
    assert write_comparison(experiment).summary["synthetic"]
    for name in FILES:
        assert b"SYNTHETIC" in (experiment / name).read_bytes(), name


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr(comparison, "draw_figures", lambda *_: {})


def test_nothing_finished_writes_nothing(experiment):
    (experiment / "results.csv").write_text("")
    with pytest.raises(UserError, match="no run has finished"):
        write_comparison(experiment)
    assert {path.name for path in experiment.iterdir()} == {"experiment.json", "results.csv"}


@pytest.mark.usefixtures("no_figures")
def test_a_file_that_cannot_be_replaced_is_a_users_error(experiment):
    (experiment / "summary.md").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*summary\.md"):
        write_comparison(experiment)
    assert not list(experiment.glob(".*"))
    assert not (experiment / "summary.json").exists()


@pytest.mark.usefixtures("no_figures")
def test_a_run_that_failed_says_why(tmp_path):
    about = describe(losses=["cross-entropy", "mse"], seeds=[0])
    rows = [*evaluations("cross-entropy", 0, [0.5, 0.6, 0.7]), *evaluations("mse", 0, [0.5])]
    directory = write_experiment(tmp_path / "e", about, rows)
    (directory / "mse" / "seed0").mkdir(parents=True)
    (directory / "mse" / "seed0" / "failure.txt").write_text("ValueError: <b>no</b>\n\nTraceback")
    (run,) = write_comparison(directory).summary["unfinished_runs"]
    assert run["failure"] == "ValueError: <b>no</b>"
    assert "with ValueError" in (directory / "summary.md").read_text()
    page = (directory / "report.html").read_text()
    assert "ValueError: &lt;b&gt;no" in page
    assert "<b>no" not in page
