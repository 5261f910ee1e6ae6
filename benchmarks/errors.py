"""The one exception that a user is meant to see, and how a wrong name is answered."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A user's mistake or a machine's lack: one line that says what came, what was wanted and
    what to do. The command prints it and exits with 2; it never becomes a traceback."""


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """The error for `name`, which is no `kind`; names the nearest valid one and then all."""
    known = sorted(valid)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UserError(f"unknown {kind} {name!r}: {hint}choose from {', '.join(known)}")


def one_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    return " ".join(str(error).split())
