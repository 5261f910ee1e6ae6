"""The Triton text of every loss: it is made, and checked, without a GPU."""

import dis

import pytest

from lossbench.losses.kernels.__main__ import requests

pytest.importorskip("triton")


def test_every_name_of_every_loss_is_defined() -> None:
    from lossbench.losses.kernels.cuda.source import kernel

    found = [request for request in requests(everything=True) if not request.float64]
    assert found
    for request in found:
        made = kernel(request)
        for function in (made.value.fn, made.gradient.fn):
            used = {x.argval for x in dis.get_instructions(function) if x.opname == "LOAD_GLOBAL"}
            missing = used - function.__globals__.keys() - {"float", "min", "max", "range"}
            assert not missing, f"{request.loss.forms.name}: {missing}"
