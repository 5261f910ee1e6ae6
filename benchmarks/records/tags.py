"""Tags of event files, and their descriptions in TensorBoard: meaning, unit, and average."""

from __future__ import annotations

LOGIT_HISTOGRAM = "gradient/logit_log10"
"""Tag of the histogram of log10 |dL/dz|."""

LAYER = "gradient/layer/{}"
"""Tag of the norm of a parameter's gradient."""

SINCE = "over the training steps since the last point"
EXAMPLES = f"Mean over the examples of the batches, {SINCE}"
NO_UNIT = "from 0 to 1"

DESCRIPTIONS = {
    "loss/train": f"Loss on the training images, in units of the loss itself: the numbers of two "
    f"losses cannot be compared. {EXAMPLES}, each before the step of its batch.",
    "loss/validation": "Loss on the validation images, in units of the loss itself: the numbers of "
    "two losses cannot be compared. Mean over all these images.",
    "loss/test": "Loss on the test images, in units of the loss itself: the numbers of two losses "
    "cannot be compared. Mean over all these images, measured once, after the last step.",
    "accuracy/train": "Share of the training images that were classified correctly, "
    f"{NO_UNIT}. {EXAMPLES}, each before the step of its batch.",
    "accuracy/validation": "Share of the validation images that are classified correctly, "
    f"{NO_UNIT}. Mean over all these images.",
    "accuracy/test": f"Share of the test images that are classified correctly, {NO_UNIT}. Mean "
    "over all these images, measured once, after the last step.",
    "gradient/logit_mean_abs": "|dL/dz|: magnitude of the derivative of an example's loss with "
    f"respect to its logit, in loss per unit of the logit. {EXAMPLES}, right and wrong ones.",
    "gradient/logit_when_wrong": "|dL/dz| of the examples that the model classifies wrongly, in "
    f"loss per unit of the logit. {EXAMPLES}, wrong ones alone; no point where there are none.",
    "gradient/vanished_fraction": "Share of the wrongly classified examples whose |dL/dz| is below "
    f"1e-6, {NO_UNIT}. {EXAMPLES}, wrong ones alone.",
    "gradient/parameter_norm": "Euclidean norm of the gradient of a batch's mean loss with respect "
    f"to all parameters together. Mean {SINCE}.",
    LOGIT_HISTOGRAM: "Number of examples by log10 |dL/dz|: 0 is a gradient of 1, -2 one of 0.01. "
    f"All examples of the batches {SINCE}. The bin at -12 also holds what is smaller, and 0.",
    "speed/images_per_second": "Training images per second of wall time, since the last evaluation "
    "on validation images.",
    "images": "What the images are.",
    "warnings": "Gradients that vanished or exploded: loss, seed, layer and step.",
    "failure": "The error that ended the run.",
}


def describe(tag: str) -> str:
    """Return the description of a tag of a run in Markdown, "" if there is none."""
    prefix = LAYER.format("")
    if tag.startswith(prefix):
        return (
            f"Euclidean norm of the gradient of a batch's mean loss with respect to "
            f"`{tag.removeprefix(prefix)}`. Mean {SINCE}."
        )
    return DESCRIPTIONS.get(tag, "")
