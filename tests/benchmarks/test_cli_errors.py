"""A box of tyro's becomes one line, whatever it is drawn with."""

import pytest

from lossbench.benchmarks.cli_errors import one_line_error

LINES = """\
╭─ Value error ──────────────────────────────────────────────────────╮
│ Error parsing --epochs: invalid literal for int() with base 10: 'x' │
│ ────────────────────────────────────────────────────────────────── │
│ Argument helptext:                                                 │
│     --epochs INT                                                   │
│ ────────────────────────────────────────────────────────────────── │
│ For full helptext, see lossbench --help                            │
╰────────────────────────────────────────────────────────────────────╯
"""
HYPHENS = """\
 Value error
 --------------------------------------------------------------------
  Error parsing --epochs: invalid literal for int() with base 10: 'x'
  -------------------------------------------------------------------
  Argument helptext:
      --epochs INT
  -------------------------------------------------------------------
  For full helptext, see lossbench --help
"""


@pytest.mark.parametrize("box", [LINES, HYPHENS, f"\x1b[31m{LINES}\x1b[0m"])
def test_only_what_was_wrong_is_left(box: str) -> None:
    line = "--epochs 'x': give a whole number; see lossbench compare --help"
    assert one_line_error(box, "compare") == line
