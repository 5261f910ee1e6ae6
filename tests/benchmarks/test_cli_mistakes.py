"""Mistakes on the command line: one line that says what to do, and exit code 2."""

from pathlib import Path

import pytest

from lossbench.benchmarks import cli


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
        (["evidence", "--data", "x"], "options: --data x; see lossbench evidence --help"),
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
