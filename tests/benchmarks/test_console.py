import fcntl
import io
import math
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterable

import pytest
from rich.console import Console

from lossbench.benchmarks.console import REFRESHES, LossTable, Reporter

TEN = [f"loss-{i}" for i in range(10)]
MANY = [f"sigmoid-generalized-cross-entropy-{i}" for i in range(49)]


def runs_of(losses: Iterable[str], seeds: Iterable[int]) -> list[tuple[str, int]]:
    return [(loss, seed) for seed in seeds for loss in losses]


def terminal(width: int = 80, height: int = 24) -> tuple[Reporter, io.StringIO]:
    screen = io.StringIO()
    console = Console(
        file=screen, force_terminal=True, width=width, height=height, color_system="256"
    )
    return Reporter(console), screen


def lines_of(reporter: Reporter) -> list[str]:
    """What the terminal shows now, the text alone."""
    lines = reporter.console.render_lines(reporter.screen.get_renderable(), pad=False)
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


def test_a_pipe_gets_plain_lines_and_no_bar(capsys) -> None:
    with Reporter() as reporter:
        reporter.say("[bold] stays as it is")
        reporter.bar(1, 2, "run 1")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "[bold] stays as it is\n"


def test_a_pipe_gets_a_line_a_finished_run(capsys, monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    names = ["mse", "cross-entropy"]
    with Reporter() as reporter, reporter.table(runs_of(names, range(15))) as table:
        table.update("mse", 0, 0.5, accuracy=0.7, gradient=1.0)
        table.finished("mse", 0, 0.746, 1.34)
        table.finished("cross-entropy", 14, math.nan, 12)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "  1/30  mse            seed 0  test accuracy 74.60%    1.3 s",
        "  2/30  cross-entropy  seed 14  test accuracy diverged   12.0 s",
    ]


def test_a_network_that_has_diverged_counts_as_chance() -> None:
    reporter, screen = terminal()
    with reporter, reporter.table(runs_of(["mse"], range(2)), chance=0.5) as table:
        table.finished("mse", 0, 0.7, 1)
        table.finished("mse", 1, math.nan, 1)
        reporter.screen.refresh()
    assert "test 60.0 %" in screen.getvalue()


def test_a_terminal_gets_a_bar_with_what_is_being_done() -> None:
    reporter, screen = terminal()
    with reporter:
        reporter.bar(1, 4, "run 2 [x]")
        reporter.say("[bold] a long line that stays whole " + "x" * 120)
        reporter.screen.refresh()
    text = screen.getvalue()
    assert "25%" in text
    assert "run 2 [x]" in text
    assert "[bold] a long line that stays whole " + "x" * 120 in text


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    reporter, screen = terminal()
    with reporter, reporter.table(runs_of(TEN, range(1))) as table:
        table.finished("loss-0", 0, 0.5, 1.0)
    assert screen.getvalue() == "  1/10  loss-0  seed 0  test accuracy 50.00%    1.0 s\n"


@pytest.mark.parametrize("no_color", [True, False])
def test_no_color_is_respected(monkeypatch, no_color: bool) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    reporter, screen = terminal()
    with reporter, reporter.table(runs_of(TEN, range(2))) as table:
        table.update("loss-0", 0, 0.5, 0.5, 0.1)
        reporter.screen.refresh()
    colours = re.findall(r"\x1b\[(?:\d+;)*[34][0-9][;m]", screen.getvalue())
    assert bool(colours) != no_color


def test_a_second_piece_of_work_begins_a_new_bar() -> None:
    reporter, _ = terminal()
    reporter.bar(900, 1000, "decoding images")
    reporter.bar(0.5, 30, "run 1")
    (task,) = reporter.work.tasks
    assert (task.completed, task.total, task.description) == (0.5, 30, "run 1")


def test_a_row_says_what_was_told_of_its_loss() -> None:
    reporter, _ = terminal()
    with reporter.table(runs_of(["mse", "nll"], range(3))) as table:
        table.update("mse", 0, 0.01)
        assert lines_of(reporter)[1].endswith(" mse  0/3  training    –  test    – %  |dL/dz| –")
        table.update("mse", 0, 0.25, accuracy=0.6123, gradient=1.234e-5)
        table.update("mse", 0, 0.50)
        assert lines_of(reporter)[1].endswith(
            " mse  0/3  training 61.2  test    – %  |dL/dz| 1.2e-5"
        )
        table.finished("mse", 0, 0.70, 1.0)
        table.finished("mse", 1, 0.80, 1.0)
        table.finished("mse", 2, math.nan, 1.0)
        table.update("mse", 2, 1.0, accuracy=math.nan, gradient=math.inf)
        assert lines_of(reporter)[1].endswith(" mse  3/3  training  nan  test 75.0 %  |dL/dz| inf")
        assert lines_of(reporter)[0].endswith("3 of 6 runs finished")
        assert len(lines_of(reporter)) == 2  # nll has not begun
    assert lines_of(reporter) == []


