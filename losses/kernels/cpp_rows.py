"""Printing of a program as C++ that handles one row at a time: the classes of a row lie beside
each other in the vector registers (`value_row`, `gradient_row`)."""

from __future__ import annotations

from ..tracing.graph import Node, topological
from .cpp import Constants, c_type, expression
from .program import (
    CONSTANTS,
    First,
    Loop,
    Program,
    Scalars,
    Softmax,
    Store,
    loop_nodes,
    roots,
)

LOCALS = (
    "[[maybe_unused]] const T *__restrict z = row.z, *__restrict t = row.t, *__restrict w = row.w;",
    "[[maybe_unused]] const int classes = row.classes, index = row.index, *indices = row.indices;",
)
"""Copies of what a row's functions read in their loops."""


class RowPrinter:
    """Printer of a program as C++ that handles one row at a time, vectorised over its classes."""

    def __init__(self, program: Program, constants: Constants, saves: bool) -> None:
        self.program, self.constants, self.saves = program, constants, saves
        self.names: dict[Node, str] = {}
        kept = {node: f"m{k}" for k, node in enumerate(program.memory)}
        self.memory = {node: name for node, name in kept.items() if not self.recomputes(node)}
        # What exponentials need of the largest number of a row: a name.
        self.bases: dict[Node, str] = {}
        # Numbers in memory -> the largest number of a row, where a softmax has found it.
        self.largest: dict[Node, str] = {}
        self.lines: list[str] = []

    def function(self) -> str:
        for node, name in self.memory.items():
            at = f"room + {name[1:]} * {self.stride()}"
            self.lines.append(
                f"{c_type(node)}* __restrict {name} = reinterpret_cast<{c_type(node)}*>({at});"
            )
        for step in self.program.steps:
            match step:
                case Scalars(nodes):
                    self.scalars(nodes)
                case Loop():
                    self.loop(step)
                case Softmax(memory, exponential):
                    self.softmax(memory, exponential)
                case First(node):
                    self.first(node)
                case Store(target, index, value):
                    self.store(target, index, value)
        self.end()
        # Copies: a loop that could change what it reads would read it anew for every class.
        lines = [*LOCALS, *self.constants.copies(), *self.lines]
        body = "".join(f"    {line}\n" for line in lines)
        return f"  {self.head()} const {{\n{body}  }}\n"

    def recomputes(self, node: Node) -> bool:
        """Return whether the only loop that reads exponentials computes them, not the softmax."""
        if node.op != "exponential" or not is_saved(node.args[0]) or not self.saves:
            return False
        loops = [x for x in self.program.steps if isinstance(x, Loop)]
        return self.program.value is None and sum(node in loop_nodes(x, set()) for x in loops) == 1

    def head(self) -> str:
        name = "value" if self.program.value is not None else "gradient"
        result = "T" if self.program.value is not None else "void"
        extra = "" if self.program.value is not None else ", T scale, T* __restrict g"
        given = "const Row<T>& row, Statistics<T>* saved, double* __restrict room"
        return f"{result} {name}_row({given}{extra})"

    def stride(self) -> str:
        return "classes"

    # References to numbers.

    def reference(self, node: Node, local: dict[Node, str], float64: bool = False) -> str:
        if node.op in CONSTANTS:
            return self.constants.text(node, float64)
        if node in local:
            return local[node]
        return self.scalar(node)

    def scalar(self, node: Node) -> str:
        if node.op == "input":
            return {"y": "index", "classes": "T(classes)"}[node.args[0]]
        return self.names[node]

    def at_class(self, node: Node, c: str) -> str:
        """Return the C++ for the number of class `c` in the array of an input or a kept node."""
        if node.op == "input":
            return f"{node.args[0]}[{c}]"
        return f"{self.memory[node]}[{c}]"

    def text(self, node: Node, local: dict[Node, str]) -> str:
        if node.op == "element":
            return self.at_class(node.args[0], self.reference(node.args[1], local))
        float64 = any(x.sort == "float64" for x in node.operands)
        operands = [
            self.base(x)
            if x.op == "largest" and node.op == "exponential"
            else self.reference(x, local, float64 or (node.op == "pow" and k == 1))
            for k, x in enumerate(node.operands)
        ]
        return expression(node, operands)

    def base(self, largest: Node) -> str:
        """Return the C++ for what exponentials need of the largest number."""
        return self.bases[largest]

    # Steps.

    def scalars(self, nodes: list[Node]) -> None:
        for node in nodes:
            name = f"r{len(self.names)}"
            self.lines.append(f"const {c_type(node)} {name} = {self.text(node, {})};")
            self.names[node] = name

    def softmax(self, memory: Node, exponential: Node | None) -> None:
        at = self.at_class(memory, "0")
        to = self.memory.get(exponential, "nullptr") if exponential else "nullptr"
        saved = "saved" if is_saved(memory) else "nullptr"
        name = f"s{len(self.names)}"
        cast = c_type(memory)
        how = "computed" if self.program.value is not None else "restored"
        self.lines.append(
            f"const Statistics<{cast}> {name} = {how}(&{at}, classes, "
            f"static_cast<{cast}*>({to}), static_cast<Statistics<{cast}>*>({saved}));"
        )
        self.lines.append(f"const Base<{cast}> {name}_base = base_of({name}.largest);")
        for node in self.ended(memory, ("largest", "others")):
            self.names[node] = f"{name}.{node.op}"
            self.bases[node] = f"{name}_base"
        self.largest[memory] = f"{name}.largest"

    def ended(self, memory: Node, ops: tuple[str, ...]) -> list[Node]:
        nodes = topological(roots(self.program.steps, self.program.value))
        return [x for x in nodes if x.op in ops and x.args[0] is memory]

    def first(self, node: Node) -> None:
        name = f"r{len(self.names)}"
        at = self.at_class(node.args[0], "0")
        largest = self.largest.get(node.args[0], f"largest_of(&{at}, classes)")
        self.lines.append(f"const int {name} = first_equal(&{at}, classes, {largest});")
        self.names[node] = name

    def store(self, target: Node | None, index: Node, value: Node) -> None:
        text = self.reference(value, {})
        if target is None:
            self.lines.append(f"g[{self.reference(index, {})}] = scale * {text};")
        else:
            self.lines.append(f"{self.at_class(target, self.reference(index, {}))} = {text};")

    def body(self, loop: Loop, c: str) -> tuple[list[str], dict[Node, str]]:
        """Return the C++ lines that compute the nodes of a loop for class `c`, and their names."""
        local: dict[Node, str] = {}
        lines = []
        stored = {x: x for x in loop.kept}
        for node in loop_nodes(loop, set(self.memory)):
            in_memory = node.op in ("input", "buffer") or (
                node in self.memory and node not in stored
            )
            text = self.at_class(node, c) if in_memory else self.text(node, local)
            name = f"e{len(local)}"
            lines.append(f"const {c_type(node)} {name} = {text};")
            local[node] = name
        for node in loop.kept:
            value = node.args[0] if node.op == "buffer" else node
            lines.append(f"{self.at_class(node, c)} = {self.reference(value, local)};")
        if loop.gradient is not None:
            g = self.gradient_at(c)
            lines.append(f"{g} = scale{self.lane()} * {self.reference(loop.gradient, local)};")
        return lines, local

    def lane(self) -> str:
        return ""

    def gradient_at(self, c: str) -> str:
        return f"g[{c}]"

    def reduced(self, node: Node, local: dict[Node, str]) -> str:
        """Return the C++ for a class's term of a reduction; excluded classes get 0 or -infinity."""
        x, *without = node.args
        text = self.reference(x, local, float64=node.sort == "float64")
        if not without:
            return text
        cast = "double" if node.sort == "float64" else "T"
        neutral = f"{cast}(0)" if node.op == "sum" else f"-infinity<{cast}>"
        left = " | ".join(f"(c == {self.reference(index, local)})" for index in without)
        return f"(({left}) ? {neutral} : {text})"

    def loop(self, loop: Loop) -> None:
        lines, local = self.body(loop, "c")
        clauses, inner = [], []
        before, after = [], []
        for node in loop.reductions:
            name = f"r{len(self.names)}"
            text = self.reduced(node, local)
            self.names[node] = name
            cast = "double" if node.sort == "float64" else "T"
            if node.op == "sum":
                self.lines.append(f"double {name}_total = 0;")
                before.append(f"{cast} {name}_part = 0;")
                clauses.append(f"reduction(+ : {name}_part)")
                inner.append(f"{name}_part += {text};")
                after.append(f"{name}_total += static_cast<double>({name}_part);")
            else:
                self.lines.append(f"{cast} {name}_most = -infinity<{cast}>;")
                self.lines.append(f"int {name}_nan = 0;")
                before.append(f"{cast} {name}_part = -infinity<{cast}>;")
                clauses.append(f"reduction(max : {name}_part) reduction(| : {name}_nan)")
                inner.append(f"const {cast} {name}_x = {text};")
                inner.append(f"{name}_part = {name}_x > {name}_part ? {name}_x : {name}_part;")
                inner.append(f"{name}_nan |= {name}_x != {name}_x;")
                after.append(
                    f"{name}_most = {name}_part > {name}_most ? {name}_part : {name}_most;"
                )
        self.lines.append("for (int from = 0; from < classes; from += BLOCK) {")
        self.lines.append("  const int to = std::min(classes, from + BLOCK);")
        self.lines.extend(f"  {line}" for line in before)
        self.lines.append(f"#pragma omp simd {' '.join(clauses)}")
        self.lines.append("  for (int c = from; c < to; ++c) {")
        self.lines.extend(f"    {line}" for line in (*lines, *inner))
        self.lines.append("  }")
        self.lines.extend(f"  {line}" for line in after)
        self.lines.append("}")
        for node in loop.reductions:
            name = self.names[node]
            cast = "double" if node.sort == "float64" else "T"
            total = (
                f"{name}_total"
                if node.op == "sum"
                else f"({name}_nan ? not_a_number<{cast}> : {name}_most)"
            )
            self.lines.append(f"const {cast} {name} = static_cast<{cast}>({total});")

    def end(self) -> None:
        if self.program.value is not None:
            self.lines.append(f"return T({self.reference(self.program.value, {})});")


def is_saved(memory: Node) -> bool:
    """Return whether the value saves the statistics of numbers in memory: those of the logits."""
    return memory.args == ("z",)
