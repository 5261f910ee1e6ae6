import dataclasses
import hashlib
import io
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from lossbench.benchmarks.config import RunConfig
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
from lossbench.benchmarks.training.train import Callback, Trainer, fit, train

from ..trained_runs import SMALL

CPU = torch.device("cpu")
CONFIG = dataclasses.replace(
    SMALL, seed=3, learning_rate=0.05, epochs=3, evaluations=2, test=True, record_examples=True
)


class Interrupt(Callback):
    """Saves a checkpoint after `step` steps and interrupts the run."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_step_end(self, trainer) -> None:
        if trainer.global_step == self.step:
            save(self.path, "key", trainer.state_dict())
            raise InterruptedError


def interrupted(config: RunConfig, images, step: int, path: Path, log_every: int | None = None):
    """Interrupt a run after a step; return its checkpoint."""
    with pytest.raises(InterruptedError):
        train(config, prepare(images, CPU, validation=0.25), [Interrupt(step, path)], log_every)
    torch.manual_seed(99)
    return load(path, "key")


@pytest.mark.parametrize(
    ("loss", "log_every"), [("cross-entropy", None), ("bce-with-logits", 1), ("zero-one", 5)]
)
@pytest.mark.parametrize("step", [1, 6, 11, 12])
def test_a_resumed_run_is_bit_equal(images, tmp_path, loss, step, log_every) -> None:
    config = dataclasses.replace(CONFIG, loss=loss)
    complete = Trainer(config, prepare(images, CPU, validation=0.25), (), log_every)
    expected = fit(complete)
    state = interrupted(config, images, step, tmp_path / "state", log_every)
    resumed = Trainer(config, prepare(images, CPU, validation=0.25), (), log_every, state)
    assert resumed.global_step == step
    result = fit(resumed)
    for name, weights in complete.model.state_dict().items():
        assert torch.equal(weights, resumed.model.state_dict()[name]), name
    for one, two in zip(expected.evaluations, result.evaluations, strict=True):
        # As text, because NaN is not equal to itself.
        assert repr(dataclasses.replace(one, seconds=0.0)) == repr(
            dataclasses.replace(two, seconds=0.0)
        )
    assert state["seconds"] < result.seconds
    assert (expected.parameter_distance, expected.test_loss) == (
        result.parameter_distance,
        result.test_loss,
    )
    assert np.array_equal(expected.test.outputs, result.test.outputs)
    assert np.array_equal(expected.examples, result.examples)


class Counting(torch.optim.Optimizer):
    """Optimizer that keeps a number in its group: the rate falls by a tenth with every step."""

    def __init__(self, params, lr: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": 0.0, "scale": 1.0})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            group["scale"] *= 0.9
            for parameter in group["params"]:
                parameter -= group["lr"] * group["scale"] * parameter.grad


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        ("adam", "one-cycle"),
        ("adamw(amsgrad=True)", "cosine"),
        ("sgd(momentum=0.5)", "constant"),
        ("torch.optim:NAdam", "cosine"),
        (f"{__name__}:Counting", "constant"),
    ],
)
def test_optimizer_and_schedule_are_resumed(images, tmp_path, optimizer, schedule) -> None:
    config = dataclasses.replace(
        CONFIG, optimizer=optimizer, schedule=schedule, weight_decay=0.01, record_examples=False
    )
    complete = Trainer(config, prepare(images, CPU, validation=0.25))
    fit(complete)
    state = interrupted(config, images, 5, tmp_path / "state")
    resumed = Trainer(config, prepare(images, CPU, validation=0.25), state=state)
    fit(resumed)
    for name, weights in complete.model.state_dict().items():
        assert torch.equal(weights, resumed.model.state_dict()[name]), name


class Noisy(torch.nn.Module):
    """Model that draws random numbers in training."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)
        self.head = torch.nn.Linear(3 * 32 * 32, num_outputs)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(input.flatten(1)))


def test_random_numbers_drawn_in_training_are_resumed(images, tmp_path) -> None:
    # A low rate leaves a gradient after the interruption.
    config = dataclasses.replace(CONFIG, model=f"{__name__}:Noisy", width=None, learning_rate=1e-4)
    complete = Trainer(config, prepare(images, CPU, validation=0.25))
    fit(complete)
    state = interrupted(config, images, 5, tmp_path / "state")
    resumed = Trainer(config, prepare(images, CPU, validation=0.25), state=state)
    fit(resumed)
    assert torch.equal(complete.model.head.weight, resumed.model.head.weight)


def test_a_damaged_checkpoint_or_that_of_another_run_is_refused(tmp_path) -> None:
    path = tmp_path / "state"
    assert load(path, "key") is None
    save(path, "key", {"weights": torch.arange(5.0), "done": 3})
    content = path.read_bytes()
    found = load(path, "key")
    assert found["done"] == 3
    assert torch.equal(found["weights"], torch.arange(5.0))
    with pytest.raises(CheckpointError, match="another run"):
        load(path, "other")
    for cut in (0, 1, 31, 32, 33, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(CheckpointError, match="damaged"):
            load(path, "key")
    for at in random.Random(0).sample(range(len(content)), 50):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(CheckpointError, match="damaged"):
            load(path, "key")


def test_a_checkpoint_runs_no_code(tmp_path) -> None:
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


def test_growing_files_are_cut_back_to_their_lengths(tmp_path) -> None:
    (tmp_path / "results.csv").write_text("one\n")
    (tmp_path / "checkpoint.pt").write_text("written once")
    with EventFile(tmp_path) as events:
        events.write(0, scalar_values({"a": 1.0}))
    lengths = sync_files(tmp_path)
    assert set(lengths) == {"results.csv", event_files(tmp_path)[0].name}
    (tmp_path / "results.csv").open("a").write("two\nthr")
    (tmp_path / "warnings.csv").write_text("later")
    event_files(tmp_path)[0].open("ab").write(b"torn")
    EventFile(tmp_path).close()
    assert len(event_files(tmp_path)) == 2
    roll_back(tmp_path, lengths)
    assert sync_files(tmp_path) == lengths
    assert (tmp_path / "results.csv").read_text() == "one\n"
    (tmp_path / "results.csv").write_text("o")
    with pytest.raises(CheckpointError, match=r"results\.csv is shorter"):
        roll_back(tmp_path, lengths)
    (tmp_path / "results.csv").unlink()
    with pytest.raises(CheckpointError, match=r"results\.csv is missing"):
        roll_back(tmp_path, lengths)
    roll_back(tmp_path, {})
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt"}
