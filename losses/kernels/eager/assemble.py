"""Assembly of a graph as steps of torch's operations, which write into registers.

A number per class is in a register of the tile's shape, which is free again after its last use. A
number per row is a small tensor of its own. A truth value per class is 0 or 1 in a register of the
numbers that it selects from, because torch is slow with bool; of infinite numbers it is bool.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ...softmax import exponential
from ...tracing.evaluate import OPERATIONS
from ...tracing.graph import COMPARISONS, Node
from .bounded import BoundedGraph
from .operations import (
    BINARY,
    CLAMPS,
    MASKS,
    SWAPPED,
    UNARY,
    careful_exponentials,
    gather,
    of_numbers,
    plain_exponential,
    row_amax,
    row_sum,
)
from .program import FACTOR, GRADIENT, INPUTS, Program, Writer


def assemble(
    graph: BoundedGraph,
    value: Node | None,
    gradient: Node | None,
    at: dict[Node, Node],
    dtype: torch.dtype,
) -> Program:
    """Assemble a program of a value, and of a gradient that is `at[i]` at the class of index i.

    Args:
        dtype: of the inputs.
    """
    return _Assembler(graph, value, gradient, at, dtype).program


class _Assembler(Writer):
    def __init__(
        self,
        graph: BoundedGraph,
        value: Node | None,
        gradient: Node | None,
        at: dict[Node, Node],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.graph, self.final, self.dtype = graph, gradient, dtype
        self.numbers: dict[Node, Any] = {}
        """Node -> its value, of one that is the same for all inputs."""
        self.slot: dict[Any, int] = {}
        """Node, or node and dtype of its truth values -> its slot."""
        roots = [x for x in (value, gradient, *at, *at.values()) if x is not None]
        self.nodes = self._ordered(roots)
        self.uses = Counter(x for node in self.nodes for x in self._needed(node))
        self.uses.update(roots)
        self.forms = self._forms()
        for node in self.nodes:
            self._emit(node)
        if value is not None:
            self.program.value = self._operand(value)
        if gradient is not None:
            self._finish(gradient, at, scaled=value is None)
        self.program.bound = graph.relies
        per_class = [x for x in self.nodes if x.per == "class" and x.op != "input"]
        self.program.of_rows = all(x in self.numbers for x in per_class)

    # --- order and lifetime --------------------------------------------------------------------

    def _needed(self, node: Node) -> tuple[Node, ...]:
        """Return the nodes that the steps of a node read."""
        if node.op != "others":
            return node.operands
        memory = node.args[0]
        largest = self.graph.row("largest", memory, sort=memory.sort)
        return memory, largest, self.graph.make("exponential", memory, largest)

    def _ordered(self, roots: Iterable[Node]) -> list[Node]:
        found: dict[Node, None] = {}

        def visit(node: Node) -> None:
            if node not in found:
                for each in self._needed(node):
                    visit(each)
                found[node] = None

        for root in roots:
            visit(root)
        return list(found)

    def _forms(self) -> dict[Node, set[torch.dtype]]:
        """Return for each truth value per class the dtypes in which it is needed."""
        forms: dict[Node, set[torch.dtype]] = {}
        for node in reversed(self.nodes):
            own = forms.get(node, {torch.bool})
            for position, x in enumerate(node.operands):
                if x.sort != "bool":
                    continue
                wanted = {torch.bool}
                if node.op == "where" and position == 0:
                    numbers = node.per == "class" and node.sort in ("float", "float64")
                    if numbers and self.graph.known(*node.operands[1:]):
                        wanted = {self._dtype_of(node)}
                elif node.op in ("and", "or", "not", "where"):
                    wanted = own
                forms.setdefault(x, set()).update(wanted)
        return forms

    def _dtype_of(self, node: Node) -> torch.dtype:
        sorts = {"float64": torch.float64, "bool": torch.bool, "index": torch.int64}
        return sorts.get(node.sort, self.dtype)

    def _done(self, node: Node) -> None:
        """Free the registers that no later node uses."""
        for each in self._needed(node):
            self.uses[each] -= 1
            if not self.uses[each]:
                keys = {each: self._dtype_of(each)}
                keys |= {(each, form): form for form in self.forms.get(each, ())}
                for key, dtype in keys.items():
                    if key in self.slot:
                        self.release(self.slot[key], dtype)

    def _result(self, node: Node) -> int:
        """Return the slot that receives a number per class."""
        if node is self.final and self.uses[node] == 1 and node.sort == "float":
            return GRADIENT
        return self.register(self._dtype_of(node))

    def _operand(self, node: Node, dtype: torch.dtype | None = None) -> int:
        """Return the slot of a node; `dtype` is that of a constant, or of a truth value."""
        if node in self.numbers:
            return self.constant(self.numbers[node], dtype or self._dtype_of(node))
        if node.sort != "bool" or dtype in (None, torch.bool):
            return self.slot[node]
        if node.per == "row" and (node, dtype) not in self.slot:
            self.slot[node, dtype] = self.row(lambda c: c.to(dtype), self.slot[node])
        return self.slot[node, dtype]

    def _put(self, to: int, index: Node, source: Node) -> None:
        number = self.numbers.get(source)
        slot = None if number is not None else self._operand(source)
        self.scatter(to, self._operand(index), number, slot)

    def _finish(self, gradient: Node, at: dict[Node, Node], scaled: bool) -> None:
        """Add the steps that end with the gradient, `scaled` by the factor."""
        if self.slot.get(gradient) != GRADIENT:
            self.copy(GRADIENT, self._operand(gradient))
        if scaled and self.numbers.get(gradient) != 0:
            self.write(GRADIENT, torch.mul, GRADIENT, FACTOR)
        for index, node in at.items():
            if scaled:
                found = self.row(torch.mul, self._operand(node), FACTOR)
                self.scatter(GRADIENT, self._operand(index), None, found)
            else:
                self._put(GRADIENT, index, node)

    # --- nodes ---------------------------------------------------------------------------------

    def _emit(self, node: Node) -> None:
        if node.op in ("const", "setting"):
            self.numbers[node] = node.args[0]
        elif node.op == "input":
            self.slot[node] = INPUTS[node.args[0]]
        elif all(x in self.numbers for x in node.operands):
            self.numbers[node] = of_numbers(node.op, [self.numbers[x] for x in node.operands])
            return
        elif node.op in _REDUCTIONS:
            self.slot[node] = _REDUCTIONS[node.op](self, node)
        elif node.per == "row":
            self.slot[node] = self._per_row(node)
        elif node.sort == "bool":
            for form in self.forms[node]:
                self.slot[node if form is torch.bool else (node, form)] = self._truth(node, form)
        elif node.op in _OF_STEPS:
            self.slot[node] = _OF_STEPS[node.op](self, node)
        else:
            self.slot[node] = self._per_class(node)
            return
        self._done(node)

    def _per_row(self, node: Node) -> int:
        op, dtype = node.op, self._dtype_of(node)
        if op == "where":
            condition, *values = node.operands
            slots = [self._operand(x, dtype) for x in values]
            return self.row(torch.where, self._operand(condition), *slots)
        if op in BINARY:
            common = self._common(node.operands)
            return self.row(BINARY[op], *(self._operand(x, common) for x in node.operands))
        f: Any = UNARY.get(op) or OPERATIONS.get(op)
        if op in ("upcast", "downcast"):
            f = lambda x: x.to(dtype)  # noqa: E731
        if op == "exponential":
            f = plain_exponential if self.graph.normal(node.args[0]) else exponential
        return self.row(f, *map(self._operand, node.operands))

    def _common(self, nodes: Iterable[Node]) -> torch.dtype:
        """Return the dtype in which nodes are combined."""
        found = [self._dtype_of(x) for x in nodes if x not in self.numbers]
        return torch.float64 if torch.float64 in found else found[0]

    def _truth(self, node: Node, form: torch.dtype) -> int:
        """Add a truth value per class, as bool or as 0 and 1."""
        to, op, is_bool = self.register(form), node.op, form is torch.bool
        if op in COMPARISONS:
            a, b = node.operands
            if a in self.numbers:
                op, a, b = SWAPPED[op], b, a
            common = self._common((a, b))
            return self.write(to, BINARY[op], self._operand(a, common), self._operand(b, common))
        if op == "where":
            condition, *values = node.operands
            slots = [self._operand(x, form) for x in values]
            return self.write(to, torch.where, self._operand(condition, torch.bool), *slots)
        slots = [self._operand(x, form) for x in node.operands]
        if op in MASKS:
            return self.write(to, MASKS[op][is_bool], *slots)
        if op == "not" and not is_bool:
            return self.write(to, torch.sub, self.constant(1.0, form), *slots)
        return self.copy(to, self.row(OPERATIONS[op], *slots))

    def _per_class(self, node: Node) -> int:
        """Add a number per class. A step may write over what it reads for the last time."""
        op, dtype = node.op, self._dtype_of(node)
        slots = [self._operand(x, dtype) for x in node.operands]
        numbers = [self.numbers.get(x) for x in node.operands]
        self._done(node)
        to = self._result(node)
        if op in CLAMPS and any(x is not None for x in numbers):
            (number,) = (x for x in numbers if x is not None)
            (a,) = (slot for slot, x in zip(slots, numbers, strict=True) if x is None)
            clamp: Any = CLAMPS[op]
            self.step(lambda v: clamp(v[a], number, out=v[to]))
            return to
        if op in UNARY or op in BINARY:
            return self.write(to, UNARY.get(op) or BINARY[op], *slots)
        if op in ("upcast", "downcast"):
            return self.copy(to, *slots)
        if op == "log1p_exp_neg_abs":
            for f in (torch.abs, torch.neg, torch.exp, torch.log1p):
                slots = [self.write(to, f, *slots)]
            return to
        return self.copy(to, self.row(OPERATIONS[op], *slots))

    # --- numbers per class of several steps, which must not write over what they read ----------

    def _where(self, node: Node) -> int:
        condition, a, b = node.operands
        dtype = self._dtype_of(node)
        if condition in self.numbers:
            return self.copy(self._result(node), self._operand(a if self.numbers[condition] else b))
        if not (node.sort in ("float", "float64") and self.graph.known(a, b)):
            slots = self._operand(condition), self._operand(a, dtype), self._operand(b, dtype)
            return self.write(self._result(node), torch.where, *slots)
        # b - b c + a c, of which one or the other is 0.
        c, one, other = self._operand(condition, dtype), self.numbers.get(a), self.numbers.get(b)
        if one == 1 and other == 0 and self.uses[condition] == 1 and condition.per == "class":
            return self.slot.pop((condition, dtype))  # the truth value is the number
        to = self._result(node)
        if other == 0:
            return self.write(to, torch.mul, c, self._operand(a, dtype))
        if other is not None:
            self.write(to, torch.mul, c, self.constant(-other, dtype))
            self.write(to, torch.add, to, self.constant(other, dtype))
        else:
            slot = self._operand(b, dtype)
            self.write(to, torch.addcmul, slot, slot, c, value=-1)
        if one is None:
            return self.write(to, torch.addcmul, to, self._operand(a, dtype), c)
        return to if one == 0 else self.write(to, torch.add, to, c, alpha=one)

    def _buffer(self, node: Node) -> int:
        x, *pairs = node.operands
        to = self.copy(self.register(self._dtype_of(node)), self._operand(x))
        for index, source in zip(pairs[::2], pairs[1::2], strict=True):
            self._put(to, index, source)
        return to

    def _softmax(self, node: Node) -> int:
        return self.write(self._result(node), torch.softmax, self._operand(node.args[0]), dim=-1)

    def _exponentials(self, node: Node) -> int:
        """Add exp(z - largest) of all classes."""
        memory, largest = node.operands
        if self.graph.normal(memory):
            return self._corrected(self._operand(memory), self._operand(largest), node)
        both = self.row(careful_exponentials, self._operand(memory))
        self.slot["others", memory] = self.row(lambda x: x[1], both)
        return self.row(lambda x: x[0], both)

    def _corrected(self, z: int, largest: int, node: Node) -> int:
        """Add exp(z - largest) as `softmax.exponential` has it, of numbers that are finite."""
        dtype = self._dtype_of(node)
        to, back, lost = self._result(node), self.register(dtype), self.register(dtype)
        self.write(to, torch.sub, z, largest)
        self.write(back, torch.sub, to, z)
        self.write(lost, torch.sub, to, back)
        self.write(lost, torch.sub, z, lost)
        self.write(back, torch.add, back, largest)
        self.write(lost, torch.sub, lost, back)
        self.write(to, torch.exp, to)
        self.release(back, dtype)
        self.release(lost, dtype)
        return self.write(to, torch.addcmul, to, to, lost)

    # --- numbers per row from numbers per class ------------------------------------------------

    def _others(self, node: Node) -> int:
        """Add the sum of the exponentials of a row but one of its largest number."""
        memory = node.args[0]
        if ("others", memory) in self.slot:
            return self.slot["others", memory]
        z, largest, each = map(self._operand, self._needed(node))
        dtype = self._dtype_of(memory)
        below = self.write(self.register(dtype), torch.lt, z, largest)
        count = self.row(row_sum, below)
        total = self.row(row_sum, self.write(below, torch.mul, each, below))
        self.release(below, dtype)
        equal = self.row(torch.sub, self.constant(self.graph.classes - 1.0, dtype), count)
        return self.row(torch.add, total, equal)

    def _argmax(self, node: Node) -> int:
        """Add the index of the first of the largest numbers, without torch's slow search."""
        (x,) = node.operands
        if not self.graph.known(x):
            return self.row(lambda x: x.argmax(-1, keepdim=True), self._operand(x))
        dtype, last = self._dtype_of(x), self.graph.classes - 1.0
        backwards = self.room(torch.arange(last, -1.0, -1.0, dtype=dtype))
        most = self.slot.get(self.graph.row("largest", x, sort=x.sort))
        most = self.row(row_amax, self._operand(x)) if most is None else most
        equal = self.register(dtype)
        self.write(equal, torch.eq, self._operand(x), most)
        self.write(equal, torch.mul, equal, backwards)
        first = self.row(torch.sub, self.constant(last, dtype), self.row(row_amax, equal))
        self.release(equal, dtype)
        return self.row(Tensor.long, first)

    def _left_out(self, node: Node, f: Callable[[Tensor], Tensor], neutral: float) -> int:
        """Add a reduction of the classes but those of some indices."""
        x, *indices = node.operands
        if not indices:
            return self.row(f, self._operand(x))
        dtype = self._dtype_of(node)
        to = self.copy(self.register(dtype), self._operand(x))
        for index in indices:
            self.scatter(to, self._operand(index), neutral, None)
        self.release(to, dtype)
        return self.row(f, to)


_OF_STEPS: dict[str, Callable[[_Assembler, Node], int]] = {
    "where": _Assembler._where,
    "exponential": _Assembler._exponentials,
    "buffer": _Assembler._buffer,
    "softmax": _Assembler._softmax,
}
"""Operations that make numbers per class in several steps."""

_REDUCTIONS: dict[str, Callable[[_Assembler, Node], int]] = {
    "sum": lambda a, node: a._left_out(node, row_sum, 0.0),
    "amax": lambda a, node: a._left_out(node, row_amax, -torch.inf),
    "argmax": _Assembler._argmax,
    "largest": lambda a, node: a.row(row_amax, a._operand(node.args[0])),
    "others": _Assembler._others,
    "element": lambda a, node: a.row(gather, *map(a._operand, node.operands)),
}
"""Operations that make a number per row of numbers per class."""
