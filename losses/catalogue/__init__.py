"""The losses of this library, one file a family as in `losses.functional`."""

from . import distance, likelihood, margin, right_class, robust, softmax
from .entry import Entry

_FAMILIES = (
    right_class.ENTRIES,
    likelihood.ENTRIES,
    softmax.ENTRIES,
    distance.ENTRIES,
    margin.ENTRIES,
    robust.ENTRIES,
)
ENTRIES: tuple[Entry, ...] = tuple(entry for family in _FAMILIES for entry in family)
