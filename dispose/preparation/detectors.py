"""The detectors that there are, by name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from dispose.errors import InputError
from dispose.models.movenet.network import MULTIPOSE, THUNDER, TracedMoveNet
from dispose.preparation.detector import Detector
from dispose.preparation.movenet import MoveNetDetector, MoveNetSettings
from dispose.preparation.rtmlib_people import RTMO, RTMPOSE, RTMPOSE_FEET, load_rtm_detector
from dispose.preparation.transformers_people import ViTPoseSettings, load_vitpose_detector
from dispose.zoo.movenet import DIGESTS, load_movenet

CPU = "cpu"


def load_movenet_detector(settings: MoveNetSettings, device: str = CPU) -> MoveNetDetector:
    """MoveNet with the weights that `dispose detector install` put into the user's cache.

    Raises `InputError` that says this command where they are not there.
    """
    weights = tuple((config.name, DIGESTS[config.name]) for config in (MULTIPOSE, THUNDER))
    people, joints = (
        TracedMoveNet(load_movenet(config)) if device == CPU else load_movenet(config).eval().to(device)
        for config in (MULTIPOSE, THUNDER)
    )
    return MoveNetDetector(people, joints, weights, settings)


MOVENET, VITPOSE = "movenet", "vitpose"
CAREFUL = 1.4
"""Side of the square of the second look, in longer sides of somebody's box: errors that have a side cancel."""


def load_vitpose(models: Path | None, device: str = CPU) -> Detector:
    """RT-DETR and ViTPose of the hub, or from the folders `people` and `joints` of a folder."""
    if models is None:
        return load_vitpose_detector(device=device)
    here = models.resolve()
    return load_vitpose_detector(ViTPoseSettings(people=str(here / "people"), joints=str(here / "joints")), device)


OTHERS: tuple[tuple[str, Callable[[Path | None], Detector]], ...] = (
    ("rtmpose", partial(load_rtm_detector, RTMPOSE)),
    ("rtmpose_feet", partial(load_rtm_detector, RTMPOSE_FEET)),
    ("rtmo", partial(load_rtm_detector, RTMO)),
    (VITPOSE, load_vitpose),
)
"""Detectors of other projects, for those who install them (docs/detectors.md); each is told where its models lie."""

DETECTORS = (MOVENET, *(name for name, _ in OTHERS))


def detector_of(
    name: str = MOVENET, tiles: int = 1, *, careful: bool = False, models: Path | None = None, device: str = CPU
) -> Callable[[], Detector]:
    """How a detector is made in a process.

    Args:
        name: one of `DETECTORS`.
        tiles: of MoveNet: wide scenes are searched in so many parts across and down as well.
        careful: of MoveNet: everybody is looked at twice.
        models: of others: the folder of their models; None: they fetch them.
        device: where the networks run; those of rtmlib run on the CPU only.

    Raises:
        InputError: an option of MoveNet's is given to another, or the other way round.
    """
    if name == MOVENET:
        if models is not None:
            raise InputError(f"--models is for detectors other than {MOVENET}: see `dispose detector install --from`.")
        settings = MoveNetSettings(tiles=tiles, careful=CAREFUL if careful else 0.0)
        return partial(load_movenet_detector, settings, device)
    if tiles > 1 or careful:
        raise InputError(f"--tiles and --careful are for {MOVENET}, not for {name}.")
    if name == VITPOSE:
        return partial(load_vitpose, models, device)
    if device != CPU:
        raise InputError(f"--device is {device}, but {name} runs on the CPU only; {MOVENET} and {VITPOSE} run there.")
    return partial(dict(OTHERS)[name], models)
