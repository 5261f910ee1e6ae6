import csv
import json
import os
import re
import shlex
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
from lossbench.benchmarks.data import cifar
from lossbench.benchmarks.data.augment import AUGMENTATIONS
from lossbench.benchmarks.data.sources import SOURCES, UnavailableError
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.training.default_rates import default_rates
from lossbench.losses import kernels, registry

from .samples import FAILING

SMALL = ["--model", "convnet", "--width", "4", "--epochs", "1", "--batch-size", "8"]
SMALL += ["--evaluations", "1", "--start", "normal"]


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch, cats_and_dogs) -> Path:
    """A folder of 30 cats and 30 dogs of noise, and a cache and a working directory of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LOSSBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return cats_and_dogs(tmp_path / "pets")


def test_a_newcomers_comparison(pictures: Path, capsys) -> None:
    code = cli.main(["compare", "--data", str(pictures), *SMALL, "--seeds", "2", "--name", "first"])
    out, err = capsys.readouterr()
    assert code == 0
    assert all(name in out for name in ARTICLE_LOSSES)
    assert "runs/first/report.html" in out
    assert "lossbench view --runs runs/first" in out
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare", "--losses", "cross-entrpy"], "did you mean 'cross-entropy'"),
        (["compare", "--losses"], "--losses"),
        (["compare", "--model", "convnett"], "did you mean 'convnet'"),
        (["compare", "--optimizer", "adm"], "did you mean 'adam'"),
        (["plan", "--optimizer", "torch.optim:Rprop"], "give --learning-rate"),
        (["tune", "--optimizer", "torch.optim:LBFGS", "--rates", "1", "2"], "no closure"),
        (["compare", "--optimizer", "adam(betas=2)"], "adam(betas=2)"),
        (["compare", "--schedule", "linear"], "cosine"),
        (["compare", "--epochs", "0"], "--epochs 0"),
        (
            ["compare", "--epochs", "many"],
            "--epochs 'many': give a whole number; see lossbench compare",
        ),
        (["view", "--port=x"], "--port 'x': give a whole number; see lossbench view --help"),
        (
            ["speed", "--seconds", "long"],
            "--seconds 'long': give a number; see lossbench speed --help",
        ),
        (
            ["compare", "--workers", "x"],
            "--workers 'x': give a whole number; see lossbench compare --help",
        ),
        (
            ["tune", "--rates", "0.1", "x"],
            "--rates '0.1', 'x': give numbers; see lossbench tune --help",
        ),
        (["compare", "--bogus"], "--bogus; see lossbench compare --help"),
        (["compare", "--epoch", "3"], "did you mean --epochs? see lossbench compare --help"),
        (["compare", "--start", "wrong"], "confidently-wrong"),
        (["compare", "--data", "cifar11"], "cifar10"),
        (["compare", "--data", "nowhere.zip"], "nowhere.zip"),
        (["compare", "--image-size", "10"], "32 to 224"),
        (["compre"], "unknown command compre: choose from compare, plan"),
        (["compre"], "see lossbench --help"),
        (["compare", "--data", "~nosuchuser/cats"], "~nosuchuser"),
        (["compare", "--data", "./" + "a" * 300], "use another path"),
        (["compare", "--preset", "photo"], "preset"),
        (["compare", "--preset"], "preset"),
        (["compare", "--name", "evidence"], "--name evidence"),
        (["compare", "--name", "a" * 300], "--name: 300 letters are too many; give at most 200"),
        (["compare", "--validation", "1"], "--validation 1"),
        (["compare", "--device", "cuda", "--data", "pets"], "--device cuda"),
        (["run-one", "runs/x"], "N Number of the run, counted from 0. (required); see lossbench"),
        (["tune", "--rates", "0.1"], "--rates 0.1"),
        (["tune", "--data", "nowhere.zip"], "nowhere.zip"),
        (["tune", "--learning-rate", "1"], "--learning-rate"),
        (["evidence", "zero-wun"], "did you mean 'zero-one'"),
        (["evidence", "--looks", "1"], "name the claims to examine, or all"),
        (["evidence", "zero-one", "--workers", "0"], "--workers 0"),
        (["evidence", "zero-one", "--looks", "0"], "--looks 0"),
        (["report"], "name at least one"),
        (["report", "nowhere"], "nowhere"),
        (["view", "--runs", "nowhere"], "nowhere"),
        (["view", "--runs", ".", "--port", "99999"], "--port 99999"),
        (["catalogue", "--output", "nowhere"], "nowhere"),
        (["article", "--output", "nowhere"], "nowhere"),
        (["article", "--output", ".", "--evidence", "nowhere"], "nowhere"),
    ],
)
@pytest.mark.usefixtures("pictures")
def test_a_mistake_is_one_line_and_exit_code_2(arguments, words: str, monkeypatch, capsys) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("lossbench: ")
    assert words in err
    assert not Path("runs").exists()


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
    results, until = Path("runs/cut/results.csv"), time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        # Two rows a run: five of them are two finished runs.
        if results.exists() and len(results.read_text().splitlines()) >= 5:
            break
        time.sleep(0.01)
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert "interrupted after" in err
    summary = json.loads(Path("runs/cut/summary.json").read_text())
    assert 2 <= summary["finished_runs"] < 12
    assert "zero-one" in out
    (line,) = (line for line in err.splitlines() if "to go on" in line)
    command = line.partition("lossbench compare ")[2].split()
    assert command == ["--resume", "runs/cut"]
    assert cli.main(["compare", *command]) == 0
    assert json.loads(Path("runs/cut/summary.json").read_text())["finished_runs"] == 12


@pytest.mark.usefixtures("pictures")
def test_folders_that_may_be_a_test_set_are_not_trained_on(
    tmp_path: Path, cats_and_dogs, capsys
) -> None:
    cats_and_dogs(tmp_path / "two" / "Lernen")
    cats_and_dogs(tmp_path / "two" / "Unit 2")
    options = ["--data", "two", *SMALL, "--losses", "mse", "--seeds", "1"]
    assert cli.main(["compare", *options, "--name", "pooled"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Lernen (60 images), 'Unit 2' (60 images)" in line
    assert not Path("runs/pooled").exists()
    command = line.partition("for example ")[2].partition(" (")[0]
    assert cli.main(["compare", *options, *shlex.split(command), "--name", "split"]) == 0
    about = json.loads(Path("runs/split/experiment.json").read_text())
    assert about["config"]["split"] == ["train=Lernen", "test=Unit 2"]
    assert [about["data"][f"{split}_counts"] for split in ("train", "validation", "test")] == [
        [27, 27],
        [3, 3],
        [30, 30],
    ]
    assert cli.main(["run-one", "runs/split", "0"]) == 0
    assert cli.main(["compare", "--data", "cifar10", "--split", "test=a", "--name", "none"]) == 2
    assert "cifar10 has splits of its own" in capsys.readouterr().err


@pytest.mark.usefixtures("pictures")
def test_copies_of_images_are_told_and_taken_out_if_asked_for(
    tmp_path: Path, cats_and_dogs, capsys
) -> None:
    train = cats_and_dogs(tmp_path / "twice" / "train", 40)
    for number in range(30, 40):
        for kind in ("cat", "dog"):
            picture = tmp_path / "twice" / "test" / kind / f"{number}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            (train / kind / f"{number}.png").rename(picture)
    shutil.copy(tmp_path / "twice/test/cat/33.png", train / "cat/3.png")
    shutil.copy(train / "dog/5.png", train / "cat/5.png")
    options = ["--data", "twice", *SMALL, "--losses", "mse", "--seeds", "1", "--validation", "0"]
    for flag, code in (("stop", 2), ("keep", 0), ("drop", 0)):
        assert cli.main(["plan", *options, "--name", flag, "--duplicates", flag]) == code
        told = " ".join(capsys.readouterr().err.split())
        leak = "1 training image is a copy of a test image (identical): train/cat/3.png = "
        assert leak + "test/cat/33.png" in told
        assert "2 images have copies with another label" in told
    kept, dropped = (
        json.loads(Path("runs", name, "experiment.json").read_text()) for name in ("keep", "drop")
    )
    assert not Path("runs/stop").exists()
    assert [each["config"]["duplicates"] for each in (kept, dropped)] == ["keep", "drop"]
    assert kept["data"]["train_counts"] == [30, 30]
    assert dropped["data"]["train_counts"] == [29, 28]
    assert dropped["data"]["test_counts"] == [10, 10]
    assert len(dropped["data"]["left_out"]) == len(kept["data"]["warnings"]) - 1 == 2
    assert kept["data"]["fingerprint"] != dropped["data"]["fingerprint"]
    assert cli.main(["run-one", "runs/drop", "0"]) == 0


@pytest.mark.usefixtures("pictures")
def test_any_two_folders_are_classes_if_they_are_named(tmp_path: Path, cats_and_dogs) -> None:
    pets = cats_and_dogs(tmp_path / "named")
    (pets / "cat").rename(pets / "Gatto")
    (pets / "dog").rename(pets / "Wolf")
    options = ["--data", "named", *SMALL, "--losses", "mse", "--seeds", "1", "--name", "named"]
    assert cli.main(["plan", *options]) == 2
    assert cli.main(["plan", *options, "--classes", "cat=gatto,tabby", "wolf"]) == 0
    about = json.loads(Path("runs/named/experiment.json").read_text())
    assert about["config"]["classes"] == ["cat=gatto,tabby", "wolf"]
    assert about["data"]["classes"] == ["wolf", "cat"]
    assert about["data"]["test_counts"] == [6, 6]
    assert cli.main(["run-one", "runs/named", "0"]) == 0


def test_an_experiment_goes_on_with_its_own_settings(pictures: Path, capsys) -> None:
    # The last one has the default value, which may not be the experiment's.
    others = (["--epochs", "3"], ["--preset", "photos"], ["--name=other"], ["--optimizer", "sgd"])
    for flags in others:
        assert cli.main(["compare", "--resume", "runs/cut", *flags]) == 2
        assert "give no other flag" in capsys.readouterr().err
    assert cli.main(["compare", "--resume", str(pictures)]) == 2
    assert "no experiment in" in capsys.readouterr().err


def test_an_experiment_goes_on_anywhere_and_after_its_images_have_moved(
    pictures: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    options = ["--data", "pets", *SMALL, "--losses", "mse", "--seeds", "2", "--name", "moving"]
    assert cli.main(["plan", *options]) == 0
    about = json.loads(Path("runs/moving/experiment.json").read_text())
    assert about["config"]["data"] == str(pictures)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cli.main(["run-one", "../runs/moving", "0"]) == 0
    pictures.rename(tmp_path / "cats")
    capsys.readouterr()
    assert cli.main(["compare", "--resume", "../runs/moving"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"no such file or directory: '{pictures}'" in line
    assert line.endswith("if the images have moved, say where with --data")
    shutil.copytree(tmp_path / "cats" / "cat", tmp_path / "others" / "cat")
    shutil.copytree(tmp_path / "cats" / "cat", tmp_path / "others" / "dog")
    assert cli.main(["compare", "--resume", "../runs/moving", "--data", "../others"]) == 2
    assert "was begun with other images" in capsys.readouterr().err
    assert cli.main(["run-one", "../runs/moving", "1", "--data", "../cats"]) == 0
    assert cli.main(["compare", "--resume=../runs/moving", "--data=../cats"]) == 0
    with Path("../runs/moving/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["images"] for row in rows} == {"pets"}
    assert {row["seed"] for row in rows} == {"0", "1"}
    # The new place is kept.
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run-one", "runs/moving", "1"]) == 0


@pytest.mark.usefixtures("pictures")
def test_a_data_directory_that_is_not_set_any_more_is_named(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    shutil.make_archive(str(tmp_path / "data" / "cifar10-catdog"), "zip", tmp_path / "pets")
    monkeypatch.setenv("LOSSBENCH_DATA", "data")
    assert cli.main(["plan", *SMALL, "--losses", "mse", "--seeds", "1", "--name", "found"]) == 0

    def unavailable(*_: object) -> None:
        raise UnavailableError("there is no network")

    monkeypatch.setattr(cifar, "download", unavailable)
    monkeypatch.delenv("LOSSBENCH_DATA")
    capsys.readouterr()
    assert cli.main(["compare", "--resume", "runs/found"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "there is no network" in line
    assert line.endswith(f"LOSSBENCH_DATA was {tmp_path / 'data'} and is not set now")
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path / "data"))
    assert cli.main(["run-one", "runs/found", "0"]) == 0


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
    sentence = json.loads((reference / "evidence/zero-one/claim.json").read_text())["sentence"]
    assert f"  holds, proved and checked. {sentence}\n" in capsys.readouterr().out


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
