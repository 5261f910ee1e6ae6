"""A sample of the moments at which the power goes away in `tests.stress.power`."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from .power import ROOT, Case, Data, Event, Names, Outage, Promise, Sync, all_cases, broken, build
from .scenarios import SCENARIOS

CASES = {
    "compare": 4,
    "plan": 2,
    "tune": 1,
    "evidence": 1,
    "cache": 2,
    "download": 2,
    "kernels": 2,
}


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outage]:
    place = tmp_path_factory.mktemp("power")
    return cache(lambda name: Outage(place, name))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "part"), [(name, k) for name, count in CASES.items() for k in range(count)]
)
def test_nothing_is_lost(outage: Callable[[str], Outage], name: str, part: int) -> None:
    found = outage(name)
    assert sum(isinstance(event, Promise) for event in found.events) >= 1
    # The first are just after a promise, the others anywhere.
    case = all_cases(found.events)[part * 7]
    assert found.try_case(case) is None, case


def test_every_scenario_has_a_sample() -> None:
    assert set(CASES) == set(SCENARIOS)


WRITTEN: list[Event] = [
    Names(((ROOT, "scratch", "file 1"),)),
    Data("file 1", b"new", 0),
    Sync("file 1"),
    Names(((ROOT, "scratch", None), (ROOT, "result", "file 1"))),
    Sync(ROOT),
    Promise({"result": b"new"}),
]
"""A file that is written under another name, synced, renamed, and whose directory is synced."""


@pytest.mark.parametrize("without", [None, 1, 2, 3, 4])
def test_each_step_of_an_atomic_write_is_needed(tmp_path: Path, without: int | None) -> None:
    events = [event for number, event in enumerate(WRITTEN) if number != without]
    choices = ("nothing", "names", "contents", *map(str, range(20)))
    lost = set()
    for choice in choices:
        case, place = Case(len(events), choice), tmp_path / choice
        build(events, case, place)
        lost.add(broken(events, case.moment, place))
    assert (lost == {None}) == (without is None)


def test_before_it_is_renamed_the_old_file_survives(tmp_path: Path) -> None:
    before = [Data("file 0", b"old", 0), Names(((ROOT, "result", "file 0"),))]
    events: list[Event] = [*before, Sync("file 0"), Sync(ROOT), *WRITTEN]
    for moment in range(4, len(events) + 1):
        for choice in range(20):
            place = tmp_path / f"{moment}-{choice}"
            build(events, Case(moment, str(choice)), place)
            assert (place / "result").read_bytes() in (b"old", b"new")
