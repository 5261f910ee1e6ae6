"""Command `python -m lossbench.losses.kernels`: `build` the kernels, or print their `status`."""

import argparse
import sys

from . import backend
from .build import build
from .switches import NoKernelsError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lossbench.losses.kernels", description=__doc__)
    parser.add_argument("action", choices=("build", "status"))
    if parser.parse_args().action == "build":
        try:
            print(build(lambda line: print(line, file=sys.stderr)))
        except NoKernelsError as reason:
            print(f"no kernels: {reason}", file=sys.stderr)
            return 1
    print(backend())
    return 0


if __name__ == "__main__":
    sys.exit(main())
