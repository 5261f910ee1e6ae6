import pytest
import torch

from lossbench import losses, models
from lossbench.benchmarks.config import CompareConfig, validate
from lossbench.benchmarks.data.augment import AUGMENTATIONS
from lossbench.benchmarks.presets import PRESETS

EVERY = pytest.mark.parametrize("name", PRESETS)


@EVERY
def test_a_preset_is_a_comparison_that_can_be_run(name: str) -> None:
    config = CompareConfig(preset=name, **PRESETS[name])
    validate(config)
    assert config.augmentation in AUGMENTATIONS
    assert config.losses is not None
    assert set(config.losses) <= set(losses.names())


@EVERY
def test_a_preset_trains_one_model_of_under_a_million_parameters(name: str) -> None:
    config = CompareConfig(**PRESETS[name])
    model = models.build(config.model, 1, config.width)
    assert sum(p.numel() for p in model.parameters()) < 1_000_000


@EVERY
def test_the_images_of_a_preset_go_through_its_model(name: str) -> None:
    config = CompareConfig(**PRESETS[name])
    assert config.image_size is not None
    side = config.image_size
    images = torch.randint(0, 256, (3, side, side, 3), dtype=torch.uint8)
    augmentation = AUGMENTATIONS[config.augmentation]
    drawn = augmentation.draw(2, side, torch.Generator().manual_seed(0))
    trained = augmentation.batch(images, torch.tensor([2, 0]), *drawn)
    model = models.build(config.model, 1, config.width)
    for batch in (trained, images):
        z = model(batch.permute(0, 3, 1, 2).float() / 128 - 1)
        assert z.shape == (len(batch), 1)
        assert z.isfinite().all()
