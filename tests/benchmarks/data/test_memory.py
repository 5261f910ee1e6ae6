"""An array that does not fit in the memory there is read without what lies around its rows."""

import mmap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lossbench.benchmarks.data import batches
from lossbench.benchmarks.data.batches import to_device
from lossbench.benchmarks.data.cache import open_cached
from lossbench.benchmarks.data.memory import advise_random_access, available_memory
from lossbench.benchmarks.data.synthetic import synthetic

MEMINFO = "MemTotal:  9000 kB\nMemFree:   1 kB\nMemAvailable:    4000 kB\n"


def system(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMORY = {"proc__meminfo": MEMINFO}
V2 = {"proc__self__cgroup": "0::/user/me\n"}
V1 = {"proc__self__cgroup": "5:cpu,cpuacct:/x\n4:memory:/user/me\n0::/elsewhere\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc__meminfo": MEMINFO}, 4_096_000),
        ({"proc__meminfo": MEMINFO, **V2}, 4_096_000),
        (
            {"proc__meminfo": MEMINFO, **V2, "sys__fs__cgroup__user__me__memoryDOTmax": "7000\n"},
            7000,
        ),
        ({**MEMORY, **V2, "sys__fs__cgroup__user__memoryDOTmax": "6000\n"}, 6000),
        ({**V2, "sys__fs__cgroup__memoryDOTmax": "5000\n"}, 5000),
        ({**V2, "sys__fs__cgroup__memoryDOTmax": "max\n"}, None),
        ({**V1, "sys__fs__cgroup__memory__user__me__memoryDOTlimit_in_bytes": "900"}, 900),
        ({**V1, "sys__fs__cgroup__memory__memoryDOTlimit_in_bytes": "800"}, 800),
        ({**MEMORY, **V1, "sys__fs__cgroup__memory__x": ""}, 4_096_000),
        ({"proc__meminfo": MEMINFO, "proc__self__cgroup": "0::/../../etc\n"}, 4_096_000),
    ],
)
def test_what_is_there_is_the_least_that_anything_says(tmp_path, files, expected):
    assert available_memory(system(tmp_path, **files)) == expected


@pytest.mark.parametrize(("kilobytes", "told"), [(19, False), (21, True)])
def test_an_array_of_more_than_half_the_memory_is_told_of(tmp_path, kilobytes, told):
    root = system(tmp_path, proc__meminfo="MemAvailable: 40 kB\n")
    told_of = []
    array = SimpleNamespace(nbytes=1024 * kilobytes, _mmap=SimpleNamespace(madvise=told_of.append))
    assert advise_random_access(array, root) is array
    assert told_of == ([mmap.MADV_RANDOM] if told else [])


def test_images_that_stay_in_the_cache_are_asked_about(monkeypatch):
    asked = []
    monkeypatch.setattr(batches, "advise_random_access", lambda a: (asked.append(a), a)[1])
    images = open_cached(synthetic(32, train=4, test=2), 32, say=str)
    to_device(images.train, torch.device("cpu"))
    to_device(images.train, torch.device("meta"))
    (array,) = asked
    assert array.shape == (4, 32, 32, 3)
    assert isinstance(array._mmap, mmap.mmap)


def test_a_real_mapping_takes_the_advice_and_reads_the_same(tmp_path):
    rows = np.random.default_rng(0).integers(0, 256, (50, 1000), dtype=np.uint8)
    np.save(tmp_path / "rows.npy", rows)
    root = system(tmp_path, proc__meminfo="MemAvailable: 1 kB\n")
    np.testing.assert_array_equal(
        advise_random_access(np.load(tmp_path / "rows.npy", mmap_mode="r"), root), rows
    )
