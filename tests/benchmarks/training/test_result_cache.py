import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lossbench import losses
from lossbench.benchmarks.config import DATA_SOURCE_FIELDS, RunConfig
from lossbench.benchmarks.training import result_cache as module
from lossbench.benchmarks.training.result import RunResult
from lossbench.benchmarks.training.result_cache import (
    ResultCache,
    from_arrays,
    own_packages,
    package_digest,
    source_files,
    to_arrays,
    without_comments,
)

CPU = torch.device("cpu")


def same(a: RunResult, b: RunResult) -> bool:
    """Whether two results agree bit by bit, NaN being itself."""
    left, right = to_arrays(a), to_arrays(b)
    return left.keys() == right.keys() and all(
        str(left[k]) == str(right[k])
        if left[k].dtype.kind == "U"
        else np.array_equal(left[k], right[k])
        for k in left
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"test": False},
        {"validation": 0.0},
        {"record_examples": True},
        {"record_curvature": True},
        {"loss": "cross-entropy", "loss_arguments": (("weight", (1.0, 2.0)),)},
    ],
)
def test_an_outcome_comes_back_as_it_was(trained, tmp_path, settings) -> None:
    result, cache = trained(**settings), ResultCache(tmp_path / "cache", CPU)
    assert cache.get(result.config, "print") is None
    cache.put(result, "print")
    back = cache.get(result.config, "print")
    assert same(result, back)
    assert back.config == result.config
    assert same(result, from_arrays(to_arrays(result), result.config))


def test_another_run_other_images_or_other_code_are_not_found(
    trained, tmp_path, monkeypatch
) -> None:
    result, cache = trained(), ResultCache(tmp_path, CPU)
    cache.put(result, "print")
    assert cache.get(dataclasses.replace(result.config, seed=5), "print") is None
    assert cache.get(result.config, "other") is None
    monkeypatch.setattr(module, "source_digest", lambda _: "changed")
    assert cache.get(result.config, "print") is None


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("torch.__version__", "9.9"),
        ("processor_family", lambda: "another"),
        ("losses.backend", lambda _: losses.Backend("kernels", "a compiler")),
    ],
)
def test_another_torch_processor_or_backend_is_not_found(
    name: str, other, tmp_path, monkeypatch
) -> None:
    config, cache = RunConfig("mse", 0, 0.1, kernels=True), ResultCache(tmp_path, CPU)
    before = cache.path(config, "print")
    monkeypatch.setattr(f"{module.__name__}.{name}", other)
    assert cache.path(config, "print") != before
    # Whether there are kernels is nothing to a run that uses none.
    closed = dataclasses.replace(config, kernels=False)
    monkeypatch.undo()
    before = cache.path(closed, "print")
    monkeypatch.setattr(f"{module.__name__}.{name}", other)
    assert (cache.path(closed, "print") == before) == (name == "losses.backend")


def test_a_gpu_is_told_from_a_processor(tmp_path, monkeypatch) -> None:
    config = RunConfig("mse", 0, 0.1, kernels=False)
    paths = {ResultCache(tmp_path, CPU).path(config, "print")}
    for name in ("one GPU", "another"):
        monkeypatch.setattr("torch.cuda.get_device_name", lambda _, name=name: name)
        paths.add(ResultCache(tmp_path, torch.device("cuda")).path(config, "print"))
    assert len(paths) == 3


def test_the_sources_are_those_that_a_training_imports() -> None:
    code = (
        "import sys; import lossbench.benchmarks.training.train\n"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('lossbench.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {Path(file).resolve() for file in done.stdout.split()}
    covered = set(source_files(native=False))
    harmless = {"__init__.py", "config.py", "errors.py", "format.py"}  # settings are in the key
    assert {path.name for path in imported - covered} <= harmless
    assert len(imported & covered) > 50
    native = set(source_files(native=True)) - covered
    folders = {f"{path.parent.name}/{path.suffix}" for path in native}
    assert folders == {"glue/.cpp", "glue/.h", "runtime/.h"}


def test_a_changed_file_of_ones_own_is_other_code(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    alone, package = tmp_path / "own_net.py", tmp_path / "own_package"
    package.mkdir()
    alone.write_text(
        "from functools import partial\nfrom lossbench.models import ConvNet\n"
        "class Net(ConvNet): pass\nwide = partial(ConvNet, width=9)\n"
    )
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("X = 1\n")
    (package / "sgd.py").write_text("import torch\nclass Own(torch.optim.SGD): pass\n")
    config = RunConfig("mse", 0, 0.1, model="own_net:Net", optimizer="own_package.sgd:Own")
    assert own_packages(config) == ["own_net", "own_package"]
    assert own_packages(RunConfig("mse", 0, 0.1, optimizer="torch.optim:RMSprop")) == []
    assert "own_net" in own_packages(RunConfig("mse", 0, 0.1, model="own_net:wide"))
    cache, paths = ResultCache(tmp_path / "cache", CPU), set()
    for changed in (None, alone, package / "part.py"):
        if changed:
            changed.write_text(changed.read_text() + "\nY = 2\n")
        package_digest.cache_clear()
        paths.add(cache.path(config, "print"))
    assert len(paths) == 3
    for name in ("own_net", "own_package", "own_package.sgd"):
        monkeypatch.delitem(sys.modules, name)


def test_comments_and_docstrings_are_not_code() -> None:
    code = b'"""Module."""\nX = 1\nclass A:\n    """One."""\n    y: int = 2\n    """Field."""\n'
    said = code.replace(b"Module", b"Room").replace(b"One", b"Two").replace(b"Field", b"Number")
    assert without_comments(said + b"# Why.\n\n") == without_comments(code)
    for changed in (code.replace(b"X = 1", b"X = '1'"), code.replace(b"int = 2", b"int = 3")):
        assert without_comments(changed) != without_comments(code)
    torn = b"def f(:"
    assert without_comments(torn) == torn


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 torn", b"not an archive"])
def test_a_damaged_file_is_as_good_as_none(trained, tmp_path, damage: bytes) -> None:
    result, cache = trained(), ResultCache(tmp_path, CPU)
    cache.put(result, "print")
    path = cache.path(result.config, "print")
    whole = path.read_bytes()
    path.write_bytes(damage)
    assert cache.get(result.config, "print") is None
    path.write_bytes(whole[: len(whole) // 2])
    assert cache.get(result.config, "print") is None
    cache.put(result, "print")
    assert same(cache.get(result.config, "print"), result)


def test_every_field_of_a_run_but_the_place_of_its_images_is_in_its_key() -> None:
    config = RunConfig("mse", 0, 0.1)
    changed = {"loss": "bce", "data": "x", "model": "lenet", "augmentation": "none"}
    changed |= {"loss_arguments": (("gamma", 1.0),), "record_examples": True, "test": True}
    changed |= {"initial_probability": 0.5, "stop_at_accuracy": 0.6, "split": ("train=x",)}
    changed |= {"duplicates": "drop", "classes": ("a", "b")}
    keys = {
        field.name: dataclasses.replace(config, **{field.name: changed.get(field.name, 7)}).key()
        for field in dataclasses.fields(RunConfig)
    }
    assert {name for name, key in keys.items() if key == config.key()} == set(DATA_SOURCE_FIELDS)
    assert len(set(keys.values())) == 1 + len(keys) - len(DATA_SOURCE_FIELDS)
    assert config.key(of="print") != config.key(of="other")
