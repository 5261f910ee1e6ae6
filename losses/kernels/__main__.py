"""Command `python -m lossbench.losses.kernels`: `build` the kernels, or print their `status`."""

import argparse
import sys

from .. import registry
from . import Request, backend, collected, load
from .build import build, build_kernels
from .switches import NoKernelsError

CLASSES, EXAMPLES = 3, 4


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lossbench.losses.kernels", description=__doc__)
    parser.add_argument("action", choices=("build", "status"))
    parser.add_argument(
        "--all",
        action="store_true",
        help="build the kernels of every loss, in float32 and float64, and not only of torch's",
    )
    arguments = parser.parse_args()
    if arguments.action == "build":
        try:
            print(build(report))
            build_kernels(requests(arguments.all), report)
        except NoKernelsError as reason:
            print(f"no kernels: {reason}", file=sys.stderr)
            return 1
        load()
    print(backend())
    return 0


def report(line: str) -> None:
    print(line, file=sys.stderr)


def requests(everything: bool) -> list[Request]:
    """Return the kernel requests of the registered losses with their default settings.

    Args:
        everything: request all losses, in float32 and float64. Otherwise only losses that
            torch.nn has too, in float32.
    """
    with collected() as found:
        for name in registry.names():
            entry = registry.entry(name)
            if everything or entry.source.startswith("torch.nn."):
                _call(entry)
    in_float32 = list(dict.fromkeys(found))
    return [*in_float32, *(x._replace(float64=True) for x in in_float32 if everything)]


def _call(entry: registry.Entry) -> None:
    """Call a loss once for every kind of target."""
    import torch

    loss = entry.build(reduction="sum")
    for target_type in entry.targets:
        shape = (EXAMPLES,) if entry.task == "binary" else (EXAMPLES, CLASSES)
        input = entry.input_from_logits(torch.zeros(shape))
        labels = torch.zeros(EXAMPLES, dtype=torch.long)
        loss(input, entry.target_from_labels(labels, input, target_type))


if __name__ == "__main__":
    sys.exit(main())
