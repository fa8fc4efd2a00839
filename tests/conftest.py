"""What every test shares: one thread, a seeded generator, and the real data where it is at hand."""

from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]

# Two workers on two cores: more threads only make them wait for each other.
torch.set_num_threads(1)


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
