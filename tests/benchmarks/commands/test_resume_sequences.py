"""Any sequence of interruptions, resumptions and mistakes ends in the same result."""

import dataclasses
import io
import json
import tempfile
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossbench.benchmarks.commands import compare as comparison
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.results import gather_tables
from lossbench.benchmarks.training import checkpoint, checks
from lossbench.benchmarks.training.executors.local import run_locally
from lossbench.benchmarks.training.recorder import Recorder

from ..comparisons import compare, resume
from ..rows import assert_same_weights, equal_but_for_time
from ..trained_runs import small_comparison

pytestmark = pytest.mark.slow

INTERRUPTED = st.tuples(st.just("interrupted"), st.integers(1, 14))
"""By the logging interval of that number."""
STEPS = st.one_of(
    INTERRUPTED,
    st.tuples(st.just("side by side"), st.integers(2, 4)),
    st.tuples(st.just("cores"), st.sampled_from([2, 64])),
    st.tuples(st.just("gone"), st.integers(1, 14)),
    st.tuples(st.sampled_from(["other images", "other version", "old checkpoint"]), st.none()),
)


class GoneError(BaseException):
    """Ends the process at once."""


def stopping(patch, number: int, how: type[BaseException] | None) -> None:
    """Stop with the logging interval of a number: by a signal (None), or at once."""
    left, real = iter(range(number - 1, -1, -1)), Recorder.on_gradient_stats

    def on_gradient_stats(this, trainer, stats) -> None:
        if next(left, None) == 0:
            if how is not None:
                raise how
            patch.setattr(this.monitor, "should_stop", lambda: True)
        real(this, trainer, stats)

    patch.setattr(Recorder, "on_gradient_stats", on_gradient_stats)


@pytest.fixture(scope="module")
def patched(module_images):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "open_images", lambda *_, **__: module_images)
        patch.setattr(
            comparison, "write_results", lambda p, _: gather_tables(p.directory, p.run_directories)
        )
        yield patch


@pytest.fixture(scope="module")
def complete(tmp_path_factory, patched):
    """Directory of a comparison that was never interrupted."""
    assert patched
    return compare(begun(tmp_path_factory.mktemp("complete")), "", Reporter()).directory


def begun(place: Path):
    """Settings of a comparison that saves every step."""
    return dataclasses.replace(small_comparison(place), log_every=1, checkpoint_every=0.0)


def files(directory: Path) -> dict[Path, bytes]:
    """Return the content of all files but locks and the description, which dates resumptions."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return {
        path: path.read_bytes() for path in found if path.name not in (".lock", "experiment.json")
    }


def refused(directory: Path, *words: str) -> None:
    before = files(directory)
    with pytest.raises(UserError) as caught:
        resume(directory, "", Reporter())
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words)
    assert files(directory) == before


def take(step: str, number, directory: Path, images, patch) -> None:
    """Take one step of a sequence."""
    about = directory / "experiment.json"
    if step in ("interrupted", "gone"):
        stopping(patch, number, GoneError if step == "gone" else None)
        try:
            resume(directory, "", Reporter())
        except GoneError:
            assert step == "gone"
    elif step == "side by side":
        resume(directory, "", Reporter(), partial(run_locally, limit=number))
    elif step == "cores":
        patch.setattr("lossbench.benchmarks.training.plan.cpu_count", lambda: number)
        resume(directory, "", Reporter())
    elif step == "other images":
        other = dataclasses.replace(images, fingerprint="0" * 64)
        patch.setattr(checks, "open_images", lambda *_, **__: other)
        refused(directory, "other images", "restore them")
    elif step == "other version":
        text = about.read_text()
        described = json.loads(text)
        described["config"]["criterion"] = "mse"
        about.write_text(json.dumps(described))
        refused(directory, "another version of lossbench wrote it", "criterion")
        about.write_text(text)
    else:
        for path in directory.rglob(checkpoint.CHECKPOINT_FILE):
            saved = torch.load(io.BytesIO(path.read_bytes()[32:]), weights_only=True)
            with patch.context() as older:
                older.setattr(checkpoint, "FORMAT", checkpoint.FORMAT - 1)
                checkpoint.save(path, saved["run"], saved["state"])


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(begin=INTERRUPTED, steps=st.lists(STEPS, max_size=4))
def test_any_sequence_ends_in_the_same_result(begin, steps, complete, module_images) -> None:
    with tempfile.TemporaryDirectory() as place:
        with pytest.MonkeyPatch.context() as patch:
            stopping(patch, begin[1], None)
            directory = compare(begun(Path(place)), "", Reporter()).directory
        for step, number in steps:
            with pytest.MonkeyPatch.context() as patch:
                take(step, number, directory, module_images, patch)
        status = resume(directory, "", Reporter())
        assert (status.finished, status.failed) == (4, [])
        equal_but_for_time(complete, directory)
        assert_same_weights(complete, directory)
