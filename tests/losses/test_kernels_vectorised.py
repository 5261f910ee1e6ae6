"""The loops over elements and classes of the kernels are vectorised: a scalar one is many times
slower, and computes the same.

gcc says which loops it vectorised and which it could not. Loops over the classes of a row and over
elements count; a loop over the few numbers per row is often unrolled instead.
"""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from lossbench.losses import registry
from lossbench.losses.kernels import build, collected
from lossbench.losses.kernels.source import source

CASES = [
    # Single elements of two inputs, also of the right class alone, with logarithms, exponentials
    # and branches.
    ("bce-with-logits", "elements.h", False),
    ("bce-with-logits", "elements.h", True),
    ("sigmoid-generalized-cross-entropy", "elements.h", False),
    # Rows and tiles: with a softmax, with sums or largest numbers over classes, without any.
    ("cross-entropy", "softmax.h", False),
    ("cross-entropy", "softmax.h", True),
    ("bernoulli-sum", "", False),
    ("chebyshev", "", False),
    ("one-vs-rest-hinge", "", False),
    # Lists of classes.
    ("multilabel-margin", "lists.h", False),
]
"""A loss, the header of the runtime whose loops it calls, and whether it computes in float64."""
NOTE = re.compile(
    r"(\S+):(\d+):\d+: (optimized|missed): +(loop vectorized|couldn't vectorize loop)"
)
OVER_CLASSES = re.compile(r"for \(int c = (from|0); c < (to|classes|row\.classes); \+\+c\)")
OVER_ELEMENTS = re.compile(r"for \(int64_t i = 0; i < size; \+\+i\)")
OF_FEW_LOSSES = "number && c < at"
"""A loop of softmax.h, for the first of the largest classes."""
FLAGS_OF = {"softmax.h": ["-mno-avx512f"]}
"""Header -> flags. With AVX-512 a sum of exponentials in float32 is no loop of the compiler's."""

Lines = set[tuple[str, int]]


def compiler_of_notes() -> bool:
    """Return whether there is a gcc."""
    found = build.compiler()
    if not found:
        return False
    about = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    return "Free Software Foundation" in about


def has_float16() -> bool:
    """Return whether there is a gcc and a processor with instructions that convert float16."""
    about = Path("/proc/cpuinfo")
    return compiler_of_notes() and about.exists() and " f16c " in about.read_text()


def notes(
    text: str, tmp_path: Path, assembly: Path = Path("/dev/null"), more: Sequence[str] = ()
) -> tuple[Lines, Lines]:
    """Return the lines, by file, of loops that gcc vectorised and of those that it could not."""
    file = tmp_path / "kernel.cpp"
    file.write_text(text)
    flags = ["-fopt-info-vec-optimized-missed", *more, f"-I{build.RUNTIME}", "-S"]
    to = ["-o", str(assembly)]
    command = [str(build.compiler()), *build.FLAGS, *build.MATH_FLAGS, *flags, *to, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Lines] = {"optimized": set(), "missed": set()}
    for path, line, verdict, _ in NOTE.findall(done.stderr):
        found[verdict].add((Path(path).name, int(line)))
    return found["optimized"], found["missed"]


def hot_loops(name: str, text: str, inputs: int) -> list[Lines]:
    """Return the lines of each `omp simd` loop over elements or classes that is called."""
    lines = text.splitlines()
    called = f"f(i, {', '.join(['z[i]', 't[i]', 'w[i]'][:inputs])});"
    loops = []
    for at, line in enumerate(lines):
        if "#pragma omp simd" not in line:
            continue
        outer, first = lines[at - 1], lines[at + 1]
        if OF_FEW_LOSSES in first or ("f(i," in first and called not in first):
            continue
        if OVER_ELEMENTS.search(first) or OVER_CLASSES.search(first + outer):
            # gcc names the line of the pragma, of the loop, or of a statement in it.
            loops.append({(name, at + 1 + k) for k in range(length(lines[at + 1 :]) + 1)})
    return loops


def length(lines: list[str]) -> int:
    """Return how many lines the first statement takes."""
    depth = 0
    for number, line in enumerate(lines, 1):
        depth += line.count("{") - line.count("}")
        if depth == 0:
            return number
    raise AssertionError("a block without an end")


def printed(loss: str, *, float64: bool) -> tuple[str, int]:
    """Return the C++ of a registered loss with its first kind of target, and its inputs."""
    entry = registry.entry(loss)
    shape = (4,) if entry.task == "binary" else (4, 3)
    with collected() as requests:
        logits = torch.zeros(shape)
        labels = torch.zeros(4, dtype=torch.long)
        entry.build(reduction="sum")(logits, entry.target_from_labels(labels, logits))
    return source(requests[0]._replace(float64=float64)).text, len(requests[0].inputs)


@pytest.mark.slow
@pytest.mark.skipif(not compiler_of_notes(), reason="needs gcc")
@pytest.mark.parametrize(("loss", "header", "float64"), CASES)
def test_loops_over_elements_and_classes_are_vectorised(loss, header, float64, tmp_path) -> None:
    text, inputs = printed(loss, float64=float64)
    vectorised, missed = notes(text, tmp_path, more=FLAGS_OF.get(header, ()))
    loops = hot_loops("kernel.cpp", text, inputs)
    if header:
        loops += hot_loops(header, (build.RUNTIME / header).read_text(), inputs)
    assert loops
    assert [sorted(loop) for loop in loops if not loop & vectorised] == []
    if header in ("elements.h", "lists.h"):
        # Value and gradient share these. In rows.h gcc also tries the loops around.
        assert [sorted(loop) for loop in loops if loop & missed] == []


@pytest.mark.slow
@pytest.mark.skipif(not compiler_of_notes(), reason="needs gcc")
@pytest.mark.parametrize(
    ("loss", "statement"), [("mse", "return T("), ("one-vs-rest-hinge", "g[c * W + i] = ")]
)
def test_a_loop_that_cannot_be_vectorised_is_found(loss: str, statement: str, tmp_path) -> None:
    text, inputs = printed(loss, float64=False)
    # The last one is that of the gradient.
    before, _, after = text.rpartition(statement)
    spoiled = f'{before}asm volatile(""); {statement}{after}'
    vectorised, missed = notes(spoiled, tmp_path)
    if loss == "mse":
        loops = hot_loops("elements.h", (build.RUNTIME / "elements.h").read_text(), inputs)
        assert any(loop & missed for loop in loops)
    else:
        loops = hot_loops("kernel.cpp", spoiled, inputs)
        assert sum(not loop & vectorised for loop in loops) == 1


@pytest.mark.slow
@pytest.mark.skipif(not has_float16(), reason="needs gcc and a processor that converts float16")
def test_float16_is_converted_eight_numbers_at_a_time(tmp_path) -> None:
    text, _ = printed("mse", float64=False)
    assembly = tmp_path / "kernel.s"
    notes(text, tmp_path, assembly)
    for instruction in ("vcvtph2ps", "vcvtps2ph"):
        assert re.search(rf"{instruction}\s.*%[yz]mm", assembly.read_text())
