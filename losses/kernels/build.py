"""Build of the C++ kernels: compiler, cache directory, lock, and loading."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.machinery
import importlib.util
import logging
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import torch

from .cpp import Source
from .source import Request, source
from .switches import NoKernelsError

logger = logging.getLogger(__name__)

MODULE = "lossbench_kernels"
SCRATCH = "building-"
ONE_DAY = 86400.0
GLUE, RUNTIME = (Path(__file__).parent / name for name in ("glue", "runtime"))
FLAGS = ("-std=c++20", "-O3", "-march=native", "-fPIC", "-fopenmp-simd")
# Errno and traps are not used; NaN and infinity are.
MATH_FLAGS = ("-fno-math-errno", "-fno-trapping-math")


def compiler() -> str | None:
    """Return the path of the C++ compiler: $CXX, else c++, g++ or clang++."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    return next(filter(None, map(shutil.which, names)), None)


def load_built() -> tuple[ModuleType, str]:
    """Load the extension built for this torch, Python and processor; return it and its compiler.

    Raises NoKernelsError if there are none.
    """
    directory = _directory()
    found = compiler()
    # Without a compiler use whichever compiler's build exists.
    directories = [directory / _identity(found)] if found else sorted(directory.glob("*"))
    for each in directories:
        library = each / f"{MODULE}.so"
        if library.exists():
            return _import_library(library), (each / "compiler.txt").read_text().strip()
    raise NoKernelsError(
        "no kernels have been built: run `python -m lossbench.losses.kernels build`"
        if found
        else _no_compiler()
    )


def build(report: Callable[[str], None] = lambda _: None) -> Path:
    """Compile the extension that calls kernels unless it exists, and return the library's path.

    Concurrent processes wait for the first one. Raises NoKernelsError.
    """
    found = compiler()
    if not found:
        raise NoKernelsError(_no_compiler())
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        raise NoKernelsError("Python.h is missing: install Python's headers (python3-dev)")
    directory = _directory() / _identity(found)
    library = directory / f"{MODULE}.so"
    if library.exists():
        return library
    version = _version(found)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _build_lock(directory / "lock", report):
            if not library.exists():
                began = time.perf_counter()
                report(f"building the kernels of the losses with {version}, once: about a minute")
                _compile(found, version, directory)
                report(f"built the kernels in {time.perf_counter() - began:.0f} s")
    except OSError as error:
        raise NoKernelsError(f"{directory} cannot be written: {error.strerror}") from error
    return library


def load_kernel(request: Request) -> tuple[int, int, bool, tuple[float, ...]]:
    """Load the kernel of a loss; compile it if that has not been done. Raises NoKernelsError.

    Returns:
        Addresses of the value and the gradient, whether the value saves numbers for the gradient,
        and the constants of both.
    """
    printed = source(request)
    library = compile_kernel(request, printed)
    try:
        loaded = ctypes.CDLL(str(library))
    except OSError as error:
        raise NoKernelsError(f"{library} cannot be loaded ({error}): delete it") from error
    value, gradient = (
        ctypes.cast(getattr(loaded, name), ctypes.c_void_p).value for name in ("value", "gradient")
    )
    assert value is not None
    assert gradient is not None
    return value, gradient, printed.saves, printed.constants


def build_kernels(requests: list[Request], report: Callable[[str], None] = lambda _: None) -> None:
    """Compile kernels unless they exist, several at a time; losses without one are left out.

    `report` gets a line at the beginning and at the end if there is something to do.
    """
    missing = []
    for request in requests:
        with contextlib.suppress(NoKernelsError):
            printed = source(request)
            if not _library(request, printed).exists():
                missing.append((request, printed))
    if not missing:
        return
    began = time.perf_counter()
    report(f"compiling {len(missing)} kernels, once: about {len(missing)} s")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, _ in enumerate(pool.map(lambda x: compile_kernel(*x), missing), 1):
            if done % 20 == 0:
                report(f"compiled {done} of {len(missing)} kernels")
    report(f"compiled {len(missing)} kernels in {time.perf_counter() - began:.0f} s")


def _library(request: Request, printed: Source) -> Path:
    """Return where the library of a printed kernel is, or will be."""
    found = compiler()
    if not found:
        raise NoKernelsError(_no_compiler())
    digest = hashlib.sha256(printed.text.encode()).hexdigest()[:16]
    directory = _directory() / _identity(found) / "losses"
    return directory / f"{request.loss.forms.name}-{digest}.so"


def compile_kernel(request: Request, printed: Source) -> Path:
    """Compile a printed kernel unless it exists, and return the library's path."""
    library = _library(request, printed)
    if library.exists():
        return library
    logger.info("compiling the kernel of %s", request.loss.forms.name)
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with _scratch(library.parents[1]) as work:
            file = work / "kernel.cpp"
            file.write_text(printed.text)
            flags = [*FLAGS, *MATH_FLAGS, *["-ffp-contract=off"] * printed.exact]
            command = [str(compiler()), *flags, "-shared", f"-I{RUNTIME}", str(file)]
            _run_all([[*command, "-o", str(file.with_suffix(".so"))]], library.with_suffix(".log"))
            # Another process may have been first: its library is the same.
            _move(file.with_suffix(".so"), library)
    except OSError as error:
        raise NoKernelsError(f"{library.parent} cannot be written: {error.strerror}") from error
    return library


