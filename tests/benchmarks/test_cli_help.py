"""Help pages: every flag under its topic, in the width of the terminal, in two screens."""

import re

import pytest

from lossbench.benchmarks import cli
from lossbench.benchmarks.cli_help import TOPICS, help_page

COMMANDS = (
    *("compare", "plan", "run-one", "collect", "tune", "evidence"),
    *("report", "view", "speed", "catalogue", "article"),
)
PAGE = """\
usage: x [-h] A [--seeds INT]

What it does.

╭─ positional arguments ─────────────────╮
│ A              A file. (required)      │
╰────────────────────────────────────────╯
╭─ options ──────────────────────────────╮
│ -h, --help     show this help message  │
│ --tuned, --no-tuned                    │
│                Search first.           │
│                Then train. (default: False) │
│ --odd INT      Odd. (default: 3)       │
│ --losses NAME [NAME ...]  Their names. │
╰────────────────────────────────────────╯
"""


def helped(arguments: list[str], monkeypatch, capsys, width: int = 80) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert not end.value.code
    return capsys.readouterr().out


def test_a_page_is_written_anew() -> None:
    assert help_page(PAGE, 40) == (
        "usage: x [-h] A [--seeds INT]\n\nWhat it does.\n\n"
        "positional arguments:\n  A  A file. (required)\n\n"
        "experiment:\n"
        "  --losses NAME [NAME ...]  Their names.\n"
        "  --[no-]tuned  Search first. Then\n      train. (default: False)\n\n"
        "other:\n  --odd INT  Odd. (default: 3)\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_is_under_a_topic(command: str, monkeypatch, capsys) -> None:
    page = helped([command, "--help"], monkeypatch, capsys)
    assert "other:" not in page
    assert max(map(len, page.splitlines())) <= 80
    flags = re.findall(r"^  --(?:\[no-\])?([\w-]+)", page, re.MULTILINE)
    assert len(flags) == len(set(flags)) > 0
    # As many as the command takes: what a long line of tyro's shows.
    monkeypatch.setattr(cli, "help_page", lambda text, _: text)
    plain = helped([command, "--help"], monkeypatch, capsys)
    taken = set(re.findall(r"^│ --(?!no-)([\w-]+)", plain, re.MULTILINE))
    assert set(flags) == taken


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_fits_two_screens_of_fifty_lines(command: str, monkeypatch, capsys) -> None:
    assert len(helped([command, "--help"], monkeypatch, capsys).splitlines()) <= 100


def test_no_word_is_lost_in_a_narrow_terminal(monkeypatch, capsys) -> None:
    narrow, wide = (helped(["compare", "-h"], monkeypatch, capsys, n) for n in (60, 200))
    assert narrow.split() == wide.split()
    assert max(map(len, narrow.splitlines())) <= 60


def test_the_commands_are_listed_with_a_sentence_each(monkeypatch, capsys) -> None:
    page = helped([], monkeypatch, capsys)
    listed = re.findall(r"^  ([\w-]+)  +\S", page, re.MULTILINE)
    assert tuple(listed) == COMMANDS
    assert len(page.splitlines()) < 40
    assert "--version" in page


def test_topics_name_a_flag_once() -> None:
    names = [name for topic in TOPICS.values() for name in topic.split()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("width", [60, 100])
def test_the_usage_breaks_no_word(width: int, monkeypatch, capsys) -> None:
    usage = helped(["--help"], monkeypatch, capsys, width).partition("\n\n")[0]
    assert usage == "usage: lossbench [-h] COMMAND ..."
    long = help_page(PAGE.replace("A [--seeds INT]", "[--seeds INT] " * 4), 30)
    assert long.splitlines()[:3] == [
        "usage: x [-h] [--seeds INT]",
        "      [--seeds INT] [--seeds",
        "      INT] [--seeds INT]",
    ]
