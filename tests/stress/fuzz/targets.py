"""The targets by name. One more is one more line: how to read an input, and a few valid ones."""

from . import archives, commands, images, records
from .target import Target

__all__ = ["TARGETS", "Target"]

TARGETS: dict[str, Target] = {
    "images": images.IMAGES,
    "zip": archives.ZIP,
    "tar": archives.TAR,
    "names": archives.NAMES,
    "cifar": archives.CIFAR,
    "remembered": archives.REMEMBERED,
    "command": commands.COMMAND,
    "experiment": records.EXPERIMENT,
    "claim": records.CLAIM,
    "predictions": records.PREDICTIONS,
    "outcomes": records.OUTCOMES,
    "resumption": records.RESUMPTION,
    "checkpoint": records.CHECKPOINT,
}
