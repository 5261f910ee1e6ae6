"""Take the power away, and see that nothing is lost that was said to be done.

    uv run python -m tests.stress.power DIR [NAME] [--cases N]

A scenario is run once, and all that it does to the disk is recorded. Then, for a moment and a
choice among what the disk need not have by then, the tree is built that a machine would find after
power has come back. Going on from it has to reach a bit-equal end, and what was said to be done
before has to be there. Writes DIR/NAME.power.jsonl, a line per case; those that it has are not
tried again. Prints a table, and exits with 1 if anything was lost.

The disk is worse than any true one, and keeps no more than POSIX promises:

- the content of a file survives if the file was synced afterwards; else an earlier content may be
  found, a part of the new one, or zeros in its place;
- a name (of a new file or directory, of a renamed or removed one) survives if its directory was
  synced afterwards; else each of these operations may or may not have happened, in any combination.
  One alone is atomic;
- nothing else is ordered.

That is the model of ALICE, Pillai et al., "All File Systems Are Not Created Equal: On the
Complexity of Crafting Crash-Consistent Applications", OSDI 2014, without what it knows of single
file systems. CrashMonkey (Mohan et al., "Finding Crash-Consistency Bugs with
Bounded Black-Box Crash Testing", OSDI 2018) searches file systems for bugs in the same way.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, cast

from lossbench.benchmarks import cli
from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.training.progress import Progress

from .disk import Disk
from .faults import Trial, in_process
from .scenarios import SCENARIOS, prepare

ROOT = "directory 0"
PROMISED = ("runs", "cache/lossbench/downloads")
"""Where files lie that are there for good once a command has ended well. Caches may be lost."""


class Data(NamedTuple):
    """A file has another content, or another time of its last change (in ns)."""

    file: str
    content: bytes
    modified: int


class Names(NamedTuple):
    """Names are set or, with None, removed, at once: (directory, name, file or directory)."""

    changes: tuple[tuple[str, str, str | None], ...]


class Sync(NamedTuple):
    """A file or directory is synced; None: everything is."""

    node: str | None


class Promise(NamedTuple):
    """The user is told that something is done: contents by path."""

    files: dict[str, bytes]


Event = Data | Names | Sync | Promise


class Recorder(Disk):
    """A disk that never fails, and sees after each operation what has changed below its root.

    Attributes:
        events: what happened, in its order.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.events: list[Event] = []
        self.names: dict[tuple[str, str], str] = {}
        self.inodes: dict[int, str] = {}
        self.contents: dict[str, tuple[int, int, bytes]] = {}
        self.count, self.lock = 0, threading.RLock()

    def run(self, kind: str, path: Any, real: Callable[[], Any], half: Callable[[], Any]) -> Any:
        with self.lock:
            result = super().run(kind, path, real, half)
            if self._inside(path) is not None:
                self.look(together=kind in ("replace", "rename"))
            if kind == "sync":
                self.events.append(Sync(None))
            elif kind == "fsync":
                self.look(again=os.path.realpath(path))
                self.events.append(Sync(self.inodes[os.stat(path).st_ino]))
            return result

    def look(self, together: bool = False, again: str = "") -> None:
        """Record what has changed.

        Args:
            together: whether all names have changed at once.
            again: path of a file that may have changed without showing it, as memory maps do.
        """
        found: dict[tuple[str, str], str] = {}
        inodes: dict[int, str] = {os.stat(self.root).st_ino: ROOT}
        data: list[Event] = []
        for entry, above in self._entries(self.root, ROOT, inodes):
            node = inodes[entry.inode()]
            found[above, entry.name] = node
            if entry.is_file():
                data += self._changed(entry, node, again)
        new = [(*key, node) for key, node in found.items() if self.names.get(key) != node]
        gone = [(*key, None) for key in self.names if key not in found]
        changes: list[tuple[str, str, str | None]] = [*gone, *new]
        groups = [changes] if together and changes else [[change] for change in changes]
        self.events += [Names(tuple(group)) for group in groups] + data
        self.names, self.inodes = found, inodes

    def _entries(
        self, directory: str, node: str, inodes: dict[int, str]
    ) -> Iterator[tuple[os.DirEntry[str], str]]:
        """Yield what is below a directory, with the name of the node above; name each node."""
        with os.scandir(directory) as entries:
            for entry in entries:
                inode, kind = entry.inode(), "directory" if entry.is_dir() else "file"
                known = self.inodes.get(inode, "")
                if not known.startswith(kind):  # an inode that is free may be used again
                    self.count += 1
                    known = f"{kind} {self.count}"
                inodes[inode] = known
                yield entry, node
                if entry.is_dir():
                    yield from self._entries(entry.path, known, inodes)

    def _changed(self, entry: os.DirEntry[str], node: str, again: str) -> list[Event]:
        about = os.stat(entry.path)
        seen = (about.st_mtime_ns, about.st_size)
        before = self.contents.get(node, (0, 0, b""))
        if seen == before[:2] and entry.path != again:
            return []
        with self.quiet(entry.path) as file:
            content = file.read()
        self.contents[node] = (*seen, content)
        return [] if self.contents[node] == before else [Data(node, content, seen[0])]

    def promise(self, *patterns: str) -> None:
        """Record that files are said to be there for good: all below directories, but hidden ones.

        Args:
            patterns: of the directories.
        """
        with self.lock:
            root = Path(self.root)
            files: dict[str, bytes] = {}
            for directory in (each for pattern in patterns for each in root.glob(pattern)):
                for path in directory.rglob("*"):
                    if path.is_file() and not path.name.startswith("."):
                        with self.quiet(path) as file:
                            files[str(path.relative_to(root))] = file.read()
            self.events.append(Promise(files))

    def install(self) -> None:
        """Replace the calls in this process, for good, and hear what the user is told."""
        real_open, real_main, real_finished = open, cli.main, Progress.finished
        self.quiet = lambda path: real_open(path, "rb")
        super().install()

        def main(words: Sequence[str]) -> int:
            if not (code := real_main(words)):
                self.promise(*PROMISED)
            return code

        def finished(this: Progress, config: RunConfig, *rest: Any) -> None:
            run = this.status.directory / config.loss / f"seed{config.seed}"
            self.promise(str(run.relative_to(self.root)))
            real_finished(this, config, *rest)

        cli.main = main  # type: ignore[assignment]
        Progress.finished = finished  # type: ignore[method-assign]


