"""Printing of a program as C++ that handles W rows at a time: the rows lie beside each other in the
vector registers (`value_tile`, `gradient_tile`), which is faster for few classes and for classes in
columns."""

from __future__ import annotations

from ..tracing.graph import Node, topological
from .cpp import c_type
from .cpp_rows import RowPrinter
from .program import Loop, Scalars, roots


class TilePrinter(RowPrinter):
    """Printer of a program as C++ that handles W rows at a time, vectorised over the rows.

    Numbers per row are arrays of W. Steps that follow each other share a loop over the rows.
    """

    def recomputes(self, _node: Node) -> bool:
        return False  # Tiles save no statistics.

    def head(self) -> str:
        name = "value" if self.program.value is not None else "gradient"
        extra = (
            ", T* __restrict result"
            if self.program.value is not None
            else ", const T* __restrict scale, T* __restrict g"
        )
        return f"void {name}_tile(const Row<T>& row, double* __restrict room{extra})"

    def stride(self) -> str:
        return "classes * W"

    def scalar(self, node: Node) -> str:
        if node.op == "input":
            return {"y": "indices[i]", "classes": "T(classes)"}[node.args[0]]
        return f"{self.names[node]}[i]" + (" != 0" if node.sort == "bool" else "")

    def reference(self, node: Node, local: dict[Node, str], float64: bool = False) -> str:
        text = super().reference(node, local, float64)
        return f"({text})" if text.endswith("!= 0") else text

    def at_class(self, node: Node, c: str) -> str:
        if node.op == "input" and node.args[0] == "w":
            return f"w[{c}]"
        name = node.args[0] if node.op == "input" else self.memory[node]
        return f"{name}[{c} * W + i]"

    def lane(self) -> str:
        return "[i]"

    def gradient_at(self, c: str) -> str:
        return f"g[{c} * W + i]"

    def array(self, node: Node) -> str:
        name = f"r{len(self.names)}"
        stored = {"bool": "T", "float": "T", "float64": "double", "index": "int"}[node.sort]
        self.lines.append(f"{stored} {name}[W];")
        self.names[node] = name
        return name

    def scalars(self, nodes: list[Node]) -> None:
        local: dict[Node, str] = {}
        lines = []
        for node in nodes:
            text = self.text(node, local)
            local[node] = f"x{len(local)}"
            lines.append(f"const {c_type(node)} {local[node]} = {text};")
        # Nodes that no later loop reads need no array.
        later = self._read_later(nodes)
        lines.extend(f"{self.array(x)}[i] = {local[x]};" for x in nodes if x in later)
        self.over_rows(lines)

    def _read_later(self, nodes: list[Node]) -> set[Node]:
        steps = self.program.steps
        at = next(k for k, x in enumerate(steps) if isinstance(x, Scalars) and x.nodes is nodes)
        found: set[Node] = set()
        for root in roots(steps[at + 1 :], self.program.value):
            found.update((root, *root.operands))
        for step in steps[at + 1 :]:
            if isinstance(step, Loop):
                found.update(x for node in topological(step.roots) for x in (node, *node.operands))
                found.update(x for node in step.reductions for x in node.operands)
        return found

    def over_rows(self, lines: list[str], indent: str = "") -> None:
        self.lines.append("#pragma omp simd")
        self.lines.append(f"{indent}for (int i = 0; i < W; ++i) {{")
        self.lines.extend(f"{indent}  {line}" for line in lines)
        self.lines.append(f"{indent}}}")

    def softmax(self, memory: Node, exponential: Node | None) -> None:
        base = memory.args[0] if memory.op == "input" else self.memory[memory]
        to = self.memory[exponential] if exponential else "nullptr"
        name = f"s{len(self.names)}"
        cast = c_type(memory)
        self.lines.append(f"{cast} {name}_others[W];")
        self.lines.append(
            f"const Bases<W, {cast}> {name} = statistics_of_tile<W>({base}, classes, "
            f"{to}, {name}_others);"
        )
        for node in self.ended(memory, ("largest", "others")):
            self.names[node] = f"{name}.largest" if node.op == "largest" else f"{name}_others"
            self.bases[node] = f"{name}[i]"
        self.largest[memory] = f"{name}.largest"

    def first(self, node: Node) -> None:
        memory = node.args[0]
        base = memory.args[0] if memory.op == "input" else self.memory[memory]
        largest = self.largest.get(memory)
        if largest is None:
            largest = f"r{len(self.names)}_largest"
            self.lines.append(f"{c_type(memory)} {largest}[W];")
            self.lines.append(f"largest_of_tile<W>({base}, classes, {largest});")
        at = self.array(node)
        self.lines.append(f"first_equal_of_tile<W>({base}, classes, {largest}, {at});")

    def store(self, target: Node | None, index: Node, value: Node) -> None:
        where = self.reference(index, {})
        text = self.reference(value, {})
        to = f"g[{where} * W + i]" if target is None else self.at_class(target, where)
        scale = "scale[i] * " if target is None else ""
        self.lines.append("for (int i = 0; i < W; ++i) {")
        self.lines.append(f"  {to} = {scale}{text};")
        self.lines.append("}")

    def loop(self, loop: Loop) -> None:
        lines, local = self.body(loop, "c")
        inner = []
        starts = []
        for node in loop.reductions:
            text = self.reduced(node, local)
            name = self.array(node)
            cast = "double" if node.sort == "float64" else "T"
            if node.op == "sum":
                starts.append(f"{name}[i] = 0;")
                inner.append(f"{name}[i] += {text};")
            else:
                starts.append(f"{name}[i] = -infinity<{cast}>;")
                inner.append(f"const {cast} {name}_x = {text};")
                # Not ||: gcc vectorises no branch.
                replaces = f"({name}_x > {name}[i]) | ({name}_x != {name}_x)"
                inner.append(f"{name}[i] = {replaces} ? {name}_x : {name}[i];")
        if starts:
            self.over_rows(starts)
        self.lines.append("for (int c = 0; c < classes; ++c) {")
        self.over_rows([*lines, *inner], "  ")
        self.lines.append("}")

    def end(self) -> None:
        if self.program.value is not None:
            self.over_rows([f"result[i] = T({self.reference(self.program.value, {})});"])
