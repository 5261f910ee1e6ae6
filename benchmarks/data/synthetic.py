"""Cat and dog faces drawn by code, for machines without network and photographs.

Both classes share colors, backgrounds, sizes and noise, so only shapes tell them apart: pointed
ears, slit pupils and whiskers for cats; hanging ears and a long snout for dogs.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .sources import CATS_AND_DOGS, ImageInfo, ImageSource, SplitName, listed_source

DRAWING = 1  # count up when the drawings change, so that cached ones are drawn again
SEED = 20210
Colour = tuple[int, int, int]

FURS: tuple[Colour, ...] = (
    (226, 152, 72),
    (120, 84, 58),
    (62, 56, 54),
    (236, 224, 204),
    (150, 146, 142),
    (188, 124, 84),
    (214, 184, 136),
    (96, 100, 112),
)
PINK: Colour = (222, 142, 146)
INK: Colour = (34, 26, 26)


def synthetic(image_size: int = 32, *, train: int = 2000, test: int = 500) -> ImageSource:
    """Create a source of drawn faces, half cats and half dogs, the same in every process.

    Args:
        image_size: height and width to draw for, in pixels.
        train, test: images per split, at least 2.
    """
    counts: dict[SplitName, int] = {"train": train, "test": test}
    images = [
        ImageInfo(
            name=f"{split}/{CATS_AND_DOGS[index % 2]}/{index:05d}",
            split=split,
            label=index % 2,
            key=(number, index),
            digest=f"drawing {DRAWING}, seed {SEED}, {number}, {index}",
        )
        for number, (split, count) in enumerate(counts.items())
        for index in range(count)
    ]

    def read(key: tuple[int, int]) -> np.ndarray:
        return draw(key[1] % 2, (SEED, *key), image_size)

    about = "cat and dog faces drawn by code (SYNTHETIC: no photographs)"
    return listed_source(
        "synthetic", about, CATS_AND_DOGS, images, read, image_size=32, synthetic=True
    )


def draw(label: int, seed: Sequence[int], size: int) -> np.ndarray:
    """Draw one face as uint8 (size, size, 3), with antialiasing.

    Args:
        label: 1 = cat, 0 = dog.
        seed: non-negative integers; the same ones give the same face.
        size: height and width in pixels.
    """
    rng = np.random.default_rng(list(seed))
    canvas = max(128, 2 * size)
    image = _background(rng, canvas)
    fur = _shade(FURS[rng.integers(len(FURS))], rng.uniform(0.8, 1.15))
    face = _Face(ImageDraw.Draw(image), rng, canvas)
    if label:
        _draw_cat(face, rng, fur)
    else:
        _draw_dog(face, rng, fur)
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 1.5) * canvas / 128))
    return _camera_noise(rng, np.asarray(image.resize((size, size), Image.Resampling.LANCZOS)))


class _Face:
    """Drawing in the coordinates of a face, randomly rotated, scaled and moved on the canvas.

    (0, 0) is the middle of the face, its radius is 1, and y points down.
    """

    def __init__(self, pen: ImageDraw.ImageDraw, rng: np.random.Generator, canvas: int) -> None:
        self.pen = pen
        radius = rng.uniform(0.20, 0.31) * canvas
        turn = math.radians(rng.normal(0, 11))
        self.turn = np.array(
            [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        ) @ np.diag([radius * rng.uniform(0.92, 1.1), radius])
        slack = 0.5 * canvas - radius * 1.15
        self.middle = 0.5 * canvas + rng.uniform(-1, 1, 2) * slack * 0.7
        self.width = radius

    def polygon(self, points: Sequence[tuple[float, float]] | np.ndarray, fill: Colour) -> None:
        placed = np.asarray(points) @ self.turn.T + self.middle
        self.pen.polygon([(float(x), float(y)) for x, y in placed], fill=fill)

    def oval(
        self, x: float, y: float, rx: float, ry: float, fill: Colour, tilt: float = 0.0
    ) -> None:
        angle = np.linspace(0, 2 * math.pi, 40, endpoint=False)
        px, py = rx * np.cos(angle), ry * np.sin(angle)
        c, s = math.cos(tilt), math.sin(tilt)
        self.polygon(np.stack([x + c * px - s * py, y + s * px + c * py], axis=1), fill)

    def line(self, points: Sequence[tuple[float, float]], width: float, fill: Colour) -> None:
        placed = np.asarray(points) @ self.turn.T + self.middle
        self.pen.line(
            [(float(x), float(y)) for x, y in placed],
            fill=fill,
            width=max(1, round(width * self.width)),
            joint="curve",
        )


def _draw_cat(face: _Face, rng: np.random.Generator, fur: Colour) -> None:
    dark, light = _shade(fur, 0.68), _shade(fur, 1.2)
    tall, wide = rng.uniform(1.3, 1.6), rng.uniform(0.72, 0.9)
    for side in (-1, 1):
        face.polygon([(side * 0.12, -0.75), (side * wide, -tall), (side * 0.98, -0.15)], dark)
        face.polygon(
            [(side * 0.34, -0.8), (side * wide * 0.96, -tall + 0.24), (side * 0.84, -0.4)], PINK
        )
    face.oval(0, 0, 1.04, 0.9, fur)
    if rng.random() < 0.6:  # a tabby's forehead
        for x in (-0.26, 0.0, 0.26):
            face.line([(x * 1.2, -0.86), (x * 0.8, -0.5)], 0.09, dark)
    iris = ((124, 178, 70), (222, 186, 58), (98, 166, 196))[rng.integers(3)]
    slit = rng.uniform(0.05, 0.12)
    for side in (-1, 1):
        face.oval(side * 0.42, -0.14, 0.27, 0.2, INK, tilt=side * -0.3)
        face.oval(side * 0.42, -0.14, 0.23, 0.165, iris, tilt=side * -0.3)
        face.oval(side * 0.42, -0.14, slit, 0.16, INK)
        face.oval(side * 0.2, 0.42, 0.27, 0.21, light)
    face.polygon([(-0.13, 0.2), (0.13, 0.2), (0, 0.35)], PINK)
    face.line([(-0.24, 0.52), (-0.1, 0.56), (0, 0.36), (0.1, 0.56), (0.24, 0.52)], 0.045, INK)
    hair = (245, 245, 240) if sum(fur) < 480 else (70, 62, 58)
    for side in (-1, 1):
        for end in (0.18, 0.42, 0.66):
            droop = rng.normal(0, 0.05)
            face.line([(side * 0.3, 0.42), (side * 1.45, end + droop)], 0.04, hair)


def _draw_dog(face: _Face, rng: np.random.Generator, fur: Colour) -> None:
    ear = _shade(fur, rng.uniform(0.55, 0.75))
    light = _shade(fur, 1.22)
    face.oval(0, -0.08, 0.9, 0.92, fur)
    if rng.random() < 0.45:  # a patch around one eye
        face.oval(rng.choice((-0.36, 0.36)), -0.24, 0.34, 0.4, ear)
    if rng.random() < 0.4:  # a blaze down the forehead
        face.polygon([(-0.1, -0.98), (0.1, -0.98), (0.2, 0.2), (-0.2, 0.2)], light)
    for side in (-1, 1):
        long = rng.uniform(0.62, 0.82)
        face.oval(side * 0.95, -0.62 + long, 0.29, long, ear, tilt=side * -0.16)
        face.oval(side * 0.68, -0.62, 0.32, 0.2, ear, tilt=side * 0.55)
    snout = rng.uniform(0.48, 0.6)
    if rng.random() < 0.5:
        face.oval(0, 1.08, 0.17, 0.3, (226, 104, 116))
    face.oval(0, 0.55, 0.5, snout, light)
    face.oval(0, 0.34, 0.27, 0.19, INK)
    face.oval(-0.08, 0.28, 0.07, 0.04, (150, 146, 146))
    face.line([(0, 0.5), (0, 0.76)], 0.05, INK)
    face.line([(-0.32, 0.72), (-0.16, 0.84), (0, 0.76), (0.16, 0.84), (0.32, 0.72)], 0.05, INK)
    iris = ((92, 58, 34), (60, 40, 28), (120, 80, 44))[rng.integers(3)]
    for side in (-1, 1):
        face.oval(side * 0.36, -0.22, 0.17, 0.18, (238, 234, 228))
        face.oval(side * 0.36, -0.2, 0.145, 0.155, iris)
        face.oval(side * 0.36, -0.2, 0.085, 0.09, INK)
        face.oval(side * 0.33, -0.25, 0.035, 0.035, (255, 255, 255))


def _background(rng: np.random.Generator, canvas: int) -> Image.Image:
    """Draw a color gradient with a few meaningless shapes."""
    first, second = rng.integers(40, 226, 3), rng.integers(40, 226, 3)
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.mgrid[0:16, 0:16] / 16 - 0.5
    mix = np.clip(0.5 + x * math.cos(angle) + y * math.sin(angle), 0, 1)[..., None]
    coarse = Image.fromarray((first * mix + second * (1 - mix)).astype(np.uint8))
    image = coarse.resize((canvas, canvas), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 5)):
        x0, y0 = rng.uniform(-0.2, 1.0, 2) * canvas
        w, h = rng.uniform(0.1, 0.5, 2) * canvas
        fill = tuple(int(c) for c in rng.integers(30, 236, 3))
        shape = (pen.ellipse, pen.rectangle)[rng.integers(2)]
        shape((x0, y0, x0 + w, y0 + h), fill=fill)
        if rng.random() < 0.5:  # triangles too, or a point would be enough to tell a cat
            corners = rng.uniform(-0.1, 1.1, (3, 2)) * canvas
            pen.polygon([(float(a), float(b)) for a, b in corners], fill=fill)
    return image


def _camera_noise(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Change light and contrast, and add camera noise."""
    light, contrast = rng.normal(0, 14), rng.uniform(0.65, 1.15)
    noise = rng.normal(0, rng.uniform(3, 14), pixels.shape)
    changed = (pixels - 127.5) * contrast + 127.5 + light + noise
    return np.clip(changed, 0, 255).round().astype(np.uint8)


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue
