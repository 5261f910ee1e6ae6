import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lossbench import models
from lossbench.benchmarks import cli
from lossbench.benchmarks.config import ARTICLE_LOSSES
from lossbench.benchmarks.data.augment import AUGMENTATIONS
from lossbench.benchmarks.data.sources import SOURCES
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.training.default_rates import default_rates
from lossbench.losses import kernels, registry

from .samples import FAILING, SMALL


def test_a_newcomers_comparison(pictures: Path, capsys) -> None:
    code = cli.main(["compare", "--data", str(pictures), *SMALL, "--seeds", "2", "--name", "first"])
    out, err = capsys.readouterr()
    assert code == 0
    assert all(name in out for name in ARTICLE_LOSSES)
    assert "runs/first/report.html" in out
    assert "lossbench view --runs runs/first" in out
    # Beside the table, and not only among the lines on the data.
    assert re.search(r"^caution: only \d+ test images: .* ± \d+ points", out, re.MULTILINE)
    assert "15 runs: 5 losses x 2 seeds and 5 multiples of them x 1 seed" in err
    assert "15/15" in err
    summary = json.loads(Path("runs/first/summary.json").read_text())
    assert summary["finished_runs"] == 15
    assert {*summary["losses"], *summary["identities"]} == set(ARTICLE_LOSSES)
    alike = [summary["identities"][name] for name in ("nll", "bce-with-logits", "bernoulli-sum")]
    assert [each["learning_rate"] for each in alike] == [
        default_rates([name])[name] for name in ("nll", "bce-with-logits", "bernoulli-sum")
    ]
    assert {each["test_accuracy"] for each in alike} == {alike[0]["test_accuracy_of_other"]}
    assert summary["synthetic"] is False


def test_both_starts_are_two_experiments_and_one_page(pictures: Path, capsys) -> None:
    options = ["--data", str(pictures), *SMALL[:-2], "--losses", "cross-entropy", "mse"]
    assert cli.main(["compare", *options, "--seeds", "2", "--name", "two"]) == 0
    out, err = capsys.readouterr()
    assert "8 runs: 2 losses x 2 seeds x 2 starts" in err
    assert "runs/two/report.html" in out
    assert all(
        f"view --runs runs/two/{start}\n" in out for start in ("normal", "confidently-wrong")
    )
    page = Path("runs/two/report.html").read_text(encoding="utf-8")
    for start in ("normal", "confidently-wrong"):
        assert f"from a {start.replace('-', ' ')} start" in page
        about = json.loads(Path("runs/two", start, "experiment.json").read_text())
        assert about["config"]["start"] == start
        run = json.loads(Path("runs/two", start, "mse/seed1/config.json").read_text())
        assert (run["initial_probability"] is None) == (start == "normal")
    # Resumed together, or one of them alone, they have the page of both again.
    for resumed in ("runs/two", "runs/two/confidently-wrong"):
        shutil.rmtree("runs/two/confidently-wrong/mse/seed1")
        Path("runs/two/report.html").unlink()
        assert cli.main(["compare", "--resume", resumed]) == 0
        assert Path("runs/two/confidently-wrong/mse/seed1/results.csv").is_file()
        assert Path("runs/two/report.html").read_text(encoding="utf-8").count("<h1>") == 1
    Path("runs/two/report.html").unlink()
    capsys.readouterr()
    assert cli.main(["report", "runs/two"]) == 0
    assert capsys.readouterr().out.split()[0] == "runs/two/report.html"


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; from lossbench.benchmarks.cli import main\n"
        "try: main(['compare', '--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(f in done.stdout for f in ("--losses", "--seeds", "--start", "--device", "--runs"))
    words = re.sub(r"[\s│]+", " ", done.stdout)
    assert all(f"{name}," in words for name in models.names())
    assert all(name in words for name in (*SOURCES, *cli.PRESETS, *AUGMENTATIONS))


