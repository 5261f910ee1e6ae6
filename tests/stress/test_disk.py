"""Disks that fill up, and directories that become read-only."""

import dataclasses
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from lossbench.benchmarks.console import Reporter
from tests.benchmarks.comparisons import compare, resume

from ..benchmarks.conftest import config, image_set, images, refusal  # noqa: F401
from ..benchmarks.rows import equal_but_for_time
from . import killed

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path: Path):
    """Mount a small file system; `disk(options)` mounts it again with others."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options: str) -> Path:
        subprocess.run(["mount", *options], check=True, capture_output=True)
        return place

    try:
        mount("-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a file system")
    yield lambda options: mount("-o", f"remount,{options}", str(place))
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_one_line_and_loses_nothing(config, disk, refusal) -> None:  # noqa: F811
    complete = compare(config, "", Reporter()).directory
    place = disk("size=400k")
    small = dataclasses.replace(config, runs=place, checkpoint_every=0.0)
    (place / "ballast").write_bytes(bytes(300 * 1024))
    refusal(lambda: compare(small, "", Reporter()), "No space left", "--resume")
    (place / "ballast").unlink()
    disk("size=20m")
    status = resume(place / "SYNTHETIC-small", "", Reporter())
    assert status.finished == 4
    equal_but_for_time(complete, status.directory)


def test_a_read_only_directory_is_one_line_and_loses_nothing(config, images) -> None:  # noqa: F811
    complete = compare(config, "", Reporter()).directory
    # Not in tmp_path, which only its owner can enter.
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        own = dataclasses.replace(config, runs=Path(place) / "runs", checkpoint_every=0.0)
        directory, said = own.runs / "SYNTHETIC-small", Path(place) / "said"
        process = killed.protected(own, images, directory, said)
        process.join()
        assert process.exitcode == 0
        text = said.read_text()
        assert "Permission denied" in text
        assert f"--resume {directory}" in text
        for path in (directory, *directory.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        assert resume(directory, "", Reporter()).finished == 4
        equal_but_for_time(complete, directory)
