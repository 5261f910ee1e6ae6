"""Images as people have them, through the command line: split, copies, names, moved folders."""

import csv
import json
import shlex
import shutil
from pathlib import Path

import pytest

from lossbench.benchmarks import cli
from lossbench.benchmarks.data import cifar
from lossbench.benchmarks.data.sources import UnavailableError

from .samples import SMALL


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
