"""Run the command `lossbench`, or say which extra it needs."""

import sys
from importlib.metadata import version
from importlib.util import find_spec

NEEDED = "tyro"
"""A distribution of the extra `bench` that every subcommand needs."""


def main() -> int:
    """Run the command line and return its exit code; 2 where the extra `bench` is missing."""
    if sys.argv[1:] == ["--version"]:
        print("lossbench", version("lossbench"))
        return 0
    if find_spec(NEEDED) is None:
        print(
            "lossbench: the command needs more than torch: pip install 'lossbench[bench]'",
            file=sys.stderr,
        )
        return 2
    from lossbench.benchmarks import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
