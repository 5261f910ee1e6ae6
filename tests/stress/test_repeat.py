import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossbench import models

from .repeat import (
    Stability,
    control_line,
    perturb,
    reference_verdicts,
    stabilities,
    verdict_lines,
)


def test_a_perturbed_network_differs_in_the_last_bit_alone() -> None:
    model = models.build("convnet", width=4)
    moved = [perturb(copy.deepcopy(model), repetition) for repetition in (0, 0, 1)]
    bits = [
        torch.cat([p.detach().flatten() for p in each.parameters()]).view(torch.int32)
        for each in (model, *moved)
    ]
    for other in bits[1:]:
        differences = (other - bits[0]).abs()
        # The float next to 0 has another sign or is subnormal.
        assert differences[bits[0] != 0].max() == 1
        assert 0.5 < (differences > 0).float().mean() < 0.8
    assert torch.equal(bits[1], bits[2])
    assert not torch.equal(bits[1], bits[3])


def test_a_verdict_that_should_repeat_is_counted() -> None:
    key, other = ("normal", "mse"), ("normal", "sigmoid-mse")
    repeated = [{key: v, other: "undecided"} for v in ["worse"] * 3 + ["undecided", "better"]]
    found = stabilities([*repeated, {key: "worse"}], {key: "worse"})
    assert found[key] == Stability("worse", 6, 4, 1, {"undecided": 1, "better": 1})
    assert found[other] == Stability("undecided", 5, 5, 0, {})  # the most frequent one
    assert verdict_lines(found)[2:] == [
        "| normal | mse | worse | 4 of 6 | 1 | worse → undecided: 1, worse → better: 1 |",
        "| normal | sigmoid-mse | undecided | 5 of 5 | 0 | – |",
    ]
    assert stabilities(repeated, {key: "equivalent"})[key].reversed == 0


def test_the_reference_is_that_of_the_same_settings(tmp_path) -> None:
    def experiment(name: str, verdict: str, **changes: object) -> Path:
        directory = tmp_path / name / "normal"
        directory.mkdir(parents=True)
        rates = {"cross-entropy": 0.3, "mse": 0.1}
        config = {"epochs": 2, "name": name, "losses": list(rates), "learning_rates": rates}
        about: dict[str, Any] = {
            "config": config | changes,
            "data": {"fingerprint": "abc"},
            "identities": {"nll": {}},
        }
        losses = {
            "cross-entropy": {"minus_cross_entropy": None},
            "mse": {"minus_cross_entropy": {"verdict": verdict}},
        }
        (directory / "experiment.json").write_text(json.dumps(about))
        (directory / "summary.json").write_text(json.dumps({"losses": losses}))
        return directory

    more = {"cross-entropy": 0.3, "mse": 0.1, "nll": 0.3}  # a multiple, which is not repeated
    kept = experiment("comparison", "equivalent", losses=list(more), learning_rates=more).parent
    again, longer = experiment("repetition-0", "worse"), experiment("other", "worse", epochs=3)
    expected = {("normal", "mse"): "equivalent"}
    assert reference_verdicts({"normal": again}, kept) == expected
    assert reference_verdicts({"normal": longer}, kept) == {}
    faster = {"cross-entropy": 0.3, "mse": 0.3}
    assert (
        reference_verdicts({"normal": experiment("b", "worse", learning_rates=faster)}, kept) == {}
    )
    assert reference_verdicts({"confidently-wrong": again}, kept) == {}


def test_pairs_that_are_called_different_are_counted() -> None:
    draw = np.random.default_rng(0)
    alike = [draw.random((5, 400)) < 0.7 for _ in range(3)]
    assert control_line("normal", [alike[0], alike[0]]) == "| normal | 1 | 0 | 0.0 | 5 |"
    apart = draw.random((5, 400)) < 0.4
    assert control_line("normal", [*alike, apart]).startswith("| normal | 6 | 3 | 50.0 |")
