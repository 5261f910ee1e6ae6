import pytest
import torch


@pytest.fixture
def cuda_device():
    """Device with deterministic algorithms: some convolutions add up in any order."""
    torch.use_deterministic_algorithms(True)
    yield torch.device("cuda")
    torch.use_deterministic_algorithms(False)
