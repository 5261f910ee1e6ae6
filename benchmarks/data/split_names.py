"""Splits by folder names, understood word by word. Folders that are not understood end the command.

A test set that is taken for training images makes every accuracy too high, and nothing shows it.
"""

import re
import shlex
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.format import plural

from .sources import SPLITS, Folders, SplitName, printable, shorten

SPLIT_WORDS: dict[str, SplitName] = {
    **dict.fromkeys(("train", "training", "trains", "trn", "trainval"), "train"),
    **dict.fromkeys(("val", "vali", "valid", "validate", "validation", "dev"), "validation"),
    **dict.fromkeys(("devel", "development", "eval", "evaluate", "evaluation"), "validation"),
    **dict.fromkeys(("test", "testing", "tests", "tst", "holdout", "heldout"), "test"),
}
NOUN = "(?:data|dataset|set|split|image|img|pic|picture|photo|file|folder|dir|sample)s?"
"""What is written to a split without a separator: trainset, testimages."""
WORD = re.compile(rf"({'|'.join(SPLIT_WORDS)})(?:{NOUN})?")
CAMEL_CASE = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
HOLD_OUT = re.compile(r"(?:hold|held)[\W_]*out", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
    """Folders that decide the split of an image, without those that name a class alone.

    Attributes:
        folders: path of the innermost one; empty: the top folder.
        split: the split; None: not known.
    """

    folders: Folders
    split: SplitName | None

    def __str__(self) -> str:
        return printable("/".join(self.folders)) or "."


@cache
def split_of_name(name: str) -> SplitName | None:
    """Return the split that a folder's name says; None if it says none or several.

    Words end at every change of case and at all that is no letter: 'seg_train', 'Test Data 2' and
    'validationSet' are understood.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    plain = HOLD_OUT.sub(" holdout ", plain)
    words = [*CAMEL_CASE.findall(plain), *re.findall("[A-Za-z]+", plain)]
    matches = (WORD.fullmatch(word.lower()) for word in words)
    splits = {SPLIT_WORDS[match[1]] for match in matches if match}
    return splits.pop() if len(splits) == 1 else None


def parse_splits(flags: Sequence[str]) -> dict[Folders, SplitName]:
    """Parse the values of --split, such as 'test=Test Data', into splits by folder.

    Raises:
        UserError: a value is not split=folder, or names a folder twice.
    """
    given: dict[Folders, SplitName] = {}
    for flag in flags:
        name, _, directory = flag.partition("=")
        split = SPLIT_WORDS.get(name.lower())
        folders = tuple(part for part in directory.split("/") if part not in ("", "."))
        if split is None or not directory or directory.startswith("/") or ".." in folders:
            raise UserError(
                f"--split {flag}: write train=DIR, validation=DIR or test=DIR, where DIR is a "
                "folder's path below --data"
            )
        if given.setdefault(folders, split) != split:
            raise UserError(f"--split {flag}: {directory} has two splits; give it one")
    return given


def find_origins(
    paths: Sequence[tuple[str, ...]],
    classes: Mapping[str, int],
    given: Mapping[Folders, SplitName],
    where: str,
) -> list[Origin]:
    """Find the split of each labelled image, and the folders that it comes from.

    The innermost folder that is understood decides, unless it says train inside one that says test
    or validation. The other images are training images if they lie in one place that holds the
    splits too, and nothing is named train.

    Args:
        paths: parts of the paths of the images.
        classes: labels by lower-case names of class folders.
        given: splits by folder, which come before what names say; () stands for all other folders.
        where: path of all images, for messages.

    Raises:
        UserError: folders divide the images and are not all understood, or a given folder has no
            image.
    """
    counts = Counter(parts[:-1] for parts in paths)
    directories = [_ImageDirectory(folders, classes) for folders in counts]
    given = _with_slashes(given, directories)
    for named in given:
        if not any(each.lies_in(named) for each in directories):
            raise UserError(
                f"--split: no image of the classes lies in {'/'.join(named)!r} of {where}; "
                "give a folder's path below --data"
            )
    shared = count_shared([each.context for each in directories])
    origins = dict(zip(counts, _origins_of_directories(directories, given, shared), strict=True))
    images: Counter[Origin] = Counter()
    for folders, count in counts.items():
        images[origins[folders]] += count
    _check_understood(images, given, shared, where)
    trained = {o: Origin(o.folders, "train") for o in images if not o.split}
    _check_file_names([parts[-1] for parts in paths if origins[parts[:-1]] in trained], where)
    return [trained.get(origin, origin) for parts in paths for origin in [origins[parts[:-1]]]]


def _with_slashes(
    given: Mapping[Folders, SplitName], directories: Sequence["_ImageDirectory"]
) -> dict[Folders, SplitName]:
    r"""Return the given splits, with photos\cat read as photos/cat unless a folder is named so."""
    found: dict[Folders, SplitName] = {}
    for folders, split in given.items():
        named = folders
        if not any(each.lies_in(folders) for each in directories):
            parts = "/".join(folders).replace("\\", "/").split("/")
            named = tuple(part for part in parts if part not in ("", "."))
        if found.setdefault(named, split) != split:
            raise UserError(f"--split: {'/'.join(named)} has two splits; give it one")
    return found


def _origins_of_directories(
    directories: Sequence["_ImageDirectory"], given: Mapping[Folders, SplitName], shared: int
) -> list[Origin]:
    """Return the origin of the images in each directory; its split is None if it is not known."""
    common = _subfolders_of_classes(directories)
    # A folder around all images may be named anything, unless it is the only one.
    divided = any(len(each.dividing_folders(common)) > shared for each in directories)
    found = [_find_origin(each, given, shared, divided) for each in directories]
    if () in given and all(origin and origin.split for origin in found):
        raise UserError(
            f"--split {given[()]}=.: . is every folder that is not understood, and all are; leave "
            "it out, or name a folder"
        )
    both = list(zip(directories, found, strict=True))
    # A split inside a class makes splits of all folders there.
    inside = any(o is not None and len(o.folders) > len(each.above) for each, o in both)
    dividing = (
        {folder.lower() for each in directories for folder in each.below} if inside else common
    )
    return [o or Origin(each.dividing_folders(dividing), given.get(())) for each, o in both]


def count_shared(paths: Sequence[Folders]) -> int:
    """Count the leading folders that all paths share."""
    if not paths:
        return 0
    both = zip(min(paths), max(paths), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))


class _ImageDirectory:
    """A directory that some images lie in.

    Attributes:
        folders: its folders, below the path of all images.
        label: label of the innermost class folder, if there is one.
        above: folders above it that do more than name a class, and itself if its name says a split
            as well, such as cats_train.
        below: folders below it.
    """

    def __init__(self, folders: Folders, classes: Mapping[str, int]) -> None:
        labels = [classes.get(folder.lower()) for folder in folders]
        at = max((n for n, label in enumerate(labels) if label is not None), default=len(folders))
        self.folders, self.classes = folders, classes
        self.label = labels[at] if at < len(folders) else None
        self.above = _without_classes(folders[: at + 1], classes)
        self.below = folders[at + 1 :]

    @property
    def context(self) -> Folders:
        """All folders that do more than name a class."""
        return self.above + self.below

    def lies_in(self, directory: Folders) -> bool:
        """Return whether it lies in a directory, whose class folders may be left out."""
        size = len(directory)
        return directory in (self.folders[:size], self.context[:size])

    def depth(self, directory: Folders) -> int:
        """Return the number of folders in the context of a directory."""
        return len(_without_classes(directory, self.classes))

    def dividing_folders(self, dividing: Collection[str]) -> Folders:
        """Return the folders above the class and, if it divides images, the one below."""
        return self.above + tuple(f for f in self.below[:1] if f.lower() in dividing)


def _without_classes(folders: Folders, classes: Mapping[str, int]) -> Folders:
    """Return the folders that do not name a class alone.

    cats_test is kept, if the user has named it as a class: it is a test folder all the same. A
    class named with a single word, such as train, is the vehicle.
    """
    return tuple(
        folder
        for folder in folders
        if folder.lower() not in classes
        or (split_of_name(folder) and not WORD.fullmatch(folder.lower()))
    )


def _subfolders_of_classes(directories: Sequence[_ImageDirectory]) -> set[str]:
    """Return the lower-case names of folders that lie in several classes, as no breed does."""
    labels: dict[str, set[int | None]] = defaultdict(set)
    for directory in directories:
        for folder in directory.below[:1]:
            labels[folder.lower()].add(directory.label)
    return {folder for folder, each in labels.items() if len(each) > 1}


def _find_origin(
    directory: _ImageDirectory, given: Mapping[Folders, SplitName], shared: int, divided: bool
) -> Origin | None:
    """Return the origin of the images in a directory; None if no folder is understood.

    Args:
        directory: the directory.
        given: splits by folder.
        shared: number of folders that every context begins with.
        divided: True if there are folders below these, so that their own names say nothing.
    """
    named = [
        (depth, split)
        for depth, folder in enumerate(directory.context, start=1)
        if (depth > shared or not divided) and (split := split_of_name(folder))
    ]
    around = max((d for d in given if d and directory.lies_in(d)), key=len, default=None)
    if around is not None:
        top = directory.depth(around), given[around]
        inner = [each for each in named if each[0] > top[0]]
        depth, split = max([top, *inner], key=lambda each: SPLITS.index(each[1]))
        return Origin(directory.context[:depth], split)
    if not named:
        return None
    depth, split = named[-1]
    inside = [SPLITS.index(other) for at, other in named if at > shared]
    contradicted = max(inside, default=0) > SPLITS.index(split)
    return Origin(directory.context[:depth], None if contradicted else split)


def _check_understood(
    counts: Counter[Origin], given: Mapping[Folders, SplitName], shared: int, where: str
) -> None:
    """Raise UserError if the split of a folder is not known and matters."""
    known = sorted((o for o in counts if o.split), key=str)
    unknown = sorted((o for o in counts if not o.split), key=str)
    if not unknown or (len(unknown) == 1 and _is_the_rest(unknown[0], known, shared)):
        return

    def listed(origins: Sequence[Origin]) -> str:
        return shorten([f"{shlex.quote(str(o))} ({plural(counts[o], 'image')})" for o in origins])

    tested = any(origin.split == "test" for origin in known)
    # The largest is the likeliest to be for training.
    largest = sorted(unknown, key=lambda origin: -counts[origin])[:2]
    guesses: list[SplitName] = ["train"] * len(largest)
    if not tested:
        guesses[-1] = "test"
    said = [Origin(folders, split) for folders, split in given.items()]
    said += [Origin(o.folders, split) for o, split in zip(largest, guesses, strict=True)]
    flags = [f"{origin.split}={shlex.quote(str(origin))}" for origin in said]
    beside = [
        f"{split}: {listed(each)}"
        for split in SPLITS
        if (each := [origin for origin in known if origin.split == split])
    ]
    raise UserError(
        f"{where}: folders divide the images, and it is not clear which of them are for training "
        f"and which for the test: {listed(unknown)}"
        + (f"; beside {', '.join(beside)}" if beside else "")
        + f"; say what each is, for example --split {' '.join(flags)} "
        "(. is every other folder)"
    )


def _check_file_names(names: Sequence[str], where: str) -> None:
    """Raise UserError if most file names say a split, such as test_0001.jpg, and not the same."""
    splits: Counter[SplitName | None] = Counter()
    for name, count in Counter(re.sub(r"\d+", "", name) for name in names).items():
        splits[split_of_name(name)] += count
    unsaid = splits.pop(None, 0)
    if len(splits) > 1 and splits.total() > unsaid:
        found = ", ".join(f"{split} ({count:,})" for split, count in sorted(splits.items()))
        raise UserError(
            f"{where}: file names say {found}, and no folder does; put the files into folders of "
            "these names, or say --split train=. to take them all for training"
        )


def _is_the_rest(rest: Origin, known: Sequence[Origin], shared: int) -> bool:
    """Return whether the images of `rest`, whose folders name no split, are the training images.

    They are if all known splits lie in folders within theirs, and none of those is for training.
    """
    return not any(map(split_of_name, rest.folders[shared:])) and all(
        other.split != "train" and other.folders[: len(rest.folders)] == rest.folders
        for other in known
    )