class Case(NamedTuple):
    """The first events that happened, and what survives of those that were not synced.

    Attributes:
        moment: number of events.
        choice: nothing; all names, but no content; all contents, but no name; or the number of a
            random choice.
    """

    moment: int
    choice: str


CHOICES = ("nothing", "names", "contents", "1", "2", "3")


def survivors(events: Sequence[Event], case: Case) -> tuple[dict[str, dict[str, str]], Any]:
    """Return the names in each directory, and content and time of each file, that survive."""
    draw, happened = Random(str(case)), events[: case.moment]
    synced: dict[str | None, int] = {}
    for number, event in enumerate(happened):
        if isinstance(event, Sync):
            synced[event.node] = number

    def is_safe(number: int, *nodes: str) -> bool:
        return any(synced.get(node, -1) > number for node in (*nodes, None))

    names: dict[str, dict[str, str]] = {ROOT: {}}
    files: dict[str, list[tuple[bool, bytes, int]]] = {}
    for number, event in enumerate(happened):
        if isinstance(event, Data):
            safe = is_safe(number, event.file)
            files.setdefault(event.file, []).append((safe, event.content, event.modified))
        elif isinstance(event, Names):
            survives = {"nothing": False, "names": True, "contents": False}.get(case.choice)
            if survives is None:
                survives = draw.random() < 0.5
            if survives or is_safe(number, *(directory for directory, *_ in event.changes)):
                for directory, name, node in event.changes:
                    there = names.setdefault(directory, {})
                    if node is None:
                        there.pop(name, None)
                    else:
                        there[name] = node
    found = {file: _content(versions, case.choice, draw) for file, versions in files.items()}
    return names, found


def _content(
    versions: list[tuple[bool, bytes, int]], choice: str, draw: Random
) -> tuple[bytes, int]:
    """Return one of the contents that a file may have, and the time of its last change."""
    safe = max((k for k, (is_safe, *_) in enumerate(versions) if is_safe), default=-1)
    old = versions[safe][1] if safe >= 0 else b""
    last = versions[-1][2]
    if choice == "contents" or safe == len(versions) - 1:
        return versions[-1][1], last
    if choice == "nothing":
        return old, last
    new = versions[-1 if choice == "names" else draw.randrange(safe + 1, len(versions))][1]
    kept = old if new.startswith(old) else b""
    more = new[len(kept) :]
    half = len(more) // 2
    torn = [old, kept + more[:half], kept + bytes(len(more)), kept + more[:half] + bytes(half)]
    return draw.choice(torn if choice == "names" else [*torn, new]), last


def build(events: Sequence[Event], case: Case, place: Path) -> None:
    """Write the tree that survives into a new directory."""
    names, files = survivors(events, case)

    def write(directory: str, path: Path) -> None:
        path.mkdir()
        for name, node in names.get(directory, {}).items():
            if node.startswith("directory"):
                write(node, path / name)
            else:
                content, modified = files.get(node, (b"", 0))
                (path / name).write_bytes(content)
                os.utime(path / name, ns=(modified, modified))

    write(ROOT, place)


