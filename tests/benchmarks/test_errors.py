from lossbench.benchmarks.errors import unknown_name


def test_a_near_name_is_suggested_and_all_are_listed() -> None:
    text = str(unknown_name("colour", "gren", ["red", "green"]))
    assert text == "unknown colour 'gren': did you mean 'green'? choose from green, red"


def test_a_far_name_is_not() -> None:
    assert "did you mean" not in str(unknown_name("colour", "xyzzy", ["red", "green"]))
