"""Printing of a traced loss as Triton: two functions, its value and its gradient.

A kernel of `runtime/` calls them. Numbers per row are tensors (ROWS, 1), numbers per class
(ROWS, BLOCK), one block of classes at a time. Nothing is kept between passes over the classes:
what a later pass needs is computed again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from ...tracing.graph import Node, topological
from ...tracing.trace import Placeholder
from ..program import (
    CONSTANTS,
    LITERALS,
    OPERATORS,
    First,
    Loop,
    Program,
    Scalars,
    Softmax,
    finds_largest,
    program,
)

HEADER = """import triton
import triton.language as tl

from .numbers import *
from .softmax import *


"""

EXPRESSIONS = {
    **OPERATORS,
    "not": "(~{})",
    "where": "tl.where({}, {}, {})",
    "isinf": "(tl.abs({}) == INFINITY)",
    "isnan": "({0} != {0})",
    "abs": "tl.abs({})",
    "max": "larger({}, {})",
    "min": "smaller({}, {})",
    "upcast": "{}.to(tl.float64)",
    "downcast": "{}.to(tl.float32)",
    "sqrt": "root({})",
    "pow": "power({}, {})",
    "decay": "decay(-{}, NARROW)",
    "exp_of_sum": "exp({}) * exp({})",
    "exponential": "exponential({}, {}, NARROW)",
    **{
        name: name + "({})"
        for name in (
            "exp",
            "expm1",
            "log",
            "log1p",
            "log1p_of_share",
            "sign",
            "tanh",
            "round_to_bfloat16",
        )
    },
}
"""Operation -> Triton expression of its operands."""

Functions = tuple[list[str], list[str]]
"""The lines of the value and of the gradient."""


class Printed(NamedTuple):
    """A loss in Triton.

    Attributes:
        text: a module of the package `runtime` with the functions `value` and `gradient`.
        constants: what their argument `k_at` points to.
        saves: whether the value saves two numbers per row for the gradient.
        exact: whether a number has to have the same bits wherever it is computed.
    """

    text: str
    constants: tuple[float, ...]
    saves: bool
    exact: bool = False


class _Constants:
    """The constants of a loss, in the order in which it reads them."""

    def __init__(self) -> None:
        self.keys: list[tuple[str, float]] = []

    def text(self, node: Node, float64: bool) -> str:
        value = node.args[0]
        if isinstance(value, bool):
            return str(value)
        if node.op == "const" and value in LITERALS:
            return ("-" * (value < 0) + "INFINITY") if math.isinf(value) else repr(value)
        if (node.op, value) not in self.keys:
            self.keys.append((node.op, value))
        return f"{'d' if float64 else 'k'}{self.keys.index((node.op, value))}"

    def lines(self) -> list[str]:
        """Return the lines that read the constants, as float64 and as float32."""
        found = []
        for i in range(len(self.keys)):
            found += [f"d{i} = tl.load(k_at + {i})", f"k{i} = d{i}.to(tl.float32)"]
        return found

    def module(self, signatures: tuple[str, str], bodies: Functions, saves: bool) -> Printed:
        text = HEADER
        for name, signature, body in zip(("value", "gradient"), signatures, bodies, strict=True):
            lines = "".join(f"    {line}\n" for line in (*self.lines(), *body))
            text += f"@triton.jit\ndef {name}({signature}):\n{lines}\n\n"
        return Printed(text, tuple(value for _, value in self.keys), saves)


def elements(value: Placeholder, gradient: Placeholder) -> Printed:
    """Print a loss of single elements, or of pairs."""
    constants = _Constants()
    bodies = _element(value.base, constants), _element(gradient.base, constants)
    signature = "z, t, w, k_at, NARROW: tl.constexpr"
    return constants.module((signature, signature), bodies, saves=False)


def rows(value: Placeholder, gradient: Placeholder) -> Printed:
    """Print a loss of rows."""
    constants = _Constants()
    programs = program(value.base, None, {}), program(None, gradient.base, gradient.at)
    saves = all(any(map(_of_logits, each.steps)) for each in programs)
    bodies = (
        _Rows(programs[0], constants, {}, saves).body(),
        _Rows(programs[1], constants, gradient.at, saves).body(),
    )
    sizes = "classes, k_at, NARROW: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr"
    given = "z_at, t_at, w_at, saved_at, y, here"
    signatures = f"{given}, {sizes}", f"{given}, g_at, stored, factor, {sizes}"
    printed = constants.module(signatures, bodies, saves)
    return printed._replace(exact=any(map(finds_largest, programs)))


def _of_logits(step: object) -> bool:
    return isinstance(step, Softmax) and step.memory.args == ("z",)


def _expression(node: Node, texts: Iterable[str | None], constants: _Constants) -> str:
    """Return the expression of a node from those of its operands; None stands for a constant."""
    float64 = any(x.sort == "float64" for x in node.operands)
    found = []
    for position, (operand, text) in enumerate(zip(node.operands, texts, strict=True)):
        exponent = node.op == "pow" and position == 1
        found.append(constants.text(operand, float64 or exponent) if text is None else text)
    return EXPRESSIONS[node.op].format(*found)


def _element(result: Node, constants: _Constants) -> list[str]:
    names: dict[Node, str] = {}
    lines = []
    for node in topological([result]):
        if node.op == "input":
            names[node] = node.args[0]
        elif node.op not in CONSTANTS:
            text = _expression(node, map(names.get, node.operands), constants)
            names[node] = f"v{len(names)}"
            lines.append(f"{names[node]} = {text}")
    return [*lines, f"return {names.get(result) or constants.text(result, float64=False)}"]


class _Rows:
    """Printer of a program as Triton that handles ROWS rows in blocks of BLOCK classes.

    Args:
        at: the gradient at the classes of indices.
        saves: whether statistics of the logits are saved by the value and read by the gradient.
    """

    def __init__(
        self, program: Program, constants: _Constants, at: dict[Node, Node], saves: bool
    ) -> None:
        self.program, self.constants, self.at, self.saves = program, constants, at, saves
        self.names: dict[Node, str] = {}
        self.lines: list[str] = []
        loops = [x for x in program.steps if isinstance(x, Loop)]
        self.gradient = next((x.gradient for x in loops if x.gradient is not None), None)

    def body(self) -> list[str]:
        for step in self.program.steps:
            match step:
                case Scalars(nodes):
                    for node in nodes:
                        text = self.row(node)
                        self.names[node] = f"x{len(self.names)}"
                        self.lines.append(f"{self.names[node]} = {text}")
                case Loop():
                    self.loop(step)
                case Softmax(memory):
                    self.softmax(memory)
                case First(node):
                    self.first(node)
        if self.gradient is not None:
            self.store(self.gradient)
        value = self.program.value
        if value is not None:
            cast = ".to(tl.float32)" if value.sort == "float64" else ""
            self.lines.append(f"return {self.operand(value, {})}{cast}")
        return self.lines

    def operand(self, node: Node, local: dict[Node, str], float64: bool = False) -> str:
        if node.op in CONSTANTS:
            return self.constants.text(node, float64)
        if node.op == "input" and node.per == "row":
            return {"y": "y", "classes": "tl.full((1, 1), classes, tl.float32)"}[node.args[0]]
        return local[node] if node in local else self.names[node]

    def text(self, node: Node, local: dict[Node, str]) -> str:
        texts = (None if x.op in CONSTANTS else self.operand(x, local) for x in node.operands)
        return _expression(node, texts, self.constants)

    # --- one number per row ----------------------------------------------------------------------

    def row(self, node: Node) -> str:
        return self.element(*node.operands) if node.op == "element" else self.text(node, {})

    def element(self, node: Node, index: Node) -> str:
        """Return the expression of a node at the class of an index."""
        where = self.operand(index, {})
        if node.per == "row":
            return self.operand(node, {})
        if node.op == "input":
            return f"at_class({node.args[0]}_at, {where}, here, classes)"
        if node.op == "buffer":
            return self.replaced(self.element(node.operands[0], index), node, where, {})
        texts = (None if x.op in CONSTANTS else self.element(x, index) for x in node.operands)
        return _expression(node, texts, self.constants)

    def replaced(self, text: str, buffer: Node, where: str, local: dict[Node, str]) -> str:
        """Return an expression with the numbers of a buffer at the classes of its indices."""
        pairs = buffer.operands[1:]
        for index, value in zip(pairs[::2], pairs[1::2], strict=True):
            other = self.operand(value, local, buffer.sort == "float64")
            text = f"tl.where({where} == {self.operand(index, local)}, {other}, {text})"
        return text

    # --- passes over the classes -----------------------------------------------------------------

    def per_class(self, roots: list[Node]) -> tuple[list[str], dict[Node, str]]:
        """Return the lines that compute nodes for a block of classes c, and their names."""
        local: dict[Node, str] = {}
        lines = []
        for node in topological(roots, stop=lambda x: x.per == "row"):
            if node.per == "row":
                continue
            if node.op == "input":
                text = f"of_classes({node.args[0]}_at, c, inside)"
            elif node.op == "buffer":
                base = self.operand(node.operands[0], local, node.sort == "float64")
                text = self.replaced(base, node, "c", local)
            else:
                text = self.text(node, local)
            local[node] = f"e{len(local)}"
            lines.append(f"{local[node]} = {text}")
        return lines, local

    def over_classes(self, lines: list[str], indent: str = "") -> None:
        self.lines.append(f"{indent}for begin in range(0, classes, BLOCK):")
        head = ("c = begin + tl.arange(0, BLOCK)[None, :]", "inside = here & (c < classes)")
        self.lines.extend(f"{indent}    {line}" for line in (*head, *lines))

    def start(self, name: str, number: str, float64: bool, indent: str = "") -> None:
        """Print the number of every row before a pass."""
        dtype = "tl.float64" if float64 else "tl.float32"
        self.lines.append(f"{indent}{name} = tl.full((ROWS, 1), {number}, {dtype})")

    def loop(self, loop: Loop) -> None:
        if not loop.reductions:
            return
        lines, local = self.per_class([x.args[0] for x in loop.reductions])
        for node in loop.reductions:
            self.names[node] = f"r{len(self.names)}"
            lines.append(self.reduction(node, local))
        self.over_classes(lines)
        for node in loop.reductions:
            if node.op == "sum" and node.sort != "float64":
                self.lines.append(f"{self.names[node]} = {self.names[node]}.to(tl.float32)")

    def store(self, gradient: Node) -> None:
        """Print the pass that writes the gradient, when all numbers per row are known."""
        lines, local = self.per_class([gradient])
        text = self.operand(gradient, local)
        for index, value in self.at.items():
            text = f"tl.where(c == {self.operand(index, {})}, {self.operand(value, {})}, {text})"
        lines.append(f"of_class = tl.where(here, factor * {text}, 0.0)")
        lines.append("tl.store(g_at + c, of_class, mask=stored & (c < classes))")
        self.over_classes(lines)

    def reduction(self, node: Node, local: dict[Node, str]) -> str:
        """Return the line that adds a block of classes to a reduction."""
        x, *without = node.args
        name, float64 = self.names[node], node.sort == "float64"
        text = self.operand(x, local, float64)
        among = " & ".join(["inside", *(f"(c != {self.operand(i, {})})" for i in without)])
        if node.op == "amax":
            self.start(name, "-INFINITY", float64)
            return f"{name} = larger({name}, largest(tl.where({among}, {text}, -INFINITY)))"
        # In float64, so that the number of blocks does not matter.
        self.start(name, "0.0", float64=True)
        return f"{name} += tl.sum(tl.where({among}, {text}, 0.0), 1, keep_dims=True)"

    def softmax(self, memory: Node) -> None:
        """Print the largest number of a row and the sum of its other exponentials."""
        lines, local = self.per_class([memory])
        name = f"s{len(self.names)}"
        sums, both = f"{name}_most, {name}_below, {name}_ties", f"{name}_largest, {name}_others"
        counted = f"tl.where(inside, {local[memory]}, -INFINITY)"
        if memory.op == "input":
            lines = []
            counted = f"of_classes({memory.args[0]}_at, c, inside, -INFINITY)"
        lines.append(f"{sums} = exponentials({counted}, {sums}, NARROW)")
        saved = self.saves and memory.args == ("z",)
        restored = saved and self.program.value is None
        indent = "    " * restored
        if restored:
            self.lines.append("if saved_at is not None:")
            self.lines.append(f"    {both} = restored(saved_at, here)")
            self.lines.append("else:")
        self.start(f"{name}_most", "-INFINITY", memory.sort == "float64", indent)
        self.start(f"{name}_below", "0.0", float64=True, indent=indent)
        self.start(f"{name}_ties", "0.0", float64=True, indent=indent)
        self.over_classes(lines, indent)
        self.lines.append(f"{indent}{both} = statistics({sums})")
        if saved and not restored:
            self.lines.append(f"if saved_at is not None:\n        save(saved_at, here, {both})")
        for node in self.nodes():
            if node.op in ("largest", "others") and node.args[0] is memory:
                self.names[node] = f"{name}_{node.op}"

    def nodes(self) -> list[Node]:
        """Return all nodes of the program."""
        roots = [x for x in (*self.at, *self.at.values(), self.program.value) if x is not None]
        for step in self.program.steps:
            if isinstance(step, Scalars):
                roots.extend(step.nodes)
            elif isinstance(step, Loop):
                roots.extend(step.roots)
        return topological(roots)

    def first(self, node: Node) -> None:
        """Print the index of the first of the largest numbers of a row."""
        memory = node.args[0]
        lines, local = self.per_class([memory])
        name = self.names[node] = f"f{len(self.names)}"
        self.start(f"{name}_most", "-INFINITY", memory.sort == "float64")
        self.lines.append(f"{name} = tl.zeros((ROWS, 1), tl.int32)")
        counted = f"tl.where(inside, {local[memory]}, -INFINITY)"
        both = f"{name}_most, {name}"
        lines.append(f"{both} = first_of_largest({counted}, c, {both})")
        self.over_classes(lines)