def _no_compiler() -> str:
    wanted = os.environ.get("CXX")
    if wanted:
        return f"CXX={wanted} is not a compiler that can be found: unset it or name one"
    return (
        "no C++ compiler: install g++ or set CXX, then `python -m lossbench.losses.kernels build`"
    )


def _directory() -> Path:
    """Return the cache directory for this torch, Python, processor and source."""
    if sys.platform != "linux":
        raise NoKernelsError(f"the kernels need Linux, and this is {platform.system()}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parts = [
        torch.__version__,
        torch.__file__,
        sysconfig.get_config_var("EXT_SUFFIX"),
        _processor(),
    ]
    digest = hashlib.sha256("\n".join(map(str, parts)).encode())
    for path in sorted((*GLUE.iterdir(), *RUNTIME.iterdir())):
        digest.update(path.read_bytes())
    digest.update(" ".join((*FLAGS, *MATH_FLAGS)).encode())
    return cache / "lossbench" / "kernels" / digest.hexdigest()[:16]


def _processor() -> str:
    """Describe the processor, on which -march=native depends."""
    with contextlib.suppress(OSError):
        with open("/proc/cpuinfo") as lines:
            first = [line for line in iter(lines.readline, "\n") if line]
        kept = ("model name", "flags", "Features", "CPU implementer", "CPU part")
        return "".join(line for line in first if line.startswith(kept))
    return platform.machine()


def _identity(path: str) -> str:
    """Return a digest of the compiler's file; running it for its version would be slower."""
    real = Path(path).resolve()
    about = real.stat()
    return hashlib.sha256(f"{real} {about.st_size} {about.st_mtime_ns}".encode()).hexdigest()[:16]


def _version(path: str) -> str:
    try:
        result = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoKernelsError(f"{path} is no compiler: it does not answer --version") from error
    return result.stdout.partition("\n")[0].strip()


@contextlib.contextmanager
def _build_lock(path: Path, report: Callable[[str], None]) -> Iterator[None]:
    import fcntl

    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another process is building the kernels: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _compile(path: str, version: str, directory: Path) -> None:
    """Compile the extension in a temporary directory, and move the finished library into place."""
    root = Path(torch.__file__).parent
    includes = [root / "include", root / "include/torch/csrc/api/include"]
    common = [
        *(path, *FLAGS, "-O1", "-fopenmp", "-DAT_PER_OPERATOR_HEADERS"),
        f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
        *("-isystem", sysconfig.get_paths()["include"]),
        *(word for include in includes for word in ("-isystem", str(include))),
    ]
    with _scratch(directory) as work:
        sources = sorted(GLUE.glob("*.cpp"))
        objects = [work / f"{source.stem}.o" for source in sources]
        _run_all(
            [[*common, "-c", str(s), "-o", str(o)] for s, o in zip(sources, objects, strict=True)],
            directory / "build.log",
        )
        library = work / f"{MODULE}.so"
        # Not -fopenmp: the threads are those of the OpenMP that torch has brought.
        link = [path, "-shared", "-o", library, *objects, f"-L{root / 'lib'}"]
        _run_all(
            [[*map(str, link), "-ltorch_python", "-ltorch_cpu", "-lc10"]], directory / "build.log"
        )
        about = work / "compiler.txt"
        about.write_text(f"{version}, for torch {torch.__version__}\n")
        for finished in (about, library):
            _move(finished, directory / finished.name)


@contextlib.contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    """Make a temporary directory below another, and remove those that killed processes left."""
    for left in directory.glob(f"{SCRATCH}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > ONE_DAY:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=SCRATCH) as name:
        yield Path(name)


def _move(file: Path, place: Path) -> None:
    """Move a finished file into place; after a power failure all of it is there, or nothing."""
    with open(file, "rb") as written:
        os.fsync(written.fileno())
    file.replace(place)
    directory = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _run_all(commands: list[list[str]], log: Path) -> None:
    """Run commands in parallel; raise NoKernelsError if one of them fails."""
    with open(log, "w") as output:
        started = [
            subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
            for command in commands
        ]
        try:
            codes = [process.wait() for process in started]
        except BaseException:
            for process in started:
                process.kill()
            raise
    if any(codes):
        raise NoKernelsError(f"{commands[0][0]} cannot compile the kernels: {log} says why")


def _import_library(library: Path) -> ModuleType:
    loader = importlib.machinery.ExtensionFileLoader(MODULE, str(library))
    spec = importlib.util.spec_from_file_location(MODULE, library, loader=loader)
    assert spec is not None
    try:
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    except ImportError as error:
        raise NoKernelsError(
            f"{library} cannot be loaded ({error}): delete it and build anew"
        ) from error
    return module
