"""Programs: the loops over the classes of a row that compute a graph, in order.

A reduction over the classes ends a loop, and nodes that use its result come after it. Nodes are
recomputed in every loop that uses them; expensive ones are kept in memory between loops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..tracing.graph import REDUCTIONS, Node, topological

OPERATORS = {
    "add": "({} + {})",
    "sub": "({} - {})",
    "mul": "({} * {})",
    "div": "({} / {})",
    "neg": "(-{})",
    "lt": "({} < {})",
    "le": "({} <= {})",
    "gt": "({} > {})",
    "ge": "({} >= {})",
    "eq": "({} == {})",
    "ne": "({} != {})",
    "same": "({} == {})",
    "and": "({} & {})",
    "or": "({} | {})",
}
"""Operation -> expression of its operands, the same in C++ and in Triton."""

CONSTANTS = ("const", "setting")

LITERALS = (0.0, 1.0, -1.0, 2.0, 0.5, math.inf, -math.inf)
"""Constants that are printed. All others are arguments, so that settings share a kernel."""

EXPENSIVE = (
    "exp",
    "exp_of_sum",
    "expm1",
    "log",
    "log1p",
    "log1p_of_share",
    "decay",
    "tanh",
    "pow",
    "exponential",
)
"""Elementwise operations that take longer than a store and a load."""

SOFTMAX = ("largest", "others")
"""Operations per row that a `Softmax` step computes: the largest number, and the sum of the other
exponentials."""


@dataclass
class Scalars:
    """Step that computes numbers per row, in order."""

    nodes: list[Node]


@dataclass
class Softmax:
    """Step that computes the largest number of a row in memory, and the sum of the exponentials
    of the others.

    `exponential` is the node of the exponentials, if later loops read them.
    """

    memory: Node
    exponential: Node | None


@dataclass
class First:
    """Step that finds the index of the largest number of a row in memory, after a `Softmax` of it
    if there is one."""

    node: Node


@dataclass
class Loop:
    """Step that passes over the classes: it reduces, and writes numbers per class to memory."""

    reductions: list[Node] = field(default_factory=list)
    kept: list[Node] = field(default_factory=list)
    gradient: Node | None = None

    @property
    def roots(self) -> list[Node]:
        reduced = [x.args[0] for x in self.reductions]
        stored = [x.args[0] if x.op == "buffer" else x for x in self.kept]
        return [*reduced, *stored, *([self.gradient] if self.gradient else [])]


@dataclass
class Store:
    """Step that writes the number of one class to memory; `target` None is the gradient."""

    target: Node | None
    index: Node
    value: Node


Step = Scalars | Softmax | First | Loop | Store


@dataclass
class Program:
    """The steps that compute the value, or the gradient, of one row.

    Attributes:
        steps: in order.
        memory: numbers per class that are kept in memory.
        value: the number per row that is returned; None for a gradient.
    """

    steps: list[Step]
    memory: list[Node]
    value: Node | None


def program(value: Node | None, gradient: Node | None, at: dict[Node, Node]) -> Program:
    """Return the program of a value, or of a gradient that is `at[i]` at the class of index i."""
    roots = [x for x in (value, gradient, *at.keys(), *at.values()) if x is not None]
    nodes = topological(roots)
    levels = _levels(nodes)
    loops: dict[int, Loop] = {}
    for node in nodes:
        if node.op in ("sum", "amax"):
            loops.setdefault(levels[node] - 1, Loop()).reductions.append(node)
        elif node.op == "buffer":
            loops.setdefault(levels[node] - 1, Loop()).kept.append(node)
    if gradient is not None:
        loops.setdefault(levels[gradient], Loop()).gradient = gradient
    _keep_expensive(nodes, loops)
    memory = [x for loop in loops.values() for x in loop.kept]
    memory += [x for x in nodes if x.op == "exponential" and _in_loops(x, loops)]
    steps: list[Step] = []
    for level in range(max(levels.values()) + 1):
        scalars = [x for x in nodes if levels[x] == level and _is_scalar(x)]
        if scalars:
            steps.append(Scalars(scalars))
        loop = loops.get(level)
        if loop:
            steps.append(loop)
            steps.extend(_stores(loop))
        ended = [x for x in nodes if levels[x] == level + 1]
        kept = {x.args[0]: x for x in memory if x.op == "exponential"}
        inputs = dict.fromkeys(x.args[0] for x in ended if x.op in SOFTMAX)
        steps.extend(Softmax(x, kept.get(x)) for x in inputs)
        steps.extend(First(x) for x in ended if x.op == "argmax")
    steps.extend(Store(None, index, node) for index, node in at.items())
    return Program(steps, memory, value)


def _stores(loop: Loop) -> list[Step]:
    """Return the stores of single classes that end a loop over buffers."""
    found: list[Step] = []
    for buffer in loop.kept:
        if buffer.op == "buffer":
            pairs = zip(buffer.args[1::2], buffer.args[2::2], strict=True)
            found.extend(Store(buffer, index, node) for index, node in pairs)
    return found


def _is_scalar(node: Node) -> bool:
    ended = (*REDUCTIONS, *SOFTMAX, "input", "const", "setting")
    return node.per == "row" and node.op not in ended


def _levels(nodes: list[Node]) -> dict[Node, int]:
    """Return the number of loops that must end before each node can be computed."""
    levels: dict[Node, int] = {}
    for node in nodes:
        before = max((levels[x] for x in node.operands), default=0)
        ends = node.op in (*REDUCTIONS, *SOFTMAX, "buffer")
        levels[node] = before + ends
    return levels


def loop_nodes(loop: Loop, in_memory: set[Node]) -> list[Node]:
    """Return the nodes per class that a loop computes or reads, operands first."""
    stored = set(loop.kept)

    def stop(node: Node) -> bool:
        return (
            node.per == "row" or node.op == "buffer" or (node in in_memory and node not in stored)
        )

    return [x for x in topological(loop.roots, stop) if x.per == "class"]


def _keep_expensive(nodes: list[Node], loops: dict[int, Loop]) -> None:
    """Keep expensive nodes that several loops use: the first of these loops stores them.

    The operand of a maximum is kept too: recomputed, it might differ from its own maximum.
    """
    uses: dict[Node, list[int]] = {}
    for level in sorted(loops):
        for node in loop_nodes(loops[level], set()):
            uses.setdefault(node, []).append(level)
    maximised = {x.args[0] for x in nodes if x.op == "amax" and x.args[0].op != "input"}
    for node in nodes:
        kept = node.op in EXPENSIVE or (node in maximised and node.op != "buffer")
        if kept and node.op != "exponential" and len(uses.get(node, ())) > 1:
            loops[uses[node][0]].kept.append(node)


def _in_loops(node: Node, loops: dict[int, Loop]) -> bool:
    return any(node in loop_nodes(loop, set()) for loop in loops.values())


def roots(steps: list[Step], value: Node | None) -> list[Node]:
    """Return the nodes that steps and the value need."""
    return [*(x for step in steps for x in _nodes_of(step)), *([value] if value else [])]


def _nodes_of(step: object) -> list[Node]:
    match step:
        case Scalars(nodes):
            return nodes
        case Loop():
            return step.roots
        case Store(_, index, value):
            return [index, value]
        case First(node):
            return [node]
    return []


def finds_largest(program: Program) -> bool:
    """Return whether a computed number is compared with the largest of a row.

    The class that has it must have the same bits in memory and as a number of its own.
    """
    nodes = topological(roots(program.steps, program.value))
    largest = [x for x in nodes if x.op == "amax" and not _is_read(x.args[0])]
    largest += [x for x in nodes if x.op == "max" and any(y in largest for y in x.operands)]
    return any(x.op == "eq" and any(y in largest for y in x.operands) for x in nodes)


def _is_read(node: Node) -> bool:
    """Return whether no operation rounds a number on its way from memory."""
    return node.op in _EXACT and all(map(_is_read, node.operands))


_EXACT = (
    "input",
    "const",
    "setting",
    "upcast",
    "neg",
    "abs",
    "min",
    "max",
    "amax",
    "argmax",
    "buffer",
)
