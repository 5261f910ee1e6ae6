"""`lossbench catalogue`: write the catalogue of losses."""

from __future__ import annotations

import sys

from lossbench.benchmarks.curves import page
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.subcommands import CatalogueCommand
from lossbench.losses import kernels


def run(command: CatalogueCommand) -> int:
    """Write the catalogue and its figure, print their paths, and return the exit code."""
    if not command.output.is_dir():
        raise UserError(
            f"{command.output} is no directory: run this in a clone of the repository, or name "
            "one with --output"
        )
    kernels.ensure(lambda line: print(line, file=sys.stderr))
    print("measuring every loss against 160 digits: a few minutes", file=sys.stderr)
    for path in page.write(command.output):
        print(path)
    return 0
