"""What a run goes on from: it is a part of what the run is."""

from pathlib import Path

from dispose.formats.files import digest_of
from dispose.nn.backbones import Backbone
from dispose.training.config import Beginning
from dispose.training.shards import claim
from dispose.zoo.importing import load_trunk, start_backbone


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
