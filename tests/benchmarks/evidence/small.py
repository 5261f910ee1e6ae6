"""Claims with fewer and smaller networks."""

import sys
from dataclasses import replace

from lossbench.benchmarks.evidence.claim import Claim


def small(claim: Claim, monkeypatch, *, images: int, seeds: int = 3, epochs: int = 1) -> Claim:
    """A claim with one look, two learning rates and few images, whose analysis knows that."""
    design = claim.design

    def shrunk(cells):
        return {
            cell: replace(
                config,
                epochs=min(epochs, config.epochs),
                flipped_epochs=min(epochs, config.flipped_epochs),
                train_images=images,
            )
            for cell, config in cells.items()
        }

    design = replace(
        design,
        cells=shrunk(design.cells),
        searches=shrunk(design.searches),
        rates=design.rates[1:3],
        search_seeds=1,
        looks=(seeds,),
    )
    monkeypatch.setattr(sys.modules[claim.analysis.__module__], "DESIGN", design)
    return replace(claim, design=design)