def test_the_bar_above_is_the_share_of_all_work() -> None:
    reporter, _ = terminal()
    with reporter.table(runs_of(TEN, [4, 7])) as table:
        table.finished("loss-3", 7, 0.5, 1.0)
        table.update("loss-4", 4, 0.5)
        (task,) = reporter.work.tasks
        assert (task.completed, task.total) == (1.5, 20)
        assert table.finished_runs == 1


@pytest.mark.parametrize("losses", [TEN, MANY], ids=["10", "49"])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (40, 12), (80, 5)])
def test_it_fits_into_the_terminal(losses, width: int, height: int) -> None:
    reporter, _ = terminal(width, height)
    with reporter.table(runs_of(losses, range(3))) as table:
        for loss in losses:
            table.update(loss, 0, 0.5, accuracy=0.5, gradient=1e-12)
            lines = lines_of(reporter)
            assert len(lines) < height
            assert max(map(len, lines)) <= width
            # The one at work is there whatever else has to go.
            assert any(loss[:30] in line for line in lines)
            table.finished(loss, 0, 0.5, 1.0)


def test_rows_are_those_of_the_losses_that_were_updated_last_in_their_order() -> None:
    reporter, _ = terminal()
    with reporter.table(runs_of(MANY, range(1))) as table:
        table.update(MANY[48], 0, 0.1)
        for loss in MANY[:30]:
            table.finished(loss, 0, 0.5, 1.0)
        table.update(MANY[8], 0, 1.0)
        table.update(MANY[2], 0, 1.0)
        shown = [task.description.strip() for task in reporter.losses.tasks if task.visible]
        assert shown == [MANY[2], MANY[8], *MANY[10:30]]


def test_telling_costs_no_drawing(monkeypatch) -> None:
    reporter, _ = terminal()
    drawn = []
    draw = reporter.losses.get_renderable
    monkeypatch.setattr(reporter.losses, "get_renderable", lambda: drawn.append(1) or draw())
    with reporter, reporter.table(runs_of(MANY, range(3))) as table:
        began = time.perf_counter()
        for step in range(2000):
            table.update(MANY[step % 49], 0, 0.5, 0.5, 0.5)
        seconds = time.perf_counter() - began
    assert 0 < len(drawn) <= seconds * REFRESHES + 3
    assert seconds < 2


FAKE = """
import time
from lossbench.benchmarks.console import Reporter
names = [f"loss-{i}" for i in range(49)]
with Reporter() as reporter, reporter.table((name, 0) for name in names) as table:
    for step in range(49):
        table.update(names[step], 0, 0.5, accuracy=0.5, gradient=0.5)
        time.sleep(0.02)
        table.finished(names[step], 0, 0.5, 0.1)
    reporter.say("the end")
"""


def test_in_a_real_terminal_it_stays_in_its_place() -> None:
    main, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    program = [sys.executable, "-c", FAKE]
    child = subprocess.Popen(program, stderr=end, env={**env, "TERM": "xterm-256color"})
    os.close(end)
    said = b""
    try:
        while chunk := os.read(main, 65536):
            said += chunk
    except OSError:  # Linux's way of saying that the other end is closed
        pass
    assert child.wait() == 0
    rows, lowest, row = 0, 0, 0
    # The cursor's line, followed: down by \n, up by CSI n A.
    for move in re.findall(r"\n|\x1b\[(\d+)A", said.decode()):
        row = row - int(move) if move else row + 1
        rows, lowest = max(rows, row), min(lowest, row)
    assert lowest >= 0
    assert rows <= 24 + 1  # and the line that stays
    assert "the end" in said.decode()
    assert row <= 1


def test_it_needs_no_torch() -> None:
    program = "import sys, lossbench.benchmarks.console; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_a_loss_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        LossTable(terminal()[0], runs_of(TEN, [0]), 0.5).update("another", 0, 0.5)
