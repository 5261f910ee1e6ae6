import copy

import torch

from lossbench import models

from .repeat import perturb


def test_a_perturbed_network_differs_in_the_last_bit_alone() -> None:
    model = models.build("convnet", width=4)
    moved = [perturb(copy.deepcopy(model), repetition) for repetition in (0, 0, 1)]
    bits = [
        torch.cat([p.detach().flatten() for p in each.parameters()]).view(torch.int32)
        for each in (model, *moved)
    ]
    for other in bits[1:]:
        differences = (other - bits[0]).abs()
        # The float next to 0 has another sign or is subnormal.
        assert differences[bits[0] != 0].max() == 1
        assert 0.5 < (differences > 0).float().mean() < 0.8
    assert torch.equal(bits[1], bits[2])
    assert not torch.equal(bits[1], bits[3])
