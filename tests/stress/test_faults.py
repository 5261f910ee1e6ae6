"""A sample of the operations on the disk that fail in `tests.stress.faults`."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from .disk import Disk
from .faults import SCENARIOS, Trial, sample

pytestmark = pytest.mark.slow

CASES = {
    "compare": 12,
    "plan": 4,
    "tune": 3,
    "evidence": 3,
    "cache": 4,
    "download": 4,
    "kernels": 4,
}


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trial]:
    place = tmp_path_factory.mktemp("faults")
    return cache(lambda name: Trial(place, name))


@pytest.mark.parametrize(
    ("name", "part"), [(name, k) for name, count in CASES.items() for k in range(count)]
)
def test_nothing_is_lost(trial: Callable[[str], Trial], name: str, part: int) -> None:
    cases = sample(trial(name).operations)
    outcome = trial(name).try_case(cases[part * len(cases) // CASES[name]])
    assert outcome.lost is None, outcome
    assert outcome.ended in ("finished", "one line", "killed")


def test_every_scenario_has_a_sample() -> None:
    assert set(CASES) == set(SCENARIOS)


def test_a_disk_fails_where_it_is_told(tmp_path: Path) -> None:
    disk = Disk(tmp_path, 1, "ENOSPC")
    disk.run("open", tmp_path / "a", lambda: None, lambda: None)
    half: list[int] = []
    with pytest.raises(OSError, match="No space left"):
        disk.run("write", tmp_path / "a", lambda: half.append(2), lambda: half.append(1))
    disk.run("write", tmp_path.parent / "outside", lambda: half.append(3), lambda: None)
    assert half == [1, 3]
    assert [each.kind for each in disk.operations] == ["open", "write"]