def promises(events: Sequence[Event], moment: int) -> dict[str, set[bytes]]:
    """Return the contents that promised files may have: the promised one, and those written later
    to any file, which may have replaced it."""
    found: dict[str, tuple[int, bytes]] = {}
    for number, event in enumerate(events[:moment]):
        if isinstance(event, Promise):
            found |= {path: (number, content) for path, content in event.files.items()}
    later = {
        path: {each.content for each in events[number:moment] if isinstance(each, Data)}
        for path, (number, _) in found.items()
    }
    return {path: {content} | later[path] for path, (_, content) in found.items()}


def broken(events: Sequence[Event], moment: int, place: Path) -> str | None:
    """Return a promised file that is missing or another one, or None."""
    for path, contents in promises(events, moment).items():
        if not (place / path).is_file():
            return f"promised, and gone: {path}"
        if (place / path).read_bytes() not in contents:
            return f"promised, and damaged: {path}"
    return None


def all_cases(events: Sequence[Event]) -> list[Case]:
    """Return all cases: first those just after a promise, the others in a random order."""
    after = [number + 1 for number, each in enumerate(events) if isinstance(each, Promise)]
    first = [Case(moment, choice) for choice in CHOICES for moment in after[::-1]]
    others = [Case(moment, choice) for moment in range(len(events) + 1) for choice in CHOICES]
    Random(0).shuffle(others)
    return list(dict.fromkeys([*first, *others]))


def _record(name: str, place: Path, log: Path) -> None:
    prepare(place, log)
    recorder = Recorder(place)
    recorder.install()
    code = SCENARIOS[name].work(place)
    if not code and not isinstance(recorder.events[-1], Promise):
        recorder.promise(*PROMISED)
    log.with_suffix(".events").write_bytes(pickle.dumps(recorder.events))
    sys.stdout.flush()
    os._exit(code)


class Outage:
    """A scenario whose power goes away, below a directory.

    Attributes:
        events: those of the complete one, in their order.
    """

    def __init__(self, place: Path, name: str) -> None:
        self.trial = Trial(place, name)
        self.place = place / name
        recorded, log = self.place / "recorded", self.place / "recorded.log"
        if not log.with_suffix(".events").exists():
            shutil.rmtree(recorded, ignore_errors=True)
            recorded.mkdir()
            if code := in_process(_record, name, recorded, log):
                raise RuntimeError(f"{name} itself ended with {code}: {log.read_text()}")
        self.events = cast(list[Event], pickle.loads(log.with_suffix(".events").read_bytes()))

    def try_case(self, case: Case) -> str | None:
        """Take the power away and go on; return what is lost, or None."""
        place = self.place / f"outage-{case.moment}-{case.choice}"
        log = place.with_suffix(".log")
        shutil.rmtree(place, ignore_errors=True)
        log.unlink(missing_ok=True)
        build(self.events, case, place)
        lost = broken(self.events, case.moment, place) or self.trial.go_on(place, log)
        if lost is None:
            shutil.rmtree(place)
            log.unlink()
            log.with_suffix(".json").unlink()
        return lost


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.power", description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR", help="for what is trained")
    parser.add_argument("name", choices=SCENARIOS, nargs="?", help="one of them (default: all)")
    parser.add_argument("--cases", type=int, default=200, help="of each (default: 200)")
    given = parser.parse_args()
    place = given.directory.resolve()
    place.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in [given.name] if given.name else SCENARIOS:
        outage, log = Outage(place, name), place / f"{name}.power.jsonl"
        lines = map(json.loads, log.read_text().splitlines() if log.exists() else ())
        known = {Case(*case): lost for case, lost in lines}
        for case in all_cases(outage.events)[: given.cases]:
            if case not in known:
                known[case] = outage.try_case(case)
                with log.open("a") as file:
                    file.write(json.dumps([case, known[case]]) + "\n")
            if known[case]:
                print(f"{name}, {case}: {known[case]}", flush=True)
        kinds = Counter(type(event).__name__ for event in outage.events)
        lost = sum(each is not None for each in known.values())
        counts = (*(kinds[each] for each in ("Data", "Names", "Sync", "Promise")), len(known), lost)
        rows.append(f"| {name} | {' | '.join(map(str, counts))} |")
    print("| scenario | contents | names | syncs | promises | cases | lost |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |", *rows, sep="\n")
    return 1 if any(not row.endswith(" 0 |") for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