@pytest.mark.parametrize("arguments", [["--help"], ["evidence"]])
def test_what_a_terminal_has_no_letter_for_is_no_error(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lossbench", *arguments],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
def test_who_has_read_enough_is_told_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "lossbench", "evidence"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_no_arguments_is_help(capsys) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([])
    assert not end.value.code
    assert "compare" in capsys.readouterr().out


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_keeps_what_is_done_and_says_how_to_go_on(
    pictures: Path, number: signal.Signals
) -> None:
    arguments = ["compare", "--data", str(pictures), *SMALL, "--seeds", "4", "--name", "cut"]
    arguments += ["--losses", "zero-one", "mse", "nll"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lossbench", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts us in the background has us, and our children, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    results, until = Path("runs/cut/results.csv"), time.monotonic() + 300
    while time.monotonic() < until and process.poll() is None:
        # Two rows a run: five of them are two finished runs.
        if results.exists() and len(results.read_text().splitlines()) >= 5:
            break
        time.sleep(0.01)
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert "interrupted after" in err
    summary = json.loads(Path("runs/cut/summary.json").read_text())
    assert 2 <= summary["finished_runs"] < 12
    # Which of two workers ends first is chance.
    done = [name for name, each in summary["losses"].items() if each["test_accuracy"]]
    assert done
    assert all(name in out for name in done)
    (line,) = (line for line in err.splitlines() if "to resume" in line)
    command = line.partition("lossbench compare ")[2].split()
    assert command == ["--resume", "runs/cut"]
    assert cli.main(["compare", *command]) == 0
    assert json.loads(Path("runs/cut/summary.json").read_text())["finished_runs"] == 12


def test_an_experiment_goes_on_with_its_own_settings(pictures: Path, capsys) -> None:
    # The last one has the default value, which may not be the experiment's.
    others = (["--epochs", "3"], ["--preset", "photos"], ["--name=other"], ["--optimizer", "sgd"])
    for flags in others:
        assert cli.main(["compare", "--resume", "runs/cut", *flags]) == 2
        assert "give no other flag" in capsys.readouterr().err
    assert cli.main(["compare", "--resume", str(pictures)]) == 2
    assert "no experiment in" in capsys.readouterr().err


def test_runs_can_be_trained_each_by_itself(pictures: Path, capsys, monkeypatch) -> None:
    options = ["--data", str(pictures), *SMALL, "--losses", "mse", "nll", "--seeds", "2"]
    options += ["--optimizer", "adam(eps=1e-6)", "--schedule", "cosine"]
    monkeypatch.setattr(kernels, "ensure", lambda _: pytest.fail("kernels were built"))
    assert cli.main(["plan", *options, "--name", "apart"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert cli.main(["collect", "runs/apart"]) == 0
    assert "4 of 4 runs are not finished" in capsys.readouterr().err
    for line in reversed(lines):
        command = line.partition("lossbench ")[2].split()
        assert command[:2] == ["run-one", "runs/apart"]
        assert cli.main(command) == 0
    assert cli.main(["run-one", "runs/apart", "3"]) == 0
    assert cli.main(["collect", "runs/apart"]) == 0
    assert "runs/apart/report.html" in capsys.readouterr().out
    about = json.loads(Path("runs/apart/experiment.json").read_text())
    assert about["config"]["learning_rates"] == {"mse": 0.01, "nll": 0.01}
    assert about["hardware"]["losses"] == "closed forms: no --kernels"
    page = Path("runs/apart/summary.md").read_text()
    assert "optimizer adam(eps=1e-6), schedule cosine" in page
    assert "closed forms: no --kernels" in page
    run = json.loads(Path("runs/apart/mse/seed1/config.json").read_text())
    wanted = {"optimizer": "adam(eps=1e-6)", "schedule": "cosine", "kernels": False}
    assert run.items() >= wanted.items()
    for number in ("4", "-1"):
        assert cli.main(["run-one", "runs/apart", number]) == 2
        assert "has the runs 0 to 3" in capsys.readouterr().err


def test_a_run_that_fails_is_told_by_the_exit_code(pictures: Path, monkeypatch, capsys) -> None:
    Path("failing_loss.py").write_text(FAILING)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    options = ["--data", str(pictures), *SMALL, "--seeds", "1", "--losses", "failing_loss:Failing"]
    assert cli.main(["compare", *options, "mse", "--name", "b"]) == 1
    out, err = capsys.readouterr()
    assert "mse" in out
    assert "failing seed 0: RuntimeError: not again" in err
    assert "1 of 2 runs are not finished" in err
    assert cli.main(["compare", *options, "--name", "c"]) == 1
    assert "Traceback" not in err + capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("pictures")
def test_tune_and_compare_go_together(pictures: Path, capsys) -> None:
    options = ["--data", str(pictures), *SMALL[:-2], "--losses", "cross-entropy", "mse"]
    assert cli.main(["compare", *options, "--tuned"]) == 2
    assert "lossbench tune" in capsys.readouterr().err
    search = ["--rates", "0.01", "0.1", "--seeds", "1", "--workers", "1"]
    assert cli.main(["tune", *options, *search]) == 0
    out, _ = capsys.readouterr()
    assert "cross-entropy" in out
    assert "tuning.md" in out
    assert cli.main(["compare", *options, "--tuned", "--seeds", "1", "--name", "tuned"]) == 0
    about = json.loads(Path("runs/tuned/normal/experiment.json").read_text())
    assert set(about["config"]["learning_rates"].values()) <= {0.01, 0.1}
    adam = ["--optimizer", "adam(betas=(0.5, 0.9))", "--tuned"]
    assert cli.main(["compare", *options, *adam]) == 2
    err = capsys.readouterr().err
    assert "--optimizer 'adam(betas=(0.5, 0.9))'" in err
    assert cli.main(["compare", "--resume", "runs/tuned"]) == 0


def test_without_a_name_the_claims_are_listed(capsys) -> None:
    from lossbench.benchmarks.evidence.runner import CLAIMS, claim_of

    assert cli.main(["evidence"]) == 0
    out, _ = capsys.readouterr()
    for name in CLAIMS:
        assert f"{name} " in out
        assert claim_of(name).question in out
    reference = Path(__file__).resolve().parents[2] / "runs" / "reference"
    assert cli.main(["evidence", "--runs", str(reference)]) == 0
    record = json.loads((reference / "evidence/zero-one/claim.json").read_text())
    out, _ = capsys.readouterr()
    assert f"  {record['claim']}\n" in out
    assert f"  holds, proved and checked. {record['sentence']}\n" in out


@pytest.mark.parametrize("command", ["compare", "plan"])
def test_a_preset_is_where_flags_begin(command: str, monkeypatch) -> None:
    monkeypatch.setitem(cli.PRESETS, "mine", {"epochs": 7, "model": "lenet"})
    three = ["--epochs", "3"]
    for arguments in (
        ["--preset", "mine", *three],
        ["--preset=mine", *three],
        [*three, "--preset", "mine"],
    ):
        config = cli.parse([command, *arguments])
        assert (config.preset, config.model, config.epochs) == ("mine", "lenet", 3)
    assert cli.parse([command]).preset is None
    for empty in (["--preset"], ["--preset", ""], ["--preset", *three]):
        with pytest.raises(UserError, match="preset"):
            cli.parse([command, *empty])


def test_help_shows_the_values_of_the_preset(monkeypatch, capsys) -> None:
    monkeypatch.setitem(cli.PRESETS, "mine", {"epochs": 7123})
    with pytest.raises(SystemExit):
        cli.parse(["compare", "--preset", "mine", "--help"])
    assert "7123" in capsys.readouterr().out


def test_catalogue_writes_a_page_and_a_picture(tmp_path: Path, monkeypatch, capsys) -> None:
    from lossbench.benchmarks.curves import page
    from lossbench.losses.registry import ENTRIES

    monkeypatch.setattr(page, "exactness", lambda _entries, _count: "measured elsewhere")
    assert cli.main(["catalogue", "--output", str(tmp_path)]) == 0
    out, _ = capsys.readouterr()
    assert out.split() == [str(tmp_path / "README.md"), str(tmp_path / "catalogue.png")]
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert all(f"**{entry.name}**" in text for entry in ENTRIES)
    assert (tmp_path / "catalogue.png").read_bytes().startswith(b"\x89PNG")
