"""Memory limits are found, and large memory-mapped arrays get advice."""

import mmap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lossbench.benchmarks.data import batches
from lossbench.benchmarks.data.cache import open_cached
from lossbench.benchmarks.data.memory import advise_random_access, available_memory
from lossbench.benchmarks.data.synthetic import synthetic

MEMORY = {"proc/meminfo": "MemTotal:  9000 kB\nMemFree:   1 kB\nMemAvailable:    4000 kB\n"}
V2 = {"proc/self/cgroup": "0::/user/me\n"}
V1 = {"proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/user/me\n0::/elsewhere\n"}
GROUPS = "sys/fs/cgroup"


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        (MEMORY, 4_096_000),
        ({**MEMORY, **V2}, 4_096_000),
        ({**MEMORY, **V2, f"{GROUPS}/user/me/memory.max": "7000\n"}, 7000),
        ({**MEMORY, **V2, f"{GROUPS}/user/memory.max": "6000\n"}, 6000),
        ({**V2, f"{GROUPS}/memory.max": "5000\n"}, 5000),
        ({**V2, f"{GROUPS}/memory.max": "max\n"}, None),
        ({**V1, f"{GROUPS}/memory/user/me/memory.limit_in_bytes": "900"}, 900),
        ({**V1, f"{GROUPS}/memory/memory.limit_in_bytes": "800"}, 800),
        ({**MEMORY, **V1, f"{GROUPS}/memory/x": ""}, 4_096_000),
        ({**MEMORY, "proc/self/cgroup": "0::/../../etc\n"}, 4_096_000),
    ],
)
def test_available_memory_is_the_lowest_limit(tmp_path, files, expected):
    assert available_memory(system(tmp_path, files)) == expected


@pytest.mark.parametrize(("kilobytes", "advised"), [(20, False), (21, True)])
def test_an_array_of_more_than_half_the_memory_gets_advice(tmp_path, kilobytes, advised):
    root = system(tmp_path, {"proc/meminfo": "MemAvailable: 40 kB\n"})
    advice = []
    array = SimpleNamespace(nbytes=1024 * kilobytes, _mmap=SimpleNamespace(madvise=advice.append))
    assert advise_random_access(array, root) is array
    assert advice == [mmap.MADV_RANDOM] * advised


def test_only_images_that_stay_memory_mapped_are_checked(monkeypatch):
    checked = []
    monkeypatch.setattr(batches, "advise_random_access", lambda a: (checked.append(a), a)[1])
    images = open_cached(synthetic(32, train=4, test=2), 32, say=str)
    batches.to_device(images.train, torch.device("cpu"))
    batches.to_device(images.train, torch.device("meta"))
    (array,) = checked
    assert array.shape == (4, 32, 32, 3)
    assert isinstance(array._mmap, mmap.mmap)


def test_a_memory_map_with_advice_has_the_same_content(tmp_path):
    rows = np.random.default_rng(0).integers(0, 256, (50, 1000), dtype=np.uint8)
    np.save(tmp_path / "rows.npy", rows)
    root = system(tmp_path, {"proc/meminfo": "MemAvailable: 1 kB\n"})
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    np.testing.assert_array_equal(advise_random_access(mapped, root), rows)
