"""The data room: find images, decode them once into a verified cache, split and batch them."""

from .image_set import ImageSet, Split
from .resolve import open_images
from .sources import SOURCES

__all__ = ["SOURCES", "ImageSet", "Split", "open_images"]
