import pytest

from lossbench.benchmarks.report.provenance import (
    data_items,
    format_mapping,
    machine_items,
    repeating,
)


def test_many_classes_are_counted_and_few_are_named():
    assert "classes" not in dict(data_items({"classes": ["dog", "cat"]}))
    assert dict(data_items({"classes": ["a", "b", "c"]}))["classes"] == "3: a, b, c"
    assert dict(data_items({"classes": list(map(str, range(37)))}))["classes"] == "37"


def test_long_lists_of_skipped_files_are_cut():
    skipped = dict(data_items({"skipped": [f"{i}.jpg" for i in range(25)]}))["skipped files"]
    assert skipped.startswith("25: 0.jpg, 1.jpg")
    assert skipped.endswith("19.jpg and 5 more")
    assert dict(data_items({"skipped": ["a"]}))["skipped files"] == "1: a"


def test_a_network_may_have_fewer_images_than_there_are():
    data = {"name": "x", "train": 40, "train_counts": [20, 20], "fingerprint": "f1"}
    key = "train images per network"
    assert dict(data_items(data | {"trained_on": [24, 40]}))[key] == "24 or 40"
    assert key not in dict(data_items(data | {"trained_on": [40]}))
    assert dict(data_items(data))["data fingerprint"] == "f1"


def test_what_is_missing_has_a_question_mark():
    assert dict(data_items({}))["data"] == "?"
    items = dict(machine_items({}))
    assert (items["git commit"], items["date"]) == ("none", "?")
    assert (
        format_mapping({"gpu": None, "seeds": [0, 1], "cores": 2}) == "gpu none, seeds 0 1, cores 2"
    )


def test_splits_tell_their_folders_and_what_is_left_out():
    data = {"test": 4, "test_counts": [2, 2], "classes": ["dog", "cat"]}
    items = data_items(data | {"origins": {"test": "from Test Data/"}, "left_out": ["a", "b"]})
    assert ("test images", "4 (2 dog, 2 cat), from Test Data/") in items
    assert [value for name, value in items if name == "left out"] == ["a", "b"]
    assert dict(data_items(data))["test images"] == "4 (2 dog, 2 cat)"


@pytest.mark.parametrize(
    ("command", "again"),
    [
        ("uv run lossbench compare --name x --seeds 3", "uv run lossbench compare --seeds 3"),
        ("lossbench compare --data 'my pets' --name=x", "lossbench compare --data 'my pets'"),
        ("lossbench compare --name", "lossbench compare"),
        ("lossbench compare 'torn", "lossbench compare 'torn"),
    ],
)
def test_a_command_is_repeated_without_the_name_that_is_taken(command: str, again: str) -> None:
    assert repeating(command) == again


def test_an_empty_list_is_none() -> None:
    assert format_mapping({"split": [], "losses": ["mse"], "data": None}) == (
        "split none, losses mse, data none"
    )
