"""Weights that training begins with: those of networks that were trained before, ours or released ones."""

from pathlib import Path

import torch

from dispose.errors import InputError
from dispose.models.dispose.backbone import Backbone
from dispose.models.dispose.model import DisPose
from dispose.released.model import ReleasedDisPose
from dispose.zoo.checkpoints import load_image_model, load_weights, read_metadata

RELEASED_STAGES = (("proj_attn.", "associator.reader."), ("decoder.", "decoder."))
"""Parts of an imported released model that our model has too, and what it calls them."""


def start_backbone(backbone: Backbone, path: Path) -> None:
    """Begin with the backbone in a file, or with that of the whole model in it.

    Raises:
        InputError: see `load_weights`; or it has other sizes.
    """
    alone = read_metadata(path)[0] == Backbone.__name__
    found = load_weights(path, Backbone) if alone else load_image_model(path).backbone
    if found.config != backbone.config:
        raise InputError(f"{path}: holds a backbone of {found.config}, this recipe trains one of {backbone.config}")
    backbone.load_state_dict(found.state_dict())


def start_stages(model: DisPose, path: Path) -> str:
    """Begin Stage I and II with those of a model, ours or a released one; a sentence says how much of them fits.

    Every tensor of the same name and shape is taken: rooms and numbers of cameras differ between data sets, networks of
    the release have parts that ours have not.

    Raises:
        InputError: see `load_image_model`; or nothing fits.
    """
    found = load_image_model(path)
    parts = RELEASED_STAGES if isinstance(found, ReleasedDisPose) else (("associator.",) * 2, ("decoder.",) * 2)
    given = {
        ours + name.removeprefix(theirs): value
        for name, value in found.state_dict().items()
        for theirs, ours in parts
        if name.startswith(theirs)
    }
    wanted = {n: v for n, v in model.state_dict().items() if n.startswith(("associator.", "decoder."))}
    fitting = {n: v for n, v in given.items() if n in wanted and wanted[n].shape == v.shape}
    if not fitting:
        raise InputError(f"{path}: none of its tensors fits Stage I or II of this recipe")
    with torch.no_grad():
        model.load_state_dict(fitting, strict=False)
    return f"Stage I and II begin with {len(fitting)} of {len(wanted)} tensors from {path}."
