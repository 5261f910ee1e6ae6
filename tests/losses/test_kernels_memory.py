"""The memory of the kernels' gradients: kept from step to step, never another's, and bounded."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from lossbench.losses import functional

from .kernel_cases import numbers

pytestmark = pytest.mark.usefixtures("switched_on")

# 1 MiB and more is kept; the operating system's pages have 4 KiB.
LARGE = 1_000_000


def gradient_of(z: Tensor, t: Tensor) -> Tensor:
    z = z.detach().requires_grad_()
    return torch.autograd.grad(functional.mse_loss(z, t, reduction="sum"), z)[0]


def in_a_process(program: str) -> float:
    """What a program prints that can call `gradient`, of so many numbers."""
    begin = (
        "import resource, torch\n"
        "from lossbench.losses import functional\n"
        "def gradient(count):\n"
        "    z = torch.zeros(count, requires_grad=True)\n"
        "    return torch.autograd.grad(functional.mse_loss(z, z.detach()), z)[0]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", begin + program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"LOSSES_KERNELS": "1"},
    )
    return float(done.stdout)


def test_a_step_takes_the_memory_that_the_last_has_freed() -> None:
    z, t = numbers((LARGE,), torch.float32), numbers((LARGE,), torch.float32, 1)
    place = gradient_of(z, t).data_ptr()
    others = [torch.empty(LARGE) for _ in range(3)]
    assert gradient_of(z, t).data_ptr() == place
    assert all(place != each.data_ptr() for each in others)


def test_a_gradient_that_is_held_is_nobody_else_s() -> None:
    z, t = numbers((LARGE,), torch.float32), numbers((LARGE,), torch.float32, 1)
    held = [gradient_of(factor * z, t) for factor in (1, 2, 3)]
    assert len({each.data_ptr() for each in held}) == 3
    for factor, each in zip((1, 2, 3), held, strict=True):
        torch.testing.assert_close(each, 2 * (factor * z - t))


def test_another_size_has_other_memory() -> None:
    z, t = numbers((LARGE,), torch.float32), numbers((LARGE,), torch.float32, 1)
    gradient_of(z, t)
    torch.testing.assert_close(gradient_of(z[1:], t[1:]), 2 * (z - t)[1:])
    double = gradient_of(z.double(), t.double())
    torch.testing.assert_close(double, 2 * (z.double() - t.double()))


def test_threads_do_not_get_each_other_s() -> None:
    z = [numbers((LARGE // 2,), torch.float32, seed) for seed in range(4)]

    def work(k: int) -> bool:
        found = [gradient_of(z[k], z[(k + n) % 4]) for n in (1, 2)]
        return all(torch.equal(g, 2 * (z[k] - z[(k + n) % 4])) for n, g in enumerate(found, 1))

    with ThreadPoolExecutor(4) as executor:
        assert all(executor.map(work, [0, 1, 2, 3] * 15))


@pytest.mark.slow
def test_in_a_training_the_operating_system_is_asked_once() -> None:
    program = (
        "pages = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "torch.set_num_threads(1)\n"
        "z, t = torch.zeros(1_000_000, requires_grad=True), torch.zeros(1_000_000)\n"
        "def step(): torch.autograd.grad(functional.mse_loss(z, t), z)\n"
        "for _ in range(5): step()\n"
        "before = pages()\n"
        "for _ in range(20): step()\n"
        "print((pages() - before) / 20)\n"
    )
    # Of 977 pages that a gradient has.
    assert in_a_process(program) < 50


@pytest.mark.slow
def test_no_more_is_kept_than_a_large_gradient() -> None:
    program = (
        "import gc\n"
        "def held():\n"
        "    pages = int(open('/proc/self/statm').read().split()[1])\n"
        "    return pages * resource.getpagesize() / 2**20\n"
        # Once: what is freed to malloc and what it then holds is none of the kernels' doing.
        "z = torch.zeros(6_000_000, requires_grad=True)\n"
        "def of_z(): return torch.autograd.grad(functional.mse_loss(z, z.detach()), z)[0]\n"
        "gradient(10); before = held()\n"
        "all = [of_z() for _ in range(12)]\n"
        "assert held() - before > 250\n"
        "del all; gc.collect()\n"
        "print(held() - before)\n"
    )
    # 12 of 23 MiB, of which two are within the 64 MiB that are kept.
    assert in_a_process(program) < 100


def test_a_profiler_sees_what_is_taken_and_given_back() -> None:
    from torch.profiler import ProfilerActivity, profile

    z, t = numbers((LARGE,), torch.float32), numbers((LARGE,), torch.float32, 1)
    gradient_of(z, t)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        gradient_of(z, t)
    sizes = [
        event.nbytes()
        for event in record.profiler.kineto_results.events()  # type: ignore[union-attr]
        if event.name() == "[memory]"
    ]
    assert sizes.count(4 * LARGE) == 1
    assert sizes.count(-4 * LARGE) == 1
