"""Run the command `lossbench`, or say which extra it needs."""

import sys
from importlib.util import find_spec

# What the extra `bench` installs and the command imports, one that it cannot do without.
NEEDED = "tyro"


def main() -> int:
    """Run the command line and return its exit code; 2 where the extra `bench` is missing."""
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
