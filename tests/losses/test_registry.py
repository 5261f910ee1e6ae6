"""Names, and how a user adds one of their own."""

import doctest
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossbench import losses
from lossbench.losses import Entry, registry
from lossbench.losses.regression import mse_textbook

from .cases import each_built_in


class AbsoluteLoss(nn.Module):
    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return (input - target).abs().mean()


ROOT = Path(losses.__file__).resolve().parents[1]
OWN = Entry(
    "absolute", AbsoluteLoss, "binary", "outputs", ("probability",), mse_textbook, "absolute error"
)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Entry:
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry.add(OWN)
    return OWN


def test_every_exported_module_is_registered() -> None:
    exported = {getattr(losses, name) for name in losses.__all__ if name.endswith("Loss")}
    # The base class, and a layer with its loss.
    others = {losses.Loss, losses.LinearCrossEntropyLoss}
    assert exported - others == {entry.module for entry in registry.ENTRIES}


def test_names_are_in_the_order_of_registration(own: Entry) -> None:
    assert registry.names()[-1] == own.name
    assert registry.names("binary")[-1] == own.name
    assert own.name not in registry.names("multiclass")
    for task in ("binary", "multiclass"):
        expected = [name for name in registry.names() if registry.entry(name).task == task]
        assert list(registry.names(task)) == expected
    assert registry.names()[:2] == ("zero-one", "probability-sum")


@each_built_in
def test_every_entry_builds_what_it_names(entry: Entry) -> None:
    assert registry.entry(entry.name) is entry
    module = registry.get(entry.name)
    assert type(module) is entry.module
    assert {name: getattr(module, name) for name in entry.settings} == dict(entry.settings)
    assert type(module).__name__ in losses.__all__
    assert entry.summary
    assert entry.textbook is not None
    assert entry.name == entry.name.lower()


def test_a_textbook_formula_refuses_an_unknown_reduction() -> None:
    reference = registry.entry("mse").reference
    assert reference is not None
    with pytest.raises(ValueError, match="did you mean 'mean'"):
        reference(torch.zeros(2), torch.zeros(2), "men")


def test_settings_are_passed() -> None:
    module = registry.get("cross-entropy", label_smoothing=0.25, reduction="sum")
    assert (module.label_smoothing, module.reduction) == (0.25, "sum")
    with pytest.raises(TypeError, match="label_smoothing"):
        registry.get("mse", label_smoothing=0.1)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("cross_entropy", "cross-entropy"),
        ("bernouli", "bernoulli-sum"),
        ("softmaxmse", "softmax-mse"),
    ],
)
@pytest.mark.parametrize("look_up", [registry.entry, registry.get], ids=["entry", "get"])
def test_an_unknown_name_gets_the_nearest(look_up: object, wrong: str, near: str) -> None:
    assert callable(look_up)
    with pytest.raises(KeyError, match=f"unknown loss '{wrong}': did you mean '{near}'"):
        look_up(wrong)


def test_a_name_near_nothing_gets_the_list() -> None:
    with pytest.raises(KeyError) as caught:
        registry.get("qqqq")
    assert "did you mean" not in str(caught.value)
    assert all(name in str(caught.value) for name in registry.names())


def test_a_loss_of_ones_own(own: Entry) -> None:
    assert registry.entry("absolute") is own
    assert registry.get("absolute")(torch.tensor([3.0]), torch.tensor([1.0])) == 2.0


@pytest.mark.parametrize("name", ["absolute", "mse"])
@pytest.mark.usefixtures("own")
def test_a_name_is_given_once(name: str) -> None:
    before = registry.names()
    taken = Entry(
        name, AbsoluteLoss, "binary", "outputs", ("probability",), mse_textbook, "another"
    )
    with pytest.raises(ValueError, match=f"{name!r} is already registered"):
        registry.add(taken)
    assert registry.names() == before
    assert registry.entry(name) is not taken


@pytest.mark.parametrize("name", ["Mine", "a/b", "", "../x", "two words"])
@pytest.mark.usefixtures("own")
def test_a_name_has_to_be_a_file_name(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a loss"):
        registry.register(name, task="binary")(AbsoluteLoss)


@pytest.mark.parametrize(
    ("facts", "error", "words"),
    [
        ({"task": "binry"}, ValueError, ("task", "'binry'", "did you mean 'binary'")),
        ({"takes": "logit"}, ValueError, ("takes", "'logit'", "did you mean 'logits'")),
        ({"targets": ("indx",)}, ValueError, ("targets", "'indx'", "did you mean 'index'")),
        ({"targets": ("probability",)}, ValueError, ("targets", "'probability'", "index")),
        ({"targets": "index"}, TypeError, ("targets", "tuple")),
        ({"settings": 3}, TypeError, ("settings", "dict")),
        ({"textbook": "plain"}, TypeError, ("textbook", "function")),
    ],
    ids=lambda x: str(x) if isinstance(x, dict) else "",
)
@pytest.mark.usefixtures("own")
def test_a_field_that_is_none_is_refused(
    facts: dict[str, Any], error: type, words: tuple[str, ...]
) -> None:
    before = registry.names()
    with pytest.raises(error) as caught:
        registry.register("another", **facts)(AbsoluteLoss)
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)
    assert registry.names() == before


