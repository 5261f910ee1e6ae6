"""Printing of a traced loss of single elements as C++: one struct with its value and gradient."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from ..tracing.graph import Node, topological
from ..tracing.trace import Placeholder
from .program import CONSTANTS, LITERALS, OPERATORS

EXPRESSIONS = {
    **OPERATORS,
    "not": "(!{})",
    "where": "({} ? {} : {})",
    "isinf": "infinite({})",
    "isnan": "({0} != {0})",
    "abs": "magnitude({})",
    "max": "larger({}, {})",
    "min": "smaller({}, {})",
    "upcast": "double({})",
    "downcast": "T({})",
    "decay": "decay(-{})",
    "exp_of_sum": "exp_of_sum({}, {})",
    "exponential": "exponential({}, {})",
    **{
        name: name + "({})"
        for name in (
            *("exp", "expm1", "log", "log1p", "log1p_of_share", "sign", "sqrt"),
            *("tanh", "round_to_bfloat16"),
        )
    },
}
"""Operation -> C++ expression of its operands."""

HEADER = (
    "namespace losses {{\n\nusing T = {scalar};\n\n}}  // namespace losses\n\n"
    '#include "{driver}.h"\n\nnamespace losses {{\n\n'
)
"""The headers read the dtype of the kernel, T."""


class Constants:
    """The constants of a kernel, in the order of its argument."""

    def __init__(self) -> None:
        self.keys: list[tuple[str, float]] = []

    @property
    def values(self) -> list[float]:
        return [value for _, value in self.keys]

    def text(self, node: Node, float64: bool) -> str:
        value = node.args[0]
        if isinstance(value, bool):
            return "true" if value else "false"
        cast = "double" if float64 else "T"
        if value in LITERALS and node.op == "const":
            if math.isinf(value):
                return f"({'-' * (value < 0)}infinity<{cast}>)"
            return f"{cast}({value!r})"
        key = (node.op, value)
        if key not in self.keys:
            self.keys.append(key)
        return f"{'d' if float64 else 'k'}{self.keys.index(key)}"

    def copies(self) -> list[str]:
        """Return the C++ lines that copy the constants into local variables."""
        return [
            f"[[maybe_unused]] const {scalar} {name} = this->{name};"
            for k in range(len(self.keys))
            for scalar, name in (("T", f"k{k}"), ("double", f"d{k}"))
        ]

    def declarations(self) -> str:
        indices = range(len(self.keys))
        if not self.keys:
            return "  explicit Loss(const double*) {}\n"
        members = ", ".join(
            [f"k{i}(T(k[{i}]))" for i in indices] + [f"d{i}(k[{i}])" for i in indices]
        )
        return (
            f"  const T {', '.join(f'k{i}' for i in indices)};\n"
            f"  const double {', '.join(f'd{i}' for i in indices)};\n"
            f"  explicit Loss(const double* k) : {members} {{}}\n"
        )


def expression(node: Node, operands: Iterable[str]) -> str:
    if node.op == "pow":
        x, exponent = operands
        return f"power({x}, {exponent})"
    if node.op == "where" and node.sort in ("float", "float64"):
        condition, *values = operands
        return f"select<{c_type(node)}>({condition}, {', '.join(values)})"
    if node.op == "where" and node.sort == "bool":
        condition, one, other = operands
        return f"(({condition} & {one}) | (!{condition} & {other}))"  # without a branch
    return EXPRESSIONS[node.op].format(*operands)


def c_type(node: Node) -> str:
    return {"float": "T", "float64": "double", "bool": "bool", "index": "int"}[node.sort]


class Source(NamedTuple):
    """A kernel's C++ text, its constants, whether its value saves numbers for its gradient, and
    whether a number has to have the same bits wherever it is computed."""

    text: str
    constants: tuple[float, ...]
    saves: bool = False
    exact: bool = False


def elements_source(
    value: Placeholder,
    gradient: Placeholder,
    inputs: tuple[str, ...],
    scalar: str,
    driver: str,
    of_right_class: tuple[Node | None, Node | None],
) -> Source:
    """Print a loss of single elements, or of pairs; `driver` is the header that calls it.

    Args:
        of_right_class: value and gradient of the target 1, each if that of 0 is the same of -z.
    """
    constants = Constants()
    functions = [
        _element_function("value", value.base, inputs, constants),
        _element_function("gradient", gradient.base, inputs, constants),
    ]
    for name, node in zip(("value", "gradient"), of_right_class, strict=True):
        known = str(node is not None).lower()
        functions.append(f"  static constexpr bool has_right_{name} = {known};\n")
        if node is not None:
            functions.append(_element_function(f"right_{name}", node, ("z",), constants))
    text = struct_text(driver, scalar, constants, "\n".join(functions), len(inputs))
    return Source(text, tuple(constants.values))


def _element_function(
    name: str, result: Node, inputs: tuple[str, ...], constants: Constants
) -> str:
    names: dict[Node, str] = {}
    lines = []
    for node in topological([result]):
        if node.op in CONSTANTS:
            continue
        if node.op == "input":
            names[node] = node.args[0]
            continue
        names[node] = f"v{len(names)}"
        operands = operands_of(node, names, constants)
        lines.append(f"    const {c_type(node)} {names[node]} = {expression(node, operands)};\n")
    parameters = ", ".join(f"[[maybe_unused]] T {name}" for name in inputs)
    final = names[result] if result in names else constants.text(result, float64=False)
    return (
        f"  INLINE T {name}({parameters}) const {{\n{''.join(lines)}    return T({final});\n  }}\n"
    )


def operands_of(node: Node, names: dict[Node, str], constants: Constants) -> list[str]:
    float64 = any(x.sort == "float64" for x in node.operands)
    found = []
    for position, x in enumerate(node.operands):
        exponent = node.op == "pow" and position == 1
        found.append(names[x] if x.op not in CONSTANTS else constants.text(x, float64 or exponent))
    return found


def struct_text(driver: str, scalar: str, constants: Constants, functions: str, inputs: int) -> str:
    return (
        HEADER.format(driver=driver, scalar=scalar)
        + f"struct Loss {{\n  static constexpr int W = 64 / sizeof(T), inputs = {inputs};\n"
        + constants.declarations()
        + "\n"
        + functions
        + "};\n\n}  // namespace losses\n\n"
        + '#include "entry.h"\n'
    )
