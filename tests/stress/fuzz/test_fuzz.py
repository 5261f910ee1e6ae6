"""A short run of every target, and the runner itself."""

from pathlib import Path

import pytest

from . import runner
from .runner import accepts, run
from .targets import TARGETS, Target

INPUTS = {"command": 20, "experiment": 100, "names": 100}
"""Inputs per target in the fast tests; each of these targets is slow."""


@pytest.mark.parametrize("name", TARGETS)
def test_only_documented_errors(name: str, tmp_path: Path) -> None:
    inputs = INPUTS.get(name, 300)
    tally = run(name, TARGETS[name], inputs, 0, tmp_path, progress=False)
    assert tally.broken is None, tally.line(name)
    assert tally.inputs == tally.accepted + tally.refused == inputs
    # All valid or all nonsense would test nothing.
    assert tally.accepted > 3
    assert tally.refused > 3


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_only_documented_errors_of_more_inputs(name: str, tmp_path: Path) -> None:
    inputs = 10 * INPUTS.get(name, 300)
    assert run(name, TARGETS[name], inputs, 1, tmp_path, progress=False).broken is None


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_valid(name: str, tmp_path: Path) -> None:
    for seed in TARGETS[name].seeds():
        assert accepts(TARGETS[name], seed, tmp_path)


def test_an_undocumented_error_stops_and_keeps_its_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(data: bytes, _: Path) -> None:
        if b"!" in data:
            raise ZeroDivisionError
        if b"?" in data:
            raise KeyError

    target = Target(lambda: [b"a", b"?"], read, (KeyError,), (b"!",))
    tally = run("made-up", target, 10_000, 0, tmp_path, progress=False)
    assert tally.broken is not None
    assert tally.broken.parent == tmp_path
    assert b"!" in tally.broken.read_bytes()
    assert tally.inputs == tally.accepted + tally.refused + 1 < 10_000
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert run("made-up", target, tally.inputs, 0, tmp_path, progress=False).broken == tally.broken


def test_an_input_that_hangs_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "TIMEOUT", 1)

    def read(_: bytes, __: Path) -> None:
        while True:
            try:
                pass
            except Exception:
                continue

    assert run("made-up", Target(lambda: [b""], read, ()), 5, 0, tmp_path, False).inputs == 1
