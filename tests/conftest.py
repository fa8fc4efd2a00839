"""What every test shares: one thread, a seeded generator, and the real data where it is at hand."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# Two workers on two cores: more threads only make them wait for each other.
torch.set_num_threads(1)

# How fast a busy machine draws an example, or answers it, is no property of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data sets beside the repository; tests that need them are skipped where they are absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets (../shared/data) are not on this machine")
    return folder


@pytest.fixture
def generator() -> torch.Generator:
    """A freshly seeded random generator."""
    return torch.Generator().manual_seed(20260611)


@pytest.fixture(scope="session")
def similarity() -> Callable[[np.ndarray, np.ndarray], float]:
    """Mean structural similarity of two pictures in grey (Wang et al. 2004): 1 for the same, below 0 for opposites."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    def grey(picture: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)).double()[None, None]

    def similarity_of(picture: np.ndarray, other: np.ndarray) -> float:
        value = structural_similarity_index_measure(grey(picture), grey(other), data_range=255.0)
        assert isinstance(value, torch.Tensor)
        return float(value)

    return similarity_of
