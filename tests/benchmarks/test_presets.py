import pytest
import torch

from lossbench import losses, models
from lossbench.benchmarks import cli
from lossbench.benchmarks.config import validate
from lossbench.benchmarks.data.augment import AUGMENTATIONS
from lossbench.benchmarks.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_comparison_whose_images_go_through_its_small_model(name: str) -> None:
    config = cli.parse(["compare", "--preset", name])
    validate(config)
    assert set(config.losses) <= set(losses.names())
    model, side = models.build(config.model, 1, config.width), config.image_size
    assert sum(p.numel() for p in model.parameters()) < 1_000_000
    images = torch.randint(0, 256, (3, side, side, 3), dtype=torch.uint8)
    augmentation = AUGMENTATIONS[config.augmentation]
    drawn = augmentation.draw(2, side, torch.Generator().manual_seed(0))
    for batch in (augmentation.batch(images, torch.tensor([2, 0]), *drawn), images):
        z = model(batch.permute(0, 3, 1, 2).float() / 128 - 1)
        assert z.shape == (len(batch), 1)
        assert z.isfinite().all()
