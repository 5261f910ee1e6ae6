"""What a claim's kept networks and verdict rest on changes only together with this table."""

import ast
import hashlib
import inspect
import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence.claim import Claim
from lossbench.benchmarks.evidence.design import FIRST_SEED
from lossbench.benchmarks.evidence.runner import CLAIMS, claim_of

TABLE = Path(__file__).with_name("pinned.json")
"""Of each claim: the hash of its design, and the digest of all that is not in the hash."""


def exact_limits(claim: Claim) -> dict[str, Any]:
    """Return the numbers, and the constants that are numbers, of the function with the limits."""
    function = claim.analysis.measures
    nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))))
    names = {node.id for node in nodes if isinstance(node, ast.Name) and node.id.isupper()}
    numbers = [n.value for n in nodes if isinstance(n, ast.Constant) and type(n.value) is float]
    constants = {name: function.__globals__[name] for name in sorted(names)}
    limits = {name: value for name, value in constants.items() if is_numeric(value)}
    return limits | {"numbers": sorted(numbers)}


def is_numeric(value: object) -> bool:
    """Tell whether a value is a number, or numbers by name."""
    if isinstance(value, dict):
        return all(map(is_numeric, value.values()))
    return isinstance(value, float)


def digest(claim: Claim) -> str:
    """Digest every setting of the claim's networks, defaults included, and its exact limits."""

    def settings(configs: dict[Any, list[RunConfig]]) -> list[Any]:
        return [[str(cell), [c.to_json() for c in each]] for cell, each in configs.items()]

    judged = claim.judged_configs({}, range(FIRST_SEED, FIRST_SEED + 1))
    content = [settings(claim.search_configs()), settings(judged), exact_limits(claim)]
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@pytest.mark.parametrize("name", CLAIMS)
def test_what_a_verdict_rests_on_is_as_it_was(name):
    claim = claim_of(name)
    found = [claim.design.hash, digest(claim)]
    assert json.loads(TABLE.read_text())[name] == found, (
        f"{name}: the design (first), or the other settings or exact limits of its networks "
        "(second), are not those that its report was made with. Another design, or a change of a "
        "default or limit that may change a trained number or a verdict, needs the claim to be "
        "examined again, and such a change a new design, because the hash does not see it. Then, "
        f'or if it touches no number, such as a new setting: "{name}": {json.dumps(found)} in '
        f"{TABLE.name}."
    )


def test_the_digest_sees_limits_and_defaults(monkeypatch):
    saturation, zero_one, likelihood = map(claim_of, ("saturation", "zero-one", "likelihood"))
    assert exact_limits(saturation)["ROUNDING"] == 1e-5
    assert exact_limits(zero_one)["numbers"] == [0.0, 0.0, 0.0]
    assert exact_limits(likelihood)["VALUE_ERROR"]["float64"] == 1e-12
    design, before = saturation.design.hash, digest(saturation)
    to_json = RunConfig.to_json
    monkeypatch.setattr(RunConfig, "to_json", lambda run: to_json(run) | {"batch_size": 65})
    assert digest(saturation) != before
    monkeypatch.undo()
    monkeypatch.setitem(saturation.analysis.measures.__globals__, "ROUNDING", 1e-4)
    assert digest(saturation) != before
    assert saturation.design.hash == design
