"""The exception for users' mistakes, and the answer to an unknown name."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Raised for a user's mistake or something the machine lacks.

    Its text is one line: what came, what was wanted, what to do. The command prints it and exits
    with code 2, without a traceback.
    """


def unknown_name(what: str, name: str, valid: Iterable[str], otherwise: str = "") -> UserError:
    """Return the error for an unknown name, with the nearest valid name and all valid names.

    `what` is named, such as a loss, and `otherwise` says what else is possible.
    """
    known = sorted(valid)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    end = f", or {otherwise}" if otherwise else ""
    return UserError(f"unknown {what} {name!r}: {hint}choose from {', '.join(known)}{end}")


def one_line(error: BaseException) -> str:
    """Return the text of an exception in one line."""
    return " ".join(str(error).split())
