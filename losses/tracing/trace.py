"""Tracing: the formulas of a loss run on placeholders, which record what is computed as a graph.

A placeholder has one formula for the classes of a row in general, and others for single classes:
for a class index y the one-hot row is 0 in general and 1 at y. Operations keep the two apart,
f(0 | y: 1) = (f(0) | y: f(1)), so that work on all classes which only the right class needs is
never done.
"""

from __future__ import annotations

from functools import partial, reduce
from typing import Any

import torch

from ..softmax import SoftmaxParts, plain_softmax_parts
from .graph import Graph, Node
from .operations import OPERATIONS

Number = float | int | bool


class Setting(float):
    """A setting of a loss in a traced formula, or a float computed from settings alone.

    It becomes an argument of the kernel and no constant, so that one kernel serves all values.
    """

    def __neg__(self) -> Setting:
        return Setting(-float(self))

    def __add__(self, other: Any) -> Any:
        return self._with(float.__add__, other)

    def __radd__(self, other: Any) -> Any:
        return self._with(float.__radd__, other)

    def __sub__(self, other: Any) -> Any:
        return self._with(float.__sub__, other)

    def __rsub__(self, other: Any) -> Any:
        return self._with(float.__rsub__, other)

    def __mul__(self, other: Any) -> Any:
        return self._with(float.__mul__, other)

    def __rmul__(self, other: Any) -> Any:
        return self._with(float.__rmul__, other)

    def __truediv__(self, other: Any) -> Any:
        return self._with(float.__truediv__, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with(float.__rtruediv__, other)

    def __pow__(self, other: Any, _modulus: None = None) -> Any:
        return self._with(float.__pow__, other)

    def _with(self, operation: Any, other: Any) -> Any:
        if not isinstance(other, int | float):
            return NotImplemented
        return Setting(operation(self, float(other)))


class Placeholder:
    """Stand-in for a tensor in a traced formula.

    `base` is its number for a class in general (or its number per row), and `at[i]` that of the
    class with the index i, where it differs. Indices may coincide: then their numbers agree.
    """

    def __init__(self, tracer: Tracer, base: Node, at: dict[Node, Node] | None = None) -> None:
        self.tracer, self.base, self.at = tracer, base, dict(at or {})

    # --- what formulas ask of a tensor ---------------------------------------------------------

    @property
    def dtype(self) -> torch.dtype:
        sorts = {"float64": torch.float64, "bool": torch.bool, "index": torch.int64}
        return sorts.get(self.base.sort, self.tracer.dtype)

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def shape(self) -> tuple[Placeholder, ...]:
        return (self.tracer.classes,)

    def is_floating_point(self) -> bool:
        return self.base.sort in ("float", "float64")

    def __bool__(self) -> bool:
        raise TypeError("a formula cannot branch on the numbers of a tensor: use torch.where")

    @classmethod
    def __torch_function__(
        cls, function: Any, _types: Any, arguments: Any = (), kwargs: Any = None
    ) -> Any:
        name = getattr(function, "__name__", str(function))
        if name not in OPERATIONS:
            raise NotImplementedError(f"formulas cannot use torch's {name}")
        return OPERATIONS[name](*arguments, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        if name in OPERATIONS:
            return lambda *args, **kwargs: OPERATIONS[name](self, *args, **kwargs)
        raise AttributeError(f"formulas cannot use a tensor's {name!r}")

    def __add__(self, other: Any) -> Placeholder:
        return self.tracer.apply("add", self, other)

    def __radd__(self, other: Any) -> Placeholder:
        return self.tracer.apply("add", other, self)

    def __sub__(self, other: Any) -> Placeholder:
        return self.tracer.apply("sub", self, other)

    def __rsub__(self, other: Any) -> Placeholder:
        return self.tracer.apply("sub", other, self)

    def __mul__(self, other: Any) -> Placeholder:
        return self.tracer.apply("mul", self, other)

    def __rmul__(self, other: Any) -> Placeholder:
        return self.tracer.apply("mul", other, self)

    def __truediv__(self, other: Any) -> Placeholder:
        return self.tracer.apply("div", self, other)

    def __rtruediv__(self, other: Any) -> Placeholder:
        return self.tracer.apply("div", other, self)

    def __pow__(self, exponent: Any) -> Any:
        return OPERATIONS["pow"](self, exponent)

    def __neg__(self) -> Placeholder:
        return self.tracer.apply("neg", self)

    def __invert__(self) -> Placeholder:
        return self.tracer.apply("not", self)

    def __and__(self, other: Any) -> Placeholder:
        return self.tracer.apply("and", self, other)

    def __or__(self, other: Any) -> Placeholder:
        return self.tracer.apply("or", self, other)

    def __lt__(self, other: Any) -> Placeholder:
        return self.tracer.apply("lt", self, other)

    def __le__(self, other: Any) -> Placeholder:
        return self.tracer.apply("le", self, other)

    def __gt__(self, other: Any) -> Placeholder:
        return self.tracer.apply("gt", self, other)

    def __ge__(self, other: Any) -> Placeholder:
        return self.tracer.apply("ge", self, other)

    def __eq__(self, other: Any) -> Placeholder:  # type: ignore[override]
        return self.tracer.apply("eq", self, other)

    def __ne__(self, other: Any) -> Placeholder:  # type: ignore[override]
        return self.tracer.apply("ne", self, other)

    def __getitem__(self, at: Any) -> Placeholder:
        """Return the number of one of two classes, for x[..., k]."""
        return Placeholder(self.tracer.outer, self.element(self.tracer.known[at[-1]]))

    __hash__ = object.__hash__

    # --- one class -----------------------------------------------------------------------------

    def element(self, index: Node) -> Node:
        """Return the number of the class with an index."""
        if index in self.at:
            return self.at[index]
        graph = self.tracer.graph
        # One of few and known classes is one of those in `at`.
        found = self.base if self.tracer.known else graph.element(self.base, index)
        for other, node in self.at.items():
            found = graph.make("where", graph.make("same", index, other), node, found)
        return found

    def with_element(self, index: Node, value: Node) -> Placeholder:
        """Return the same with `value` for the class with an index."""
        make = self.tracer.graph.make
        known = self.tracer.known
        if known:
            return Placeholder(
                self.tracer,
                self.base,
                {x: make("where", make("same", index, x), value, self.element(x)) for x in known},
            )
        at = {
            other: make("where", make("same", index, other), value, node)
            for other, node in self.at.items()
            if other is not index
        }
        return Placeholder(self.tracer, self.base, {**at, index: value})


class Tracer:
    """Makes the placeholders of one formula.

    Args:
        dtype: that of the computation, float32 or float64.

    Attributes:
        known: indices of the classes if they are few and known, as in a stack of two numbers; then
            placeholders have a number at each of them.
        outer: the tracer of a class's number alone.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.graph, self.dtype = Graph(), dtype
        self.known: tuple[Node, ...] = ()
        self.outer = self

    def stack(self, numbers: Any) -> Placeholder:
        """Record a stack of numbers, which are the classes of an example."""
        inner = Tracer(self.dtype)
        inner.graph, inner.outer = self.graph, self
        inner.known = tuple(map(self.graph.index, range(len(numbers))))
        at = {index: self.of(x).base for index, x in zip(inner.known, numbers, strict=True)}
        return Placeholder(inner, at[inner.known[0]], at)

    def input(self, name: str) -> Placeholder:
        """Return the placeholder of a tensor: 'y' is a class index, given as its one-hot row.

        '-z' is minus a tensor, '0' and '1' are numbers in the place of one.
        """
        if name in ("0", "1"):
            return self.of(float(name))
        if name[0] == "-":
            return -self.input(name[1:])
        if name != "y":
            return Placeholder(self, self.graph.input(name))
        const, index = self.graph.const, self.graph.input("y", "row", "index")
        return Placeholder(self, const(0.0), {index: const(1.0)})

    @property
    def classes(self) -> Placeholder:
        """The number of classes."""
        if self.known:
            return Placeholder(self, self.graph.const(float(len(self.known))))
        return Placeholder(self, self.graph.input("classes", "row"))

    def of(self, x: Placeholder | Number) -> Placeholder:
        if isinstance(x, Placeholder):
            return x
        return Placeholder(self, self.graph.const(x, setting=isinstance(x, Setting)))

    def apply(self, op: str, *arguments: Placeholder | Number) -> Placeholder:
        """Record an elementwise operation."""
        numbers = [self.of(x) for x in arguments]
        base = self.graph.make(op, *(x.base for x in numbers))
        at: dict[Node, Node] = {}
        for index in {index: None for x in numbers for index in x.at}:
            at[index] = self.graph.make(op, *(x.element(index) for x in numbers))
        if base.value is not None and all(x.value == base.value for x in at.values()):
            at = {}
        return Placeholder(self, base, at)

    def sum(self, x: Placeholder) -> Placeholder:
        """Record a sum over the classes. A class with a number of its own counts once, also if
        several indices name it."""
        make, const, indices = self.graph.make, self.graph.const, tuple(x.at)
        if self.known:
            return Placeholder(self, reduce(partial(make, "add"), map(x.element, self.known)))
        again = [self._among(index, indices[:k]) for k, index in enumerate(indices)]
        if x.base.per == "row":
            count = self.classes.base
            for each in again:
                count = make("sub", count, make("where", each, const(0.0), const(1.0)))
            total = make("mul", x.base, count)
        else:
            total = self.graph.reduce("sum", x.base, indices)
        for each, node in zip(again, x.at.values(), strict=True):
            total = make("add", total, make("where", each, const(0.0), node))
        return Placeholder(self, total)

    def _among(self, index: Node, others: tuple[Node, ...]) -> Node:
        found = self.graph.const(False)
        for other in others:
            same = self.graph.make("same", index, other)
            found = same if found.value is False else self.graph.make("or", found, same)
        return found

    def amax(self, x: Placeholder) -> Placeholder:
        """Record the largest number of the classes."""
        if self.known:
            return Placeholder(
                self, reduce(partial(self.graph.make, "max"), map(x.element, self.known))
            )
        most = x.base
        if x.base.per == "class":
            most = self.graph.reduce("amax", x.base, tuple(x.at))
        for node in x.at.values():
            most = self.graph.make("max", most, node)
        return Placeholder(self, most)

    def argmax(self, x: Placeholder) -> Placeholder:
        """Record the index of the largest number."""
        if self.known:
            first, second = self.known
            after = self.graph.make("gt", x.element(second), x.element(first))
            return Placeholder(self, self.graph.make("where", after, second, first))
        if x.base.value == 0 and len(x.at) == 1:
            # Only one class has a number: whichever is left out, the others are 0.
            return Placeholder(self, next(iter(x.at)))
        return Placeholder(self, self.graph.reduce("argmax", self._in_memory(x)))

    def _in_memory(self, x: Placeholder) -> Node:
        return self.graph.buffer(x.base, x.at)

    def softmax_parts(self, x: Placeholder) -> SoftmaxParts:
        """Record `softmax.softmax_parts`; the backend computes its sums as one operation."""
        if self.known:
            return plain_softmax_parts(x)  # type: ignore[arg-type]
        memory = self._in_memory(x)
        largest, others = (
            Placeholder(self, self.graph.row(op, memory, sort=memory.sort))
            for op in ("largest", "others")
        )
        z, total = Placeholder(self, memory), 1 + others
        exponential = self.apply("exponential", z, largest)
        top = Placeholder(self, self.graph.reduce("argmax", memory))
        tied = z == largest
        # As `scatter` at `top` has it, without the index: equal logits have equal probabilities.
        q = self.apply("where", tied, others, total - exponential) / total
        gap = self.apply("where", tied, 0.0, largest - z)
        found: tuple[Any, ...] = (top, gap, others, exponential / total, q)
        return SoftmaxParts(*found)
