"""Comparisons that are killed at random, and resumed until they reach their end."""

import dataclasses
import json
import random
import shutil
import time
from pathlib import Path

import pytest

from lossbench.benchmarks.config import CompareConfig

from ..benchmarks.conftest import image_set, images  # noqa: F401
from ..benchmarks.rows import assert_same_runs
from . import killed

pytestmark = pytest.mark.slow


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


def test_killed_at_random_and_resumed_nothing_is_lost(config, images) -> None:  # noqa: F811
    complete = config.runs / "SYNTHETIC-complete"
    process = killed.start(dataclasses.replace(config, name="complete"), complete, images, None)
    process.join()
    assert process.exitcode == 0
    rng = random.Random(0)
    deaths = 0
    while deaths < 20:
        name = f"broken after {deaths}"
        broken = config.runs / f"SYNTHETIC-{name}"
        deaths += killed_until_finished(dataclasses.replace(config, name=name), broken, images, rng)
        assert_same_runs(complete, broken)
        summaries = [json.loads((d / "summary.json").read_text()) for d in (complete, broken)]
        assert [summary["finished_runs"] for summary in summaries] == [2, 2]
        assert not list(broken.rglob("resume.pt"))
        assert not list(broken.rglob("*.tmp"))


def killed_until_finished(config, directory: Path, images, rng: random.Random) -> int:  # noqa: F811
    """Train in processes that are killed, until one reaches the end; return how many were."""
    for deaths in range(300):
        if deaths % 3:
            # In a file operation: a step has about six of them, the report about a hundred.
            process = killed.start(config, directory, images, rng.randint(1, 25 + 3 * deaths))
        else:
            process = killed.start(config, directory, images, None)
            time.sleep(rng.uniform(0.0, 0.5))
            process.kill()
        process.join()
        if process.exitcode == 0:
            return deaths
        assert process.exitcode == -9, deaths
        if directory.is_dir() and not (directory / "experiment.json").exists():
            shutil.rmtree(directory)  # killed before there was an experiment to resume
    pytest.fail("300 processes did not reach the end")
