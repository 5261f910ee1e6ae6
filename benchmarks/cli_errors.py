"""Error messages of tyro in one line."""

import re

# What Python says of a value that is none of a flag's type, and what there is to say.
REWORDED = (
    (
        r"Error parsing (\S+): invalid literal for int\(\) with base 10: (.*?);",
        r"\1 \2: give a whole number;",
    ),
    (r"Error parsing (\S+): could not convert string to float: (.*?);", r"\1 \2: give a number;"),
)


def one_line_error(box: str, command: str) -> str:
    """Return the text of tyro's error box, without its frame, its title and the text of --help.

    Args:
        box: the error as tyro prints it.
        command: the command that was typed, whose --help the message recommends.
    """
    bare = re.sub(r"\x1b\[[0-9;]*m", "", box)
    # Rules are of hyphens where the terminal has no letter for lines.
    lines = [re.sub(r"[─-╿]+|-{8,}", " ", line).strip() for line in bare.splitlines()]
    text = " ".join(line for line in lines[1:] if line)
    text = re.sub(r"Argument helptext:.*?(?=For full helptext|$)", "", text)
    text = re.sub(r"\.? *For full helptext, (?:see|run) ", "; see ", text)
    for theirs, ours in REWORDED:
        text = re.sub(theirs, ours, text)
    if "Available subcommands" not in text:
        text = text.replace("; see lossbench --help", f"; see lossbench {command} --help")
    return text
