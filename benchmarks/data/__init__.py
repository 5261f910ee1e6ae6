"""Where images come from, and how they become arrays: source, verified cache, splits."""

from .image_set import ImageSet, Split
from .resolve import open_images
from .sources import SOURCES

__all__ = ["SOURCES", "ImageSet", "Split", "open_images"]
