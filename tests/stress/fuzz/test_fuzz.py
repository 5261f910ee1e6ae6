"""A short run of every target, and what happens when one breaks."""

from pathlib import Path

import pytest

from . import running
from .running import ask, run
from .targets import TARGETS, Target


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_documented_errors(name: str, tmp_path: Path) -> None:
    inputs = 60 if name == "command" else 300  # of which each takes as long as a hundred others
    tally = run(name, TARGETS[name], inputs, 0, tmp_path, progress=False)
    assert tally.broken is None, tally.line(name)
    assert tally.inputs == tally.accepted + tally.refused == inputs
    # Neither all valid nor all nonsense: both would test nothing.
    assert tally.accepted > 3
    assert tally.refused > 3


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_valid(name: str, tmp_path: Path) -> None:
    for seed in TARGETS[name].seeds():
        assert ask(TARGETS[name], seed, tmp_path)


def test_an_error_that_is_not_documented_ends_it_and_its_input_is_kept(
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


def test_an_input_that_hangs_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SLOWEST", 1)

    def read(_: bytes, __: Path) -> None:
        while True:
            try:
                pass
            except Exception:
                continue

    assert run("made-up", Target(lambda: [b""], read, ()), 5, 0, tmp_path, False).inputs == 1
