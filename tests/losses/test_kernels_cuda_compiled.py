"""The kernels on CUDA compile as they are started, to machine code of a GPU: that takes none."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lossbench.losses.kernels.cuda import rows, singles
from lossbench.losses.kernels.cuda.call import CROSS_ENTROPY, Call

if importlib.util.find_spec("triton") is None:
    pytest.skip("there is no Triton", allow_module_level=True)

OF_POINTERS = {
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.int64: "*i64",
    torch.int32: "*i32",
}
OF_NUMBERS: dict[type, str] = {int: "i32", float: "fp32", bool: "i1"}
Started = list[tuple[Any, tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """What is started instead of being run: kernels with their arguments."""
    from triton.runtime.jit import JITFunction

    found: Started = []

    def run(self: Any, *args: Any, **options: Any) -> None:
        del options["grid"], options["warmup"]
        found.append((self, args, options))

    monkeypatch.setattr(JITFunction, "run", run)
    return found


def compiled(kernel: Any, args: tuple[Any, ...], options: dict[str, Any], capability: int) -> Any:
    """A kernel compiled for what it was started with."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    given = dict(zip(kernel.arg_names, args, strict=False))
    given |= {name: options.pop(name) for name in kernel.arg_names if name in options}
    constants = {
        name: x
        for name, x in given.items()
        if x is None or kernel.params[kernel.arg_names.index(name)].is_constexpr
    }
    kinds = {
        name: "constexpr"
        if name in constants
        else OF_POINTERS[x.dtype]
        if isinstance(x, Tensor)
        else OF_NUMBERS[type(x)]
        for name, x in given.items()
    }
    source = ASTSource(kernel, kinds, constexprs=constants)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def never(*_: object) -> Tensor:
    raise AssertionError("nothing is differentiated twice")


def of_rows(
    z: Tensor, target: Tensor, reduction: str = "mean", **options: Any
) -> Callable[[], Any]:
    weight, smoothing = options.get("weight"), options.get("smoothing", 0.0)
    settings = (smoothing,)
    call = Call(CROSS_ENTROPY, never, z, target, weight, None, reduction, -100, settings, z.dtype)
    return lambda: rows.compute(call, True, options.get("upstream"))


def of_singles(form: int, z: Tensor, reduction: str = "mean", **options: Any) -> Callable[[], Any]:
    settings = (2.0, 0.25) if form == singles.FOCAL else ()
    tensors = z, z, options.get("weight"), options.get("extra")
    call = Call(form, never, *tensors, reduction, -100, settings, z.dtype)
    return lambda: singles.compute(call, True, options.get("upstream"))


def cases(dtype: torch.dtype) -> list[Callable[[], Any]]:
    long, wide, small = (torch.empty(2, c, dtype=dtype) for c in (65536, 131072, 10))
    y = torch.zeros(2, dtype=torch.int64)
    one, w, flat = torch.empty(2, dtype=dtype), torch.empty(10, dtype=dtype), small.flatten()
    return [
        of_rows(small, y, weight=w),
        of_rows(small, y, "none", upstream=one),
        of_rows(long, y),
        of_rows(wide, y),
        of_rows(wide, y, smoothing=0.1),
        of_rows(small, y, weight=w, smoothing=0.1),
        of_rows(long, long),
        of_rows(small, small, "none", weight=w, upstream=one),
        of_singles("bce_with_logits", flat, "none", upstream=flat),
        of_singles("weighted_bce", small, weight=w, extra=w),
        of_singles(singles.FOCAL, flat),
        lambda: singles.scale(small, one[:1], in_place=False),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "capability"),
    [(torch.float32, 80), (torch.bfloat16, 90), (torch.float16, 90)],
    ids=str,
)
def test_every_way_a_kernel_is_started_compiles(
    dtype: torch.dtype, capability: int, started: Started
) -> None:
    for case in cases(dtype):
        before = len(started)
        case()
        assert len(started) > before
    for kernel, args, options in started:
        assert compiled(kernel, args, options, capability).asm["cubin"]
