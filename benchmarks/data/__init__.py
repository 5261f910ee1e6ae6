"""Where images come from, and how they become arrays: source, verified cache, splits."""

from benchmarks.data.image_set import ImageSet, Split
from benchmarks.data.opening import open_images
from benchmarks.data.sources import SOURCES

__all__ = ["SOURCES", "ImageSet", "Split", "open_images"]
