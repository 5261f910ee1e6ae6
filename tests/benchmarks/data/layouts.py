"""Layouts of folders of cats and dogs, as files by name."""

from lossbench.benchmarks.data.sources import count_classes

KINDS = ("directory", "zip", "tar.gz")
"""Directory and archives that a layout is packed into."""

CLASSES = ("cat", "dog")


def files(layout):
    """Return files by name: `layout` has their number by pattern."""
    names = [pattern.format(n) for pattern, count in layout.items() for n in range(count)]
    return {name: b"%d" % number for number, name in enumerate(names)}


def halves(splits, classes=CLASSES):
    """Return a layout of folders split/class with as many images of each class as given."""
    return {
        f"{s}/{c}/{{}}.jpg": n
        for s, counts in splits.items()
        for c, n in zip(classes, counts, strict=True)
    }


def counts_of(source):
    """Return the numbers of cats and dogs in the training, validation and test images."""
    counts = count_classes(source.images(), source.classes)
    return tuple((each["cat"], each["dog"]) for each in counts.values())
