"""The class of an image, by the names of its folders or its own."""

import re
from collections.abc import Mapping, Sequence

from lossbench.benchmarks.errors import UserError

from .other_files import is_accompanying_file, is_archive, is_derived_file, is_system_file
from .sources import CATS_AND_DOGS

NUMBERED_NAME = re.compile(r"(.+?)[ ._-]*\(?\d+\)?\.[a-z0-9]+", re.IGNORECASE | re.DOTALL)
"""A file name like cat.123.jpg, 'Cat (7).jpg' or american_bulldog_12.jpg."""

MAX_CLASSES = 255

_BREEDS = {
    "cat": "abyssinian bengal birman bombay british_shorthair egyptian_mau maine_coon persian "
    "ragdoll russian_blue siamese sphynx",
    "dog": "american_bulldog american_pit_bull_terrier basset_hound beagle boxer chihuahua "
    "english_cocker_spaniel english_setter german_shorthaired great_pyrenees havanese "
    "japanese_chin keeshond leonberger miniature_pinscher newfoundland pomeranian pug "
    "saint_bernard samoyed scottish_terrier shiba_inu staffordshire_bull_terrier wheaten_terrier "
    "yorkshire_terrier",
}
"""The breeds of Oxford-IIIT Pet, whose files are named by them."""

Labels = Mapping[str, int]
"""Labels by lower-case names of folders and beginnings of file names."""


def class_labels(classes: tuple[str, ...]) -> dict[str, int]:
    """Map class names, singular and plural, to labels; of cats and dogs also breeds."""
    labels = _with_plurals({name.lower(): label for label, name in enumerate(classes)})
    if classes == CATS_AND_DOGS:
        for species, breeds in _BREEDS.items():
            labels |= dict.fromkeys(breeds.split(), CATS_AND_DOGS.index(species))
    return labels


def parse_classes(flags: Sequence[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Parse the values of --classes, such as 'cat=kitten,gatos'.

    The class 'cat' becomes the last one, so that t = 1 means cat as everywhere.

    Args:
        flags: 'class=name,name' or 'class', which stands for a folder of the same name.

    Returns:
        The classes by label, and labels by lower-case names, singular and plural.

    Raises:
        UserError: a value is not of this form, a name is given twice, or there are fewer than two
            classes or more than 255.
    """
    named: dict[str, list[str]] = {}
    owner: dict[str, str] = {}
    for flag in flags:
        name, equals, folders = flag.partition("=")
        given = [folder.strip() for folder in folders.split(",")] if equals else [name]
        if not name.strip() or not name.isprintable() or not all(given) or "/" in folders:
            raise UserError(
                f"--classes {flag}: write CLASS=NAME or CLASS=NAME,NAME with the names of the "
                "class's folders, such as cat=kitten,gatos"
            )
        for folder in given:
            if (other := owner.setdefault(folder.lower(), name)) != name or name in named:
                raise UserError(f"--classes {flag}: {folder} is named twice, by {other} as well")
        named[name] = given
    if not 2 <= len(named) <= MAX_CLASSES:
        raise UserError(
            f"--classes {' '.join(flags)}: give 2 to {MAX_CLASSES} classes, such as cat=kitten "
            "dog=puppy"
        )
    classes = tuple(sorted(named, key=lambda name: name == "cat"))
    return classes, _with_plurals({name: classes.index(of) for name, of in owner.items()})


def _with_plurals(labels: Labels) -> dict[str, int]:
    return {f"{name}s": label for name, label in labels.items()} | dict(labels)


def find_label(parts: tuple[str, ...], labels: Labels) -> int | None:
    """Return the label of a file: of the innermost folder that names a class, else of its own name.

    None if no name is a class, or if the file is no image of one (a thumbnail, a mask, a list)."""
    if not may_be_image(parts):
        return None
    for folder in reversed(parts[:-1]):
        if folder.lower() in labels:
            return labels[folder.lower()]
    return label_of_file_name(parts[-1], labels)


def may_be_image(parts: tuple[str, ...]) -> bool:
    """Return whether a path may be a photograph: not hidden, no thumbnail, list or archive."""
    return not (
        is_system_file(parts)
        or is_derived_file(parts)
        or is_accompanying_file(parts)
        or is_archive(parts[-1])
    )


def label_of_file_name(name: str, labels: Labels) -> int | None:
    """Return the label of a file name like cat.123.jpg; None if it begins with no class."""
    match = NUMBERED_NAME.fullmatch(name)
    return labels.get(match[1].lower()) if match else None
