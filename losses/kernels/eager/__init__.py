"""Losses by torch's operations, where no compiled kernel serves: programs made of the closed forms.

`bounded` records value and gradient of a loss as one graph, `assemble` makes of it a list of steps
that write into registers, and `call` runs the steps tile by tile, each small enough to stay in the
processor's cache. A call that is not plain is left to the autograd functions of `closed_form`.
"""
