"""Error messages of tyro in one line.

tyro has no public way to learn what was wrong: it prints a box and exits, or exits in silence. (Its
hook `tyro._errors.on_parse_error` is private and may change in any release.)
"""

import re

# In this order: the help of one argument is left out, and words for Python programmers replaced.
REWORDED = (
    (r"Argument helptext:.*?(?=For full helptext)", ""),
    (r"\.? *For full helptext, (?:see|run:?) ", "; see "),
    # Of a number that may be left out, tyro says so of each type that it tried.
    (r"(Error parsing \S+: )no type matching .*?(invalid literal|could not convert)", r"\1\2"),
    (
        r"Error parsing (\S+): invalid literal for int\(\).*?: (.*?);",
        r"\1 \2: give a whole number;",
    ),
    (r"Error parsing (\S+): could not convert string to float: (.*?);", r"\1 \2: give a number;"),
    (
        r"Error parsing (\S+): no type matching .*?FLOAT.*? instantiated from \[(.*?)\]\..*?;",
        r"\1 \2: give numbers;",
    ),
    (r"Unrecognized options: (.*?) Available subcommands:", r"unknown command \1: choose from"),
    # A flag of other commands, whose --help tyro quotes.
    (r" \(applied to lossbench[^)]*\)", ""),
    (
        r"Unrecognized or misplaced options: (.*?) Arguments are applied .*;",
        r"Unrecognized options: \1;",
    ),
    (r"(Unrecognized options: .*?) Perhaps you meant: (\S+).*;", r"\1: did you mean \2?"),
)


def one_line_error(box: str, command: str) -> str:
    """Return the text of tyro's error box, without its frame, its title and the text of --help.

    Args:
        box: the error as tyro prints it.
        command: the command that was typed, whose --help the message recommends.
    """
    # Rules are of hyphens where the terminal has no letter for lines.
    bare = re.sub(r"\x1b\[[0-9;]*m|[─-╿]|-{8,}", "", box.partition("\n")[2])
    text = " ".join(bare.split())
    for pattern, replacement in REWORDED:
        text = re.sub(pattern, replacement, text)
    if "unknown command" not in text:
        text = text.replace("see lossbench --help", f"see lossbench {command} --help")
    return text
