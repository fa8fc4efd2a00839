"""Who answers about which frames: what `dispose predict` makes of its options, and others of theirs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dispose.errors import InputError
from dispose.evaluation.score import Method
from dispose.inference.readings import Source
from dispose.models.dispose.model import DisPose, FrameByFrame, TwoStages
from dispose.models.dispose.sampling import SamplerConfig
from dispose.released.model import ReleasedDisPose
from dispose.scene.frame import Frame
from dispose.scene.results import Associate, Association, Reconstruct
from dispose.zoo.checkpoints import ImageModel, load_image_model, read_metadata

ADVICE_ON_DETECTIONS = "`dispose check` says whether units, axes and extrinsics of the calibration fit"
ADVICE_ON_IMAGES = (
    "the package's weights have seen synthetic people only, of a quarter to three quarters of a picture's height"
)
DRAWN = (
    "warning: these weights have learned from drawn people and are for drawings; on real images what they find is no "
    "answer: leave --from-pictures out, or give weights of your own."
)


@dataclass(frozen=True, eq=False)
class Job:
    """Somebody who answers, by weights from a file or none, and the frames they answer about.

    A batch is enough frames for the overhead of one not to count, and few enough for any memory. The advice is for
    those who find nobody, the reference a second opinion to keep; `evidence`: whether there is anything else to keep,
    `lost` says what was lost beside what the source has lost; the warnings go into every file that takes words.
    """

    source: Source
    method: str
    associate: Associate
    reconstruct: Reconstruct
    weights: Path | None
    batch: int
    advice: str
    reference: Callable[[Frame], Association] | None = None
    evidence: bool = True
    lost: Callable[[], tuple[str, ...]] = tuple
    warnings: tuple[str, ...] = ()


def stages_of(model: ImageModel, sampler: SamplerConfig | None = None) -> TwoStages | FrameByFrame:
    """A network for images as the two steps of a run; a released one has its own sampler."""
    if isinstance(model, DisPose):
        return TwoStages(model, sampler)
    if sampler is not None:
        raise InputError("--steps is given, but released weights have steps of their own.")
    return FrameByFrame(model, model.skeleton)


def image_method(weights: Path) -> Method:
    """The model of a weights file, ours or an imported released one, as a method."""
    name = "DisPOSE as released" if read_metadata(weights)[0] == ReleasedDisPose.__name__ else "DisPOSE"
    stages = stages_of(load_image_model(weights))
    return Method(f"{name}, {weights.stem}", stages.associate, stages.reconstruct)
