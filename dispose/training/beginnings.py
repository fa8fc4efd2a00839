"""What a run begins with: its recipe, captured motion, and the weights that it goes on from."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from dispose.datasets.cmu_motion import Motion, read_motion
from dispose.errors import InputError
from dispose.formats.files import digest_of
from dispose.nn.backbones import Backbone
from dispose.training.config import Beginning
from dispose.training.shards import claim
from dispose.zoo.importing import load_trunk, start_backbone
from dispose.zoo.records import to_json


@runtime_checkable
class MovingPeople(Protocol):
    """A recipe whose people move; `captured`: as captured ones do."""

    @property
    def name(self) -> str:
        """Of the run."""
        ...

    @property
    def captured(self) -> bool:
        """Whether the folder ``cmu_motion`` is needed."""
        ...


def claim_with_motion(folder: Path, recipe: MovingPeople, motion: Path | None) -> Motion | None:
    """Write a run's recipe into its folder; the captured motion that it learns from, None where that is procedural.

    Raises `InputError` where the recipe needs captured motion and there is none, or the folder holds another run.
    """
    if recipe.captured and motion is None:
        raise InputError(f"training {recipe.name} needs --data FOLDER, which holds cmu_motion (see data/README.md)")
    captured = read_motion(motion) if recipe.captured and motion is not None else None
    claim(folder, to_json(recipe))
    return captured


def claim_beginning(folder: Path, recipe: str, beginning: Beginning) -> None:
    """Write a run's recipe and the digests of the weights it begins with into its folder.

    Raises `InputError` where the folder holds a run of another recipe, or one that began with other weights.
    """
    given = {name: None if path is None else digest_of(path) for name, path in vars(beginning).items()}
    claim(folder, recipe + "".join(f" {name} {value}" for name, value in given.items() if value))


def begin(backbone: Backbone, beginning: Beginning) -> None:
    """Start a backbone from the trunk and the weights that are named, if any."""
    if beginning.trunk is not None:
        load_trunk(backbone, beginning.trunk)
    if beginning.backbone is not None:
        start_backbone(backbone, beginning.backbone)
