"""Targets by name: how to read an input, and a few valid inputs."""

from . import archives, commands, images, records
from .target import Target

__all__ = ["TARGETS", "Target"]

TARGETS: dict[str, Target] = {
    "images": images.IMAGES,
    "zip": archives.ZIP,
    "tar": archives.TAR,
    "names": archives.NAMES,
    "splits": archives.SPLIT_FLAGS,
    "classes": archives.CLASS_FLAGS,
    "labels": archives.LABEL_TABLE,
    "parquet": archives.PARQUET,
    "cifar": archives.CIFAR,
    "listing": archives.LISTING,
    "command": commands.COMMAND,
    "optimizer": commands.OPTIMIZER,
    "experiment": records.EXPERIMENT,
    "claim": records.CLAIM,
    "predictions": records.PREDICTIONS,
    "results": records.RESULTS,
    "resumption": records.RESUMPTION,
    "checkpoint": records.CHECKPOINT,
}
