import csv
import dataclasses
import json
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.records.events import EventFile, event_files, scalar_values
from lossbench.benchmarks.training import checkpoint as resume
from lossbench.benchmarks.training.checkpoint import (
    CheckpointError,
    load,
    roll_back,
    save,
    sync_files,
)
from lossbench.benchmarks.training.result import RunConfig
from lossbench.benchmarks.training.train import Callback, train

from .. import killed

CPU = torch.device("cpu")
SMALL = RunConfig(
    "cross-entropy",
    seed=3,
    learning_rate=0.05,
    width=4,
    epochs=3,
    batch_size=16,
    evaluations=2,
    validation=0.25,
    test=True,
    pairs=True,
)
TIMED = {"seconds", "images_per_second"}


class Break(Callback):
    """Stops a training after `step` steps, and keeps its state as a file would."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def stepped(self, state) -> None:
        self.step -= 1
        if not self.step:
            save(self.path, "key", state())
            raise InterruptedError


@pytest.mark.parametrize("log_every", [None, 1, 5])
@pytest.mark.parametrize("step", [1, 6, 11, 12])
@pytest.mark.parametrize("loss", ["cross-entropy", "bce-with-logits", "zero-one"])
def test_a_training_that_goes_on_is_bit_equal(images, tmp_path, loss, step, log_every) -> None:
    trial = dataclasses.replace(SMALL, loss=loss)
    whole, network = train(trial, prepare(images, CPU, validation=0.25), None, log_every)
    path = tmp_path / "state"
    with pytest.raises(InterruptedError):
        train(trial, prepare(images, CPU, validation=0.25), Break(step, path), log_every)
    torch.manual_seed(99)
    state = load(path, "key")
    parts, other = train(trial, prepare(images, CPU, validation=0.25), None, log_every, state)
    for (name, one), two in zip(
        network.state_dict().items(), other.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two), name
    for one, two in zip(whole.points, parts.points, strict=True):
        one, two = (np.array(list(vars(p).values())[:-1]) for p in (one, two))
        assert np.array_equal(one, two, equal_nan=True)
    assert (whole.moved, whole.test_loss) == (parts.moved, parts.test_loss)
    assert np.array_equal(whole.test.outputs, parts.test.outputs)
    assert np.array_equal(whole.pairs, parts.pairs)


class Noisy(torch.nn.Module):
    """A model that draws random numbers while it trains."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)
        self.head = torch.nn.Linear(3 * 32 * 32, num_outputs)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(input.flatten(1)))


def test_what_a_model_draws_goes_on_as_well(images, tmp_path) -> None:
    # So low a rate that there is something left to learn, and a gradient, after the break.
    rate = {"learning_rate": 1e-4}
    trial = dataclasses.replace(SMALL, model=f"{__name__}:Noisy", width=None, **rate)
    _, network = train(trial, prepare(images, CPU, validation=0.25))
    with pytest.raises(InterruptedError):
        train(trial, prepare(images, CPU, validation=0.25), Break(5, tmp_path / "state"))
    torch.manual_seed(99)
    state = load(tmp_path / "state", "key")
    _, other = train(trial, prepare(images, CPU, validation=0.25), state=state)
    assert torch.equal(network.head.weight, other.head.weight)