@pytest.mark.usefixtures("own")
def test_what_is_registered_is_a_class_with_a_name() -> None:
    with pytest.raises(TypeError, match=r"@losses.register\("):
        registry.register(AbsoluteLoss)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="class that gives modules"):
        registry.register("another")(AbsoluteLoss())
    with pytest.raises(TypeError, match="must be an Entry"):
        registry.add(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="found by its name"):
        registry.get(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown task 'binry'"):
        registry.names("binry")  # type: ignore[arg-type]


@pytest.mark.parametrize("body", ["1 / 0", "import sys; sys.exit(3)", "def f(:", "import nothing"])
def test_a_module_that_fails_is_an_import_error(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_losses.py").write_text(body)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="'broken_losses' cannot be imported"):
        registry.entry("broken_losses:Mine")


@pytest.mark.parametrize("name", [":Mine", ".:Mine", "..x:Mine"])
def test_a_name_without_a_module_is_an_import_error(name: str) -> None:
    with pytest.raises(ImportError, match="cannot be imported"):
        registry.entry(name)


# --- losses of other projects --------------------------------------------------------------------

PLUGIN = """
import torch
from lossbench.losses import register


@register("softplus", task="binary", summary="softplus of the wrong side")
class Softplus(torch.nn.Module):
    def __init__(self, reduction="mean"):
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"{reduction!r} is not a valid value for reduction")
        self.reduction = reduction

    def extra_repr(self):
        return f"reduction={self.reduction!r}"

    def forward(self, input, target):
        each = torch.nn.functional.softplus(input) - target * input
        return each if self.reduction == "none" else getattr(each, self.reduction)()
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package with a loss of its own; return the path of its module."""
    (tmp_path / "plugged.py").write_text(PLUGIN)
    about = tmp_path / "plugged-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[lossbench.losses]\nsoftplus = plugged:Softplus\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "plugged", raising=False)
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    return tmp_path / "plugged.py"


@pytest.mark.usefixtures("plugin")
def test_an_installed_loss_is_imported_when_it_is_asked_for() -> None:
    assert registry.installed() == ("softplus",)
    assert "softplus" not in registry.names()
    assert "plugged" not in sys.modules
    assert repr(registry.get("softplus", reduction="sum")) == "Softplus(reduction='sum')"
    assert "softplus" in registry.names("binary")
    assert registry.installed() == ()


@pytest.mark.slow
def test_the_tests_of_every_loss_run_for_an_installed_one(plugin: Path) -> None:
    files = ("test_properties.py", "test_closed_form.py", "test_modules.py", "test_arguments.py")
    paths = [str(Path(__file__).with_name(file)) for file in files]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "softplus"]
    path = os.pathsep.join([str(plugin.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, *paths],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 10


def test_an_installed_loss_that_fails_is_an_import_error(plugin: Path) -> None:
    plugin.write_text("1 / 0")
    reason = r"the installed loss 'softplus' \(plugged:Softplus\) cannot be .*: division by zero$"
    with pytest.raises(ImportError, match=reason):
        registry.get("softplus")


@pytest.mark.usefixtures("plugin")
def test_a_class_of_ones_own_is_found_by_its_module() -> None:
    assert repr(registry.get("plugged:Softplus")) == "Softplus(reduction='mean')"
    assert registry.entry("plugged:Softplus").name == "softplus"


def test_what_is_no_loss_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="without arguments: TypeError"):
        registry.entry("torch.nn:Linear")
    with pytest.raises(ImportError, match="has no 'Nothing'"):
        registry.entry("torch.nn:Nothing")


# --- examples ------------------------------------------------------------------------------------

MODULES = [
    losses,
    *(import_module(m.name) for m in walk_packages(losses.__path__, "lossbench.losses.")),
]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_examples_in_the_documentation_run(module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(module, optionflags=flags).failed == 0  # type: ignore[arg-type]


def test_there_are_examples() -> None:
    assert sum(len(doctest.DocTestFinder().find(m)) > 0 for m in MODULES) > 10
    assert sum(len(t.examples) for m in MODULES for t in doctest.DocTestFinder().find(m)) > 20
