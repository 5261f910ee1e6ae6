"""The kernels on CUDA compile as they are started, to machine code of a GPU: that takes none."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
from torch import Tensor

from lossbench.losses.kernels.__main__ import requests
from lossbench.losses.kernels.cuda import launch
from lossbench.losses.kernels.cuda.call import Call, Saved
from lossbench.losses.kernels.cuda.source import kernel
from lossbench.losses.kernels.source import Request

if importlib.util.find_spec("triton") is None:
    pytest.skip("there is no Triton", allow_module_level=True)

OF_POINTERS = {
    torch.float32: "*fp32",
    torch.float64: "*fp64",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.int64: "*i64",
}
OF_NUMBERS: dict[type, str] = {int: "i32", float: "fp32"}
CAPABILITY = {torch.float32: 80, torch.bfloat16: 90, torch.float16: 90}
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


def start(
    request: Request, dtype: torch.dtype, reduction: str, classes: int, weight: bool = False
) -> None:
    """Start value and gradient of a loss."""
    forms, of_index = request.loss.forms, "y" in request.inputs
    if not forms.rows:
        z = t = torch.zeros(4096, dtype=dtype)
    elif forms.pair is not None:
        z, t = torch.zeros(2, classes, dtype=dtype), torch.zeros(2, classes, dtype=torch.int64)
    else:
        z = torch.zeros(2, classes, dtype=dtype)
        t = torch.zeros(2, dtype=torch.int64) if of_index else z
    w = torch.ones(z.shape[-1], dtype=dtype)
    takes_weight = "w" in request.inputs and forms.rows
    extra = w if "w" in request.inputs and not forms.rows else None
    weights = w if takes_weight or weight else None
    functions = kernel(request._replace(float64=False))
    tensors = z, t, weights, extra
    call = Call(functions, forms, never, *tensors, reduction, -100, takes_weight, dtype)
    value, saved = launch.value(call, save=True)
    launch.gradient(call, saved if forms.rows else Saved(), torch.ones_like(value))


def all_requests() -> list[Request]:
    return [x for x in requests(True) if not x.float64]


@pytest.mark.slow
@pytest.mark.parametrize(
    "request_", all_requests(), ids=lambda x: f"{x.loss.forms.name}-{x.inputs[1]}"
)
def test_every_loss_compiles(request_: Request, started: Started) -> None:
    dtype = torch.float32
    start(request_, dtype, "mean", 1000)
    assert len(started) >= 2
    for kernel_, args, options in started:
        assert compiled(kernel_, args, options, CAPABILITY[dtype]).asm["cubin"]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", list(CAPABILITY), ids=str)
@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits", "pairs"])
def test_every_way_a_kernel_is_started_compiles(
    loss: str, dtype: torch.dtype, started: Started
) -> None:
    for request_ in all_requests():
        if request_.loss.forms.name == loss:
            for reduction, classes in (("none", 10), ("sum", 1000), ("mean", 4000)):
                for weight in (False, True)[: 1 if loss == "pairs" else 2]:
                    start(request_, dtype, reduction, classes, weight)
    assert started
    for kernel_, args, options in started:
        assert compiled(kernel_, args, options, CAPABILITY[dtype]).asm["cubin"]
