"""Graphs for torch's operations, simplified by what is known of the size of numbers.

A graph with a bound assumes that no number of its inputs is larger. Then most numbers of a formula
are provably finite, so that the care for infinities and NaN, which costs torch as much as the
formula itself, is left out. A graph without a bound assumes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from ...tracing.graph import COMPARISONS, Graph, Node, Per, Sort

BOUND = 32.0
"""Largest number of the inputs of a graph with a bound."""
_HUGE = 1e30
_TINY = 1e-36

Bounds = tuple[float, float]


def _corners(f: Callable[[float, float], float], a: Bounds, b: Bounds) -> Bounds:
    found = [f(x, y) for x, y in product(a, b)]
    return min(found), max(found)


def _divided(a: Bounds, b: Bounds) -> Bounds | None:
    return None if b[0] <= 0 <= b[1] else _corners(lambda x, y: x / y, a, b)


def _power(a: Bounds, b: Bounds) -> Bounds | None:
    return _corners(pow, a, b) if a[0] > 0 else None


def _increasing(f: Callable[[float], float], above: float = -math.inf) -> Callable[[Bounds], Any]:
    return lambda a: (f(a[0]), f(a[1])) if above < a[0] else None


def _magnitude(a: Bounds) -> Bounds:
    least = 0.0 if a[0] <= 0 <= a[1] else min(map(abs, a))
    return least, max(map(abs, a))


_BOUNDS: dict[str, Callable[..., Bounds | None]] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "mul": lambda a, b: _corners(lambda x, y: x * y, a, b),
    "div": _divided,
    "pow": _power,
    "neg": lambda a: (-a[1], -a[0]),
    "abs": _magnitude,
    "max": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "min": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "exp": _increasing(math.exp),
    "expm1": _increasing(math.expm1),
    "log": _increasing(math.log, 0.0),
    "log1p": _increasing(math.log1p, -1.0),
    "sqrt": _increasing(math.sqrt, 0.0),
    "tanh": _increasing(math.tanh),
    "sigmoid": lambda _: (0.0, 1.0),
    "sign": _increasing(lambda x: float(x > 0) - float(x < 0)),
    "log1p_exp_neg_abs": lambda _: (0.0, 1.0),
    "where": lambda _, a, b: (min(a[0], b[0]), max(a[1], b[1])),
    "upcast": lambda a: a,
    "downcast": lambda a: a,
    "round_to_bfloat16": lambda a: (a[0] - abs(a[0]) / 100, a[1] + abs(a[1]) / 100),
    "exponential": lambda a, largest: (math.exp(a[0] - largest[1]), 1.0),
    "largest": lambda a: a,
    "amax": lambda a, *_: a,
    "element": lambda a, _: a,
}
"""Operation -> bounds of its result from those of its operands."""


@dataclass
class BoundedGraph(Graph):
    """Graph for torch's operations.

    Attributes:
        bound: of the size of all inputs, which then are no NaN; None: they may be anything.
        classes: the number of classes.
        bounds: the least and the largest number that a node can have, where they are known.
        rooms: those of the rows in memory, without the classes that are -inf by the formula.
        relies: whether a node is simpler because of the bound.
    """

    bound: float | None = None
    classes: int = 0
    bounds: dict[Node, Bounds] = field(default_factory=dict)
    rooms: dict[Node, Bounds] = field(default_factory=dict)
    relies: bool = False

    def input(self, name: str, per: Per = "class", sort: Sort = "float") -> Node:
        if name == "classes":
            return self.const(float(self.classes))
        return super().input(name, per, sort)

    def known(self, *nodes: Node) -> bool:
        """Return whether the nodes have bounds, which a caller then relies on."""
        found = all(x in self.bounds for x in nodes)
        if found and any(x.op not in ("const", "setting") for x in nodes):
            self.relies = True
        return found

    def tame(self, memory: Node) -> bool:
        """Return whether torch has the softmax of a row in memory to 2e-6, and no number is 0."""
        return self._spans(memory, 2 * BOUND) or (
            memory.sort == "float64" and self._spans(memory, _HUGE)
        )

    def normal(self, memory: Node) -> bool:
        """Return whether float32 can hold the exponentials of a row in memory."""
        return self._spans(memory, 80.0)

    def _spans(self, memory: Node, width: float) -> bool:
        low, high = self.bounds.get(memory) or self.rooms.get(memory) or (-math.inf, math.inf)
        found = high - low <= width
        self.relies = self.relies or found
        return found

    def _softmax(self, memory: Node) -> tuple[Node, Node]:
        """Return the probabilities of a row in memory that is tame, and the largest of them."""
        p = self._node("softmax", (memory,), "class", memory.sort)
        top = self.reduce("amax", p)
        self.bounds[top] = 1 / self.classes, 1.0
        return p, top

    def row(self, op: str, *args: Node, sort: Sort = "float") -> Node:
        if op != "others" or not self.tame(args[0]):
            return super().row(op, *args, sort=sort)
        # The sum of all exponentials but one of the largest, from the probabilities, which are
        # exponentials times the largest of them.
        p, top = self._softmax(args[0])
        zero, one = self.const(0.0), self.const(1.0)
        below = self.make("where", self.make("lt", p, top), one, zero)
        equal = self.make("sub", self.const(self.classes - 1.0), self.reduce("sum", below))
        total = self.reduce("sum", self.make("mul", p, below))
        others = self.make("add", self.make("div", total, top), equal)
        self.bounds[others] = 0.0, float(self.classes)
        return others

    def _node(self, op: str, args: tuple[Any, ...], per: Per, sort: Sort) -> Node:
        node = super()._node(op, args, per, sort)
        if node not in self.bounds:
            found = self._bounds_of(node)
            if found is not None and max(map(abs, found)) < _HUGE:
                # What is smaller may be rounded to 0.
                low, high = (0.0 if abs(x) < _TINY else x for x in found)
                self.bounds[node] = low, high
        if op not in ("const", "setting", "input") and node in self.bounds and sort == "float":
            low, high = self.bounds[node]
            if low == high and any(self.known(x) for x in node.operands):
                return self.const(low)
        return node

    def _bounds_of(self, node: Node) -> Bounds | None:
        if node.op in ("const", "setting"):
            return float(node.args[0]), float(node.args[0])
        if node.op == "input":
            is_number = self.bound is not None and node.sort == "float"
            return (-self.bound, self.bound) if is_number else None  # type: ignore[operator, return-value]
        operands = [self.bounds.get(x) for x in node.operands]
        if node.op == "buffer":
            return self._bounds_of_buffer(node)
        if node.op in ("softmax", "others", "largest", "amax", "exponential"):
            operands[0] = operands[0] or self.rooms.get(node.operands[0])
        needed = operands[1:] if node.op == "where" else operands
        if node.op in ("sum", "amax", "element"):
            needed = operands[:1]
        if any(x is None for x in needed):
            return None
        if node.op in ("sum", "others", "softmax") and (a := operands[0]):
            least = 0.0 if node.operands[0] in self.rooms else math.exp(a[0] - a[1])
            return {
                "sum": (min(0.0, a[0]) * self.classes, max(0.0, a[1]) * self.classes),
                "others": (0.0, float(self.classes)),
                "softmax": (least / self.classes, 1.0),
            }[node.op]
        if node.op == "exponential" and node.operands[0] in self.rooms:
            return 0.0, 1.0
        if node.op not in _BOUNDS:
            return None
        try:
            return _BOUNDS[node.op](*operands)
        except (OverflowError, ZeroDivisionError):
            return None

    def _bounds_of_buffer(self, node: Node) -> Bounds | None:
        sources = [node.operands[0], *node.operands[2::2]]
        finite = [x for x in sources if x.value != -math.inf]
        if any(x not in self.bounds for x in finite) or self.classes <= len(sources):
            return None
        found = (
            min(self.bounds[x][0] for x in finite),
            max(self.bounds[x][1] for x in finite),
        )
        if len(finite) < len(sources):
            self.rooms[node] = found
            return None
        return found

    def range_of(self, x: Node) -> Bounds | None:
        """Return the bounds of a node, or of a constant that is beyond them."""
        if x.op == "const" and x.sort == "float":
            return x.args[0], x.args[0]
        return self.bounds.get(x)

    def _simplified(self, op: str, args: tuple[Node, ...]) -> Node | None:
        return super()._simplified(op, args) or self._by_size(op, args) or self._by_form(op, args)

    def _by_size(self, op: str, args: tuple[Node, ...]) -> Node | None:
        """Return what is simpler because numbers are finite, or in order."""
        if op in ("isinf", "isnan") and self.known(args[0]):
            return self.const(False)
        if op == "abs" and self.bounds.get(args[0], (-1.0,))[0] >= 0 and self.known(args[0]):
            return args[0]
        if op in ("max", "min", *COMPARISONS):
            (low, high), (least, most) = (self.range_of(x) or (-math.inf, math.inf) for x in args)
            if (high < least or most < low) and any(map(self.known, args)):
                if op in ("max", "min"):
                    return args[(high < least) == (op == "max")]
                less = op in ("lt", "le") and high < least
                return self.const(less or (op in ("gt", "ge") and most < low) or op == "ne")
        return None

    def _by_form(self, op: str, args: tuple[Node, ...]) -> Node | None:
        """Return what is simpler for torch."""
        if op == "exponential" and args[0].per == "class" and self.tame(args[0]):
            # Not times 1 / top, which is not exactly 1 where the probability is the largest.
            p, top = self._softmax(args[0])
            each = self._node("div", (p, top), "class", p.sort)
            self.bounds[each] = self.bounds[p][0], 1.0
            return each
        if op == "mul" and args[0].op == "div" and args[0].args[0].op == "softmax":
            p, memory = args[0].args[0], args[0].args[0].args[0]
            return p if args[1] is self._share(memory) else None
        if op != "where":
            return None
        condition, one, other = args
        if one.value is False:
            return self.make("and", self.make("not", condition), other)
        if other.op == "sub":
            if one.value == 0 and condition.op == "eq" and self.known(other):
                # A difference that is 0 between equal numbers, at infinity too.
                return other if set(condition.operands) == set(other.operands) else None
            # 1 + others - e, and others where e is the largest exponential, 1.
            total, each = other.operands
            if condition.op == "eq" and total is self.make("add", self.const(1.0), one):
                z, largest = condition.operands
                if largest.op == "largest" and each is self._exponential(z, largest):
                    return self.make("add", one, self.make("sub", self.const(1.0), each))
        if one.value == 1 and condition.op == "gt" and other.op == "where":
            x, zero = condition.operands
            below, minus, itself = other.operands
            signs = zero.value == 0 and minus.value == -1 and itself is x
            if signs and below.op == "lt" and below.operands == (x, zero) and self.known(x):
                return self.make("sign", x)
        return None

    def _exponential(self, z: Node, largest: Node) -> Node:
        """Return exp(z - largest) of a class, as a number of its row in memory if that is tame."""
        memory = largest.args[0]
        each = self.make("exponential", memory, largest)
        if z is memory:
            return each
        return self.element(each, z.args[1]) if z.op == "element" else self.const(0.0)

    def _share(self, memory: Node) -> Node:
        """Return the probability of the largest number of a row in memory."""
        others = self.row("others", memory, sort=memory.sort)
        return self.make("div", self.const(1.0), self.make("add", self.const(1.0), others))

    def element(self, x: Node, index: Node) -> Node:
        if x.op == "softmax":
            return self._node("element", (x, index), "row", x.sort)
        found = super().element(x, index)
        if x in self.bounds and found.op not in ("const", "setting"):
            self.bounds[found] = self.bounds[x]
        return found

    def _lowered(self, op: str, args: tuple[Node, ...]) -> Node | None:
        # torch has a sigmoid of its own.
        if op == "log1p_exp_neg_abs" and args[0].op == "neg":
            return self.make(op, *args[0].operands)
        return super()._lowered(op, args) if op == "abs" else None
