"""Graph of a formula: what the closed forms compute, as nodes that a printer can read.

A node is a number per class (or per element) of an example, or one number per example (a row).
Equal nodes are one object, so a graph has no repeated part.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch

Per = Literal["class", "row"]
Sort = Literal["float", "float64", "bool", "index"]
"""Sort of a node: the dtype of the computation, float64, a truth value, the index of a class."""

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
PREDICATES = (*COMPARISONS, "and", "or", "not", "isinf", "isnan", "same")
REDUCTIONS = ("sum", "amax", "argmax")


def _of_number(name: str) -> Callable[[float], float]:
    function = getattr(torch, name)
    return lambda x: function(torch.tensor(x, dtype=torch.float64)).item()


_FOLDED: dict[str, Callable[..., Any]] = {
    **{name: _of_number(name) for name in ("exp", "expm1", "log", "log1p", "sqrt", "tanh")},
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "neg": operator.neg,
    "abs": abs,
    "max": max,
    "min": min,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
    "and": operator.and_,
    "or": operator.or_,
    "not": operator.not_,
    "isinf": math.isinf,
    "isnan": math.isnan,
}


@dataclass(frozen=True, eq=False)
class Node:
    """A number of a formula.

    Attributes:
        op: the operation; 'input' and 'const' have none.
        args: its operands: nodes, the name of an input, or the value of a constant.
        per: whether it is a number per class or per row.
        sort: its sort.
    """

    op: str
    args: tuple[Any, ...]
    per: Per
    sort: Sort

    @property
    def operands(self) -> tuple[Node, ...]:
        return tuple(x for x in self.args if isinstance(x, Node))

    @property
    def value(self) -> Any:
        """Value of a constant; None for any other node, settings included."""
        return self.args[0] if self.op == "const" else None


@dataclass
class Graph:
    """Nodes of one formula, each once."""

    nodes: dict[tuple[Any, ...], Node] = field(default_factory=dict)

    def _node(self, op: str, args: tuple[Any, ...], per: Per, sort: Sort) -> Node:
        key = (op, sort, *((id(x) if isinstance(x, Node) else repr(x)) for x in args))
        return self.nodes.setdefault(key, Node(op, args, per, sort))

    def const(self, value: float | bool, setting: bool = False) -> Node:
        """Return a constant; that of a setting is an argument of the kernel."""
        if isinstance(value, bool):
            return self._node("const", (value,), "row", "bool")
        return self._node("setting" if setting else "const", (float(value),), "row", "float")

    def index(self, value: int) -> Node:
        """Return the index of a class."""
        return self._node("const", (value,), "row", "index")

    def input(self, name: str, per: Per = "class", sort: Sort = "float") -> Node:
        return self._node("input", (name,), per, sort)

    def make(self, op: str, *args: Node) -> Node:
        """Return the node of an elementwise operation, simplified."""
        simple = self._simplified(op, args) or self._lowered(op, args)
        if simple is not None:
            return simple
        per: Per = "class" if any(x.per == "class" for x in args) else "row"
        if op in PREDICATES:
            sort: Sort = "bool"
        elif op in ("upcast", "downcast"):
            sort = "float64" if op == "upcast" else "float"
        else:
            sort = "float64" if any(x.sort == "float64" for x in args) else "float"
            values = args[1:] if op == "where" else args
            if all(x.sort in ("bool", "index") for x in values):
                sort = values[0].sort
        if (
            op == "div"
            and [x.per for x in args] == ["class", "row"]
            and args[0].sort == args[1].sort
        ):
            # One division per row.
            return self.make("mul", args[0], self.make("div", self.const(1.0), args[1]))
        return self._node(op, args, per, sort)

    def _simplified(self, op: str, args: tuple[Node, ...]) -> Node | None:
        """Return a simpler node of the same number; None if there is none."""
        values = [x.value for x in args]
        if all(v is not None for v in values) and op in _FOLDED:
            return self.const(_FOLDED[op](*values))
        if op in ("and", "where", "same"):
            return self._simplified_choice(op, args)
        if op in ("upcast", "downcast"):
            return _simplified_cast(op, args[0])
        return self._simplified_arithmetic(op, args)

    def _simplified_arithmetic(self, op: str, args: tuple[Node, ...]) -> Node | None:
        a, b = args[0].value, args[1].value if len(args) > 1 else None
        match op:
            case "mul" | "times":
                if a == 0 or b == 0:
                    return self.const(0.0)
                if a == 1 and args[1].sort != "bool":
                    return args[1]
                if b == 1:
                    return args[0]
                for k, x in enumerate(args):
                    # Signs come last, where they may cancel.
                    if op == "mul" and self._is_negated(x):
                        return self.make("neg", self.make("mul", self._negated(x), args[1 - k]))
            case "add":
                if a == 0:
                    return args[1]
                if b == 0:
                    return args[0]
                if all(map(self._is_negated, args)):
                    return self.make("neg", self.make("add", *map(self._negated, args)))
            case "sub":
                if b == 0:
                    return args[0]
                if a == 0:
                    return self.make("neg", args[1])
            case "div" if b == 1 or a == 0:
                return args[0]
            case "neg" if args[0].op == "neg":
                return args[0].operands[0]
            case "neg" if args[0].op == "sub":
                return self.make("sub", *args[0].operands[::-1])
        return None

    def _simplified_choice(self, op: str, args: tuple[Node, ...]) -> Node | None:
        a, b = args[0].value, args[1].value
        match op:
            case "and":
                if a is False or b is False:
                    return self.const(False)
                if a is True or b is True:
                    return args[1] if a is True else args[0]
            case "where":
                if a is not None:
                    return args[1] if a else args[2]
                if args[1] is args[2]:
                    return args[1]
                if [b, args[2].value] == [True, False] and args[1].sort == "bool":
                    return args[0]
            case "same":
                if args[0] is args[1]:
                    return self.const(True)
                if a is not None and b is not None:
                    return self.const(False)
                if args[0].op == "where":
                    # One of two classes, of which each is known.
                    condition, *either = args[0].operands
                    known = (self.make("same", x, args[1]) for x in either)
                    return self.make("where", condition, *known)
        return None

    def _is_negated(self, x: Node) -> bool:
        return x.op == "neg" or (x.sort != "bool" and x.value is not None and x.value < 0)

    def _negated(self, x: Node) -> Node:
        return self.make("neg", x)

    def _lowered(self, op: str, args: tuple[Node, ...]) -> Node | None:
        """Rewrite sigmoid, exp and log1p by exp(-|x|), which their nodes of x and -x then share;
        and a product of exponentials as one."""
        x = args[0]
        match op:
            case "abs" if x.op == "neg":
                return self.make("abs", *x.operands)
            case "exp" if x.op == "neg" and x.operands[0].op == "abs":
                return self.make("decay", *x.operands)
            case "log1p" if x.op == "decay":
                return self.make("log1p_of_share", x)
            case "log1p_exp_neg_abs":
                decay = self.make("decay", self.make("abs", x))
                return self.make("log1p_of_share", decay)
            case "mul" if x.op == "exp" and args[1].op == "exp":
                return self.make("exp_of_sum", *x.operands, *args[1].operands)
            case "sigmoid":
                y = x.operands[0] if x.op == "neg" else x
                decay, one = self.make("decay", self.make("abs", y)), self.const(1.0)
                share = self.make("div", one, self.make("add", one, decay))
                small, large = (decay, one) if y is x else (one, decay)
                negative = self.make("lt", y, self.const(0.0))
                return self.make("mul", self.make("where", negative, small, large), share)
        return None

    def reduce(self, op: str, x: Node, without: tuple[Node, ...] = ()) -> Node:
        """Return 'sum', 'amax' or 'argmax' over the classes, excluding indices `without`."""
        sort: Sort = "index" if op == "argmax" else x.sort
        return self._node(op, (x, *without), "row", sort)

    def row(self, op: str, *args: Node, sort: Sort = "float") -> Node:
        """Return the node of an operation on a whole row, such as its largest number."""
        return self._node(op, args, "row", sort)

    def buffer(self, x: Node, at: dict[Node, Node]) -> Node:
        """Return a node per class kept in memory: x, but `at[i]` at the class of index i."""
        if x.op in ("input", "buffer") and not at:
            return x
        return self._node("buffer", (x, *(y for pair in at.items() for y in pair)), "class", x.sort)

    def element(self, x: Node, index: Node) -> Node:
        """Return the number x of the class of an index."""
        if x.per == "row":
            return x
        if x.op in ("input", "buffer"):
            return self._node("element", (x, index), "row", x.sort)
        return self.make(x.op, *(self.element(arg, index) for arg in x.operands))


def _simplified_cast(op: str, x: Node) -> Node | None:
    if x.value is not None or (x.sort == "float64") == (op == "upcast"):
        return x
    return x.operands[0] if op == "downcast" and x.op == "upcast" else None


def topological(
    roots: Iterable[Node], stop: Callable[[Node], bool] = lambda _: False
) -> list[Node]:
    """Return the nodes that `roots` need, operands first; not those of nodes that `stop` names."""
    seen: set[Node] = set()
    found: list[Node] = []

    def visit(node: Node) -> None:
        if node in seen:
            return
        seen.add(node)
        if not stop(node):
            for operand in node.operands:
                visit(operand)
        found.append(node)

    for root in roots:
        visit(root)
    return found


def same(a: Node, b: Node, known: dict[tuple[Node, Node], bool] | None = None) -> bool:
    """Return whether nodes of two graphs compute the same number in the same way."""
    known = {} if known is None else known
    if (a, b) not in known:
        known[a, b] = (a.op, a.sort) == (b.op, b.sort) and any(
            len(a.args) == len(order) and all(map(partial(_same_argument, known), a.args, order))
            for order in ((b.args, b.args[::-1]) if a.op in ("add", "mul") else (b.args,))
        )
    return known[a, b]


def _same_argument(known: dict[tuple[Node, Node], bool], x: Any, y: Any) -> bool:
    if isinstance(x, Node) and isinstance(y, Node):
        return same(x, y, known)
    return bool(x == y)
