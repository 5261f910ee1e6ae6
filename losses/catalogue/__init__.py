"""The losses of this library, one file a family as in `losses.functional`."""

from . import distance, likelihood, right_class, softmax
from .entry import Entry

_FAMILIES = (
    right_class.ENTRIES,
    likelihood.ENTRIES,
    softmax.ENTRIES,
    distance.ENTRIES,
)
ENTRIES: tuple[Entry, ...] = tuple(entry for family in _FAMILIES for entry in family)