def test_a_state_that_is_torn_or_another_is_found_out(tmp_path) -> None:
    path = tmp_path / "state"
    assert load(path, "key") is None
    save(path, "key", {"weights": torch.arange(5.0), "done": 3})
    content = path.read_bytes()
    found = load(path, "key")
    assert found["done"] == 3
    assert torch.equal(found["weights"], torch.arange(5.0))
    with pytest.raises(CheckpointError, match="another training"):
        load(path, "other")
    for cut in (0, 1, 31, 32, 33, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(CheckpointError, match="torn"):
            load(path, "key")
    for at in random.Random(0).sample(range(len(content)), 50):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(CheckpointError, match="torn"):
            load(path, "key")


def test_a_state_is_never_code(tmp_path) -> None:
    import hashlib
    import io

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    buffer = io.BytesIO()
    torch.save({"format": resume.FORMAT, "run": "key", "state": Evil()}, buffer)
    content = buffer.getvalue()
    (tmp_path / "state").write_bytes(hashlib.sha256(content).digest() + content)
    with pytest.raises(CheckpointError):
        load(tmp_path / "state", "key")
    assert not (tmp_path / "ran").exists()


def test_files_are_taken_back_to_what_was_known(tmp_path) -> None:
    (tmp_path / "results.csv").write_text("one\n")
    (tmp_path / "checkpoint.pt").write_text("does not grow")
    with EventFile(tmp_path) as events:
        events.write(0, scalar_values({"a": 1.0}))
    known = sync_files(tmp_path)
    assert set(known) == {"results.csv", event_files(tmp_path)[0].name}
    (tmp_path / "results.csv").open("a").write("two\nthr")
    (tmp_path / "warnings.csv").write_text("later")
    event_files(tmp_path)[0].open("ab").write(b"torn")
    EventFile(tmp_path).close()
    assert len(event_files(tmp_path)) == 2
    roll_back(tmp_path, known)
    assert sync_files(tmp_path) == known
    assert (tmp_path / "results.csv").read_text() == "one\n"
    (tmp_path / "results.csv").write_text("o")
    with pytest.raises(CheckpointError, match=r"results\.csv has lost its end"):
        roll_back(tmp_path, known)
    (tmp_path / "results.csv").unlink()
    with pytest.raises(CheckpointError, match=r"results\.csv is gone"):
        roll_back(tmp_path, known)
    roll_back(tmp_path, {})
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt"}


@pytest.fixture
def config(tmp_path: Path) -> CompareConfig:
    return CompareConfig(
        losses=("cross-entropy", "zero-one"),
        width=4,
        epochs=3,
        batch_size=16,
        learning_rate=0.05,
        evaluations=2,
        seeds=1,
        log_every=2,
        device="cpu",
        checkpoint_every=0.0,
        runs=tmp_path / "runs",
        name="small",
    )


def same(one: Path, two: Path) -> None:
    """Two experiments have the same rows, weights, predictions and events."""
    for name in ("results.csv", "warnings.csv"):
        first, second = ([*csv.DictReader((d / name).open())] for d in (one, two))
        assert len(first) == len(second) > 0
        for a, b in zip(first, second, strict=True):
            assert {**a, **dict.fromkeys(TIMED)} == {**b, **dict.fromkeys(TIMED)}
    runs = sorted(path.parent.relative_to(one) for path in one.rglob("seed*/config.json"))
    assert len(runs) == 2
    for run in runs:
        first, second = (
            torch.load(d / run / "checkpoint.pt", weights_only=True) for d in (one, two)
        )
        for name, weight in first["model"].items():
            assert torch.equal(weight, second["model"][name]), (run, name)
        with (
            np.load(one / run / "predictions.npz") as a,
            np.load(two / run / "predictions.npz") as b,
        ):
            assert all(np.array_equal(a[name], b[name]) for name in a)
        first, second = (scalars(d / run) for d in (one, two))
        assert first == second
        assert all(len(set(map(str, steps))) == len(steps) for steps in first.values())


def scalars(run: Path) -> dict[str, list]:
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    found = {
        tag: [(e.step, e.value) for e in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if not tag.startswith("speed")
    }
    for tag in events.Tags()["tensors"]:
        found[tag] = [(e.step, e.tensor_proto.string_val[0]) for e in events.Tensors(tag)]
    return found


def test_killed_at_random_and_resumed_nothing_is_lost(config, images) -> None:
    whole = config.runs / "SYNTHETIC-whole"
    process = killed.start(dataclasses.replace(config, name="whole"), whole, images, None)
    process.join()
    assert process.exitcode == 0
    random_ = random.Random(0)
    deaths = 0
    while deaths < 20:
        name = f"broken after {deaths}"
        broken = config.runs / f"SYNTHETIC-{name}"
        deaths += killed_until_finished(
            dataclasses.replace(config, name=name), broken, images, random_
        )
        same(whole, broken)
        summaries = [json.loads((d / "summary.json").read_text()) for d in (whole, broken)]
        assert [summary["finished_runs"] for summary in summaries] == [2, 2]
        assert not list(broken.rglob("resume.pt"))
        assert not list(broken.rglob("*.tmp"))


def killed_until_finished(config, directory: Path, images, random_: random.Random) -> int:
    """Train a comparison in processes that are killed, until one reaches the end; how many were."""
    for deaths in range(300):
        if deaths % 3:
            # In an operation: a step has about six of them, the report some hundred.
            number = random_.randint(1, 25 + 3 * deaths)
            process = killed.start(config, directory, images, number)
        else:
            process = killed.start(config, directory, images, None)
            time.sleep(random_.uniform(0.0, 0.5))
            process.kill()
        process.join()
        if process.exitcode == 0:
            return deaths
        assert process.exitcode == -9, deaths
        if directory.is_dir() and not (directory / "experiment.json").exists():
            shutil.rmtree(directory)  # killed before it was anything, as its message says
    pytest.fail("300 processes did not reach the end")
