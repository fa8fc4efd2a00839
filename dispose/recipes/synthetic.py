"""The associator, trained on synthetic captures alone: what ships with the project, and a miniature of it."""

from dispose.models.dispose.associator import AssociatorConfig
from dispose.models.dispose.placement import PlacementConfig
from dispose.training.config import DenoiserTraining, PlacementTraining, SyntheticRecipe

SYNTHETIC = SyntheticRecipe()
"""The shipped weights: at most 45 minutes on two CPU cores."""

SMOKE = SyntheticRecipe(
    name="smoke",
    frames_per_chunk=16,
    model=AssociatorConfig(placement=PlacementConfig(chans=32, blocks=1), chans=32, layers=1),
    placement=PlacementTraining(chunks=2, steps=40, batch=64),
    denoiser=DenoiserTraining(chunks=2, steps=30, batch=4, warmup=5),
    checkpoint_every=10,
)
"""The same run in about a minute: to see that training works on a machine, not to use the weights."""
