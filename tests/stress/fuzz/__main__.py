"""Fuzz some targets or all; exit with 1 if one raises an undocumented error."""

import argparse
import sys
from pathlib import Path

from .runner import accepts, run
from .targets import TARGETS


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"one of {', '.join(TARGETS)}")
    parser.add_argument("--inputs", type=int, default=100_000, help="per target (default: 100,000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the inputs")
    parser.add_argument("--again", type=Path, metavar="FILE", help="try a kept input again")
    given = parser.parse_args()
    if unknown := [name for name in given.targets if name not in TARGETS]:
        parser.error(f"no target {unknown[0]!r}: choose from {', '.join(TARGETS)}")
    names = given.targets or list(TARGETS)
    if given.again:
        (name,) = names
        print(
            "accepted"
            if accepts(TARGETS[name], given.again.read_bytes(), Path.cwd())
            else "refused"
        )
        return 0
    broken = 0
    for name in names:
        tally = run(name, TARGETS[name], given.inputs, given.seed, Path.cwd(), sys.stderr.isatty())
        print(tally.line(name), flush=True)
        broken += tally.broken is not None
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
