"""Many trials: on the CPU one single-threaded process a core, on a GPU side by side in this
process."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import nn

from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data import ImageSet, open_images
from lossbench.benchmarks.data.batches import DeviceDataset, prepare
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.experiment import cpu_count
from lossbench.benchmarks.training.result import RunConfig, RunResult
from lossbench.benchmarks.training.result_store import ResultStore
from lossbench.benchmarks.training.train import is_builtin, train, training

from .cuda_streams import Task, in_turns


class Pool:
    """Trains trials and keeps their outcomes, so that none is trained twice. A context manager;
    its worker processes begin with the first trial that needs them.

    Args:
        store: directory of the outcomes, made when it is needed.
        device: where to train. On the CPU every trial has one thread, so that its outcome does
            not depend on how many are trained beside it.
        workers: trials at a time; None: one a core on the CPU, as many as it holds on a GPU.
    """

    def __init__(
        self, store: Path, device: torch.device, reporter: Reporter, workers: int | None = None
    ) -> None:
        self.outcomes = ResultStore(store)
        self.device, self.reporter = device, reporter
        self.workers = workers or (cpu_count() if device.type == "cpu" else None)
        self.executor: ProcessPoolExecutor | None = None
        self.images: dict[tuple[str, int | None], ImageSet] = {}
        self.trained = 0

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.executor is None:
            return
        if error is not None:
            for child in multiprocessing.active_children():
                child.terminate()
        # Waits until the executor's own thread has seen them end, so that none is left to it.
        self.executor.shutdown(cancel_futures=True)

    def image_set(self, data: str, image_size: int | None) -> ImageSet:
        """The images of some trials. Raises UserError if they cannot be had."""
        if (data, image_size) not in self.images:
            self.images[data, image_size] = open_images(
                data,
                image_size,
                say=self.reporter.say,
                progress=lambda done, total: self.reporter.bar(done, total, "decoding images"),
            )
        return self.images[data, image_size]

    def train(self, trials: Sequence[RunConfig], doing: str = "training") -> list[RunResult]:
        """The outcomes of the trials, in their order. Equal trials are trained once.

        Raises:
            UserError: images cannot be had, or a worker process was killed.
        """
        missing, found = [], {}
        for trial in dict.fromkeys(trials):
            known = self.outcomes.get(trial, self._fingerprint(trial))
            if known is None:
                missing.append(trial)
            else:
                found[trial] = known
        if found and missing:
            self.reporter.say(f"{doing}: {len(found)} of {len(found) + len(missing)} are there")
        each = self._here if self.device.type != "cpu" else self._in_processes
        for done, outcome in enumerate(each(missing) if missing else (), start=1):
            self.outcomes.put(outcome, self._fingerprint(outcome.trial))
            found[outcome.trial] = outcome
            self.trained += 1
            what = f"{doing}  {done}/{len(missing)}  {outcome.trial.loss}"
            self.reporter.bar(done, len(missing), what)
        return [found[trial] for trial in trials]

    def _fingerprint(self, trial: RunConfig) -> str:
        return self.image_set(trial.data, trial.image_size).fingerprint

    def _here(self, trials: Sequence[RunConfig]) -> Iterator[RunResult]:
        own = not all(map(is_builtin, trials))
        material = lru_cache(maxsize=8)(self._material)
        errors: list[BaseException] = []

        def task(trial: RunConfig) -> Task[tuple[RunResult, nn.Module]]:
            choice = tuple(_choice(trial).items())
            return training(trial, material(trial.data, trial.image_size, choice))

        tasks = ((trial, task(trial)) for trial in takewhile(lambda _: not errors, trials))
        for _, ended in in_turns(tasks, self.device, 1 if own else self.workers):
            # What is trained beside one that fails is not lost.
            if error := ended.exception():
                errors.append(error)
            else:
                yield ended.result()[0]
        if errors:
            raise errors[0]

    def _material(
        self, data: str, image_size: int | None, choice: tuple[tuple[str, Any], ...]
    ) -> DeviceDataset:
        return prepare(self.image_set(data, image_size), self.device, **dict(choice))

    def _in_processes(self, trials: Sequence[RunConfig]) -> Iterator[RunResult]:
        if self.executor is None:
            self.executor = ProcessPoolExecutor(
                self.workers, multiprocessing.get_context("spawn"), _begin
            )
        # The longest first, so that no core waits for one of them at the end.
        ordered = sorted(trials, key=lambda trial: -trial.epochs * (trial.train_images or 10**6))
        try:
            futures = [self.executor.submit(_work, trial) for trial in ordered]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, most likely for want of memory: start the same "
                "command again with --workers 1; what was trained is kept"
            ) from None


def _choice(trial: RunConfig) -> dict[str, Any]:
    """The arguments of `prepare` that a trial asks for."""
    drawn = trial.train_images is not None or trial.label_noise > 0 or trial.imbalance > 1
    return {
        "validation": trial.validation,
        "train_images": trial.train_images,
        "label_noise": trial.label_noise,
        "imbalance": trial.imbalance,
        # All images with their own labels are the same for every seed.
        "seed": trial.seed if drawn else 0,
    }


def _begin() -> None:
    torch.set_num_threads(1)
    # Ctrl-C reaches the whole group of processes; the first to be told answers for all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _work(trial: RunConfig) -> RunResult:
    return train(trial, _material(trial.data, trial.image_size, **_choice(trial)))[0]


# Of a worker process, which has one trial after the other of the same images.


@lru_cache(maxsize=4)
def _material(data: str, image_size: int | None, **choice: Any) -> DeviceDataset:
    return prepare(_images(data, image_size), torch.device("cpu"), **choice)


@lru_cache(maxsize=4)
def _images(data: str, image_size: int | None) -> ImageSet:
    return open_images(data, image_size, say=lambda _: None)
