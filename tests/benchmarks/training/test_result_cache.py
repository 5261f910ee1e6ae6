import dataclasses

import numpy as np
import pytest

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.training import result_cache as module
from lossbench.benchmarks.training.result import RunResult
from lossbench.benchmarks.training.result_cache import ResultCache, from_arrays, to_arrays


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
        {"loss": "cross-entropy", "loss_arguments": (("weight", (1.0, 2.0)),)},
    ],
)
def test_an_outcome_comes_back_as_it_was(trained, tmp_path, settings) -> None:
    result, cache = trained(**settings), ResultCache(tmp_path / "cache")
    assert cache.get(result.config, "print") is None
    cache.put(result, "print")
    back = cache.get(result.config, "print")
    assert same(result, back)
    assert back.config == result.config
    assert same(result, from_arrays(to_arrays(result), result.config))


def test_another_run_other_images_or_other_code_are_not_found(
    trained, tmp_path, monkeypatch
) -> None:
    result, cache = trained(), ResultCache(tmp_path)
    cache.put(result, "print")
    assert cache.get(dataclasses.replace(result.config, seed=5), "print") is None
    assert cache.get(result.config, "other") is None
    monkeypatch.setattr(module, "source_digest", lambda: "changed")
    assert cache.get(result.config, "print") is None


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 torn", b"not an archive"])
def test_a_damaged_file_is_as_good_as_none(trained, tmp_path, damage: bytes) -> None:
    result, cache = trained(), ResultCache(tmp_path)
    cache.put(result, "print")
    path = cache.path(result.config, "print")
    whole = path.read_bytes()
    path.write_bytes(damage)
    assert cache.get(result.config, "print") is None
    path.write_bytes(whole[: len(whole) // 2])
    assert cache.get(result.config, "print") is None
    cache.put(result, "print")
    assert same(cache.get(result.config, "print"), result)


def test_every_field_of_a_run_is_in_its_key() -> None:
    config = RunConfig("mse", 0, 0.1)
    changed = {"loss": "bce", "data": "x", "model": "lenet", "augmentation": "none"}
    changed |= {"loss_arguments": (("gamma", 1.0),), "record_examples": True, "test": True}
    changed |= {"initial_probability": 0.5, "stop_at_accuracy": 0.6}
    keys = {config.key()}
    for field in dataclasses.fields(RunConfig):
        value = changed.get(field.name, 7)
        keys.add(dataclasses.replace(config, **{field.name: value}).key())
    assert len(keys) == 1 + len(dataclasses.fields(RunConfig))
