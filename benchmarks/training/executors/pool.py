"""Train many runs and keep their results: one process per CPU core, or CUDA streams on a GPU."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from functools import lru_cache, partial
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from lossbench.benchmarks.config import DuplicatePolicy, RunConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data import ImageSet, open_images
from lossbench.benchmarks.data.batches import DeviceDataset, prepare
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.environment import cpu_count
from lossbench.benchmarks.training.interruption import ignore, withheld
from lossbench.benchmarks.training.network import is_builtin
from lossbench.benchmarks.training.result import RunResult
from lossbench.benchmarks.training.result_cache import ResultCache
from lossbench.benchmarks.training.train import Trainer, train
from lossbench.losses import registry

from .cuda_streams import run_all

ImageArguments = tuple[str, int | None, tuple[str, ...], tuple[str, ...], DuplicatePolicy]


class Pool:
    """Trainer of many runs, each of them once. A context manager.

    Its worker processes start with the first run that needs them.

    Args:
        cache: directory of the results, made when it is needed.
        device: where to train. On the CPU every run has one thread, so that its result does not
            depend on how many are trained beside it.
        reporter: for messages and the progress bar.
        workers: runs at a time; None: one per core on the CPU, as many as fit on a GPU.
    """

    def __init__(
        self, cache: Path, device: torch.device, reporter: Reporter, workers: int | None = None
    ) -> None:
        self.cache = ResultCache(cache, device)
        self.device, self.reporter = device, reporter
        self.workers = workers or (cpu_count() if device.type == "cpu" else None)
        self.executor: ProcessPoolExecutor | None = None
        self.images: dict[ImageArguments, ImageSet] = {}

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.executor is None:
            return
        if error is not None:
            for child in multiprocessing.active_children():
                child.terminate()
        # Wait until the executor's own thread has seen them end.
        self.executor.shutdown(cancel_futures=True)

    def image_set(self, arguments: ImageArguments) -> ImageSet:
        """Return the images of some runs.

        Raises:
            UserError: they are not available.
        """
        if arguments not in self.images:
            self.images[arguments] = open_images(
                *arguments,
                say=self.reporter.say,
                progress=lambda done, total: self.reporter.bar(done, total, "decoding images"),
            )
        return self.images[arguments]

    def train(self, configs: Sequence[RunConfig], task: str = "training") -> list[RunResult]:
        """Return the results of runs in their order. Equal runs are trained once.

        Args:
            configs: the runs.
            task: name in the progress bar.

        Raises:
            UserError: images are not available, or a worker process was killed.
        """
        missing, results = [], {}
        for config in dict.fromkeys(configs):
            known = self.cache.get(config, self._fingerprint(config))
            if known is None:
                missing.append(config)
            else:
                results[config] = known
        if results and missing:
            total = len(results) + len(missing)
            self.reporter.say(f"{task}: {len(results)} of {total} were trained before")
        train_missing = self._in_processes if self.device.type == "cpu" else self._in_streams
        for done, result in enumerate(train_missing(missing) if missing else (), start=1):
            self.cache.put(result, self._fingerprint(result.config))
            results[result.config] = result
            text = f"{task}  {done}/{len(missing)}  {result.config.loss}"
            self.reporter.bar(done, len(missing), text)
        return [results[config] for config in configs]

    def _fingerprint(self, config: RunConfig) -> str:
        return self.image_set(image_arguments(config)).fingerprint

    def _in_streams(self, configs: Sequence[RunConfig]) -> Iterator[RunResult]:
        @lru_cache(maxsize=8)
        def dataset(images: ImageArguments, **arguments: Any) -> DeviceDataset:
            return prepare(self.image_set(images), self.device, **arguments)

        errors: list[BaseException] = []
        # A dataset is prepared on the default stream, which the streams of the runs wait for.
        runs = (
            (config, partial(_open_trainer, config, dataset(images, **arguments)))
            for config in takewhile(lambda _: not errors, configs)
            for images, arguments in [(image_arguments(config), dataset_arguments(config))]
        )
        limit = self.workers if all(map(is_builtin, configs)) else 1
        for _, ended in run_all(runs, self.device, limit):
            # The runs beside one that fails are kept.
            if error := ended.exception():
                errors.append(error)
            else:
                yield ended.result()
        if errors:
            raise errors[0]

    def _in_processes(self, configs: Sequence[RunConfig]) -> Iterator[RunResult]:
        if self.executor is None:
            self.executor = ProcessPoolExecutor(
                self.workers, multiprocessing.get_context("spawn"), _start_worker
            )
        own = {config.loss: registry.location(config.loss) for config in configs}
        # The longest first, so that no core waits for one of them at the end.
        ordered = sorted(configs, key=lambda c: -c.epochs * (c.train_images or 10**6))
        try:
            with withheld(signal.SIGINT):
                futures = [self.executor.submit(_train_in_worker, c, own[c.loss]) for c in ordered]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, most likely for lack of memory: start the same "
                "command again with --workers 1; finished runs are kept"
            ) from None


def image_arguments(config: RunConfig) -> ImageArguments:
    """Return the images of a run, as positional arguments of `open_images`."""
    return config.data, config.image_size, config.split, config.classes, config.duplicates


def dataset_arguments(config: RunConfig) -> dict[str, Any]:
    """Return the arguments of `prepare` that choose the training images of a run: how many, with
    what label noise, imbalance and validation share, drawn with which seed."""
    drawn = config.train_images is not None or config.label_noise > 0 or config.imbalance > 1
    return {
        "validation": config.validation,
        "train_images": config.train_images,
        "label_noise": config.label_noise,
        "imbalance": config.imbalance,
        # All images with their own labels are the same for every seed.
        "seed": config.seed if drawn else 0,
    }


def _open_trainer(config: RunConfig, dataset: DeviceDataset) -> nullcontext[Trainer]:
    return nullcontext(Trainer(config, dataset))


def _start_worker() -> None:
    torch.set_num_threads(1)
    # Ctrl-C reaches the whole process group; the parent process handles it.
    ignore(signal.SIGINT)


def _train_in_worker(config: RunConfig, own_loss: str | None) -> RunResult:
    if own_loss is not None:
        registry.entry(own_loss)  # registers it here too
    return train(config, _dataset(image_arguments(config), **dataset_arguments(config)))


# A worker process trains many runs on the same images.


@lru_cache(maxsize=4)
def _dataset(images: ImageArguments, **arguments: Any) -> DeviceDataset:
    return prepare(_images(images), torch.device("cpu"), **arguments)


@lru_cache(maxsize=4)
def _images(arguments: ImageArguments) -> ImageSet:
    return open_images(*arguments, say=lambda _: None)
