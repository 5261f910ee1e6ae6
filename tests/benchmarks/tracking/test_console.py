import io

from rich.console import Console

from benchmarks.tracking.console import Reporter


def live_reporter() -> tuple[Reporter, io.StringIO]:
    reporter = Reporter()
    screen = io.StringIO()
    reporter.live = True
    reporter.progress.live.console = Console(file=screen, force_terminal=True, width=100)
    reporter.progress.disable = False
    return reporter, screen


def test_a_pipe_gets_plain_lines_and_no_bar(capsys) -> None:
    with Reporter() as reporter:
        reporter.say("[bold] stays as it is")
        reporter.bar(1, 2, "run 1")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "[bold] stays as it is\n"


def test_a_terminal_gets_a_bar_with_what_is_being_done() -> None:
    reporter, screen = live_reporter()
    with reporter:
        reporter.bar(1, 4, "run 2 [x]")
        reporter.say("[bold] a long line that stays whole " + "x" * 120)
        reporter.progress.refresh()
    text = screen.getvalue()
    assert "25%" in text
    assert "run 2 [x]" in text
    assert "[bold] a long line that stays whole " + "x" * 120 in text


def test_a_second_piece_of_work_begins_a_new_bar() -> None:
    reporter, _ = live_reporter()
    reporter.bar(900, 1000, "decoding images")
    reporter.bar(0.5, 30, "run 1")
    (task,) = reporter.progress.tasks
    assert (task.completed, task.total, task.description) == (0.5, 30, "run 1")
