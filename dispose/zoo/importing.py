"""Weights that others trained: checkpoints of the release, backbones in several namings, and what training begins with.

Nothing that a file holds is run.
"""

import json
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

import dispose
from dispose.errors import InputError
from dispose.formats.arrays import saying_what_is_broken
from dispose.formats.files import digest_of
from dispose.models.dispose.model import DisPose
from dispose.models.triangulation.algebraic import Algebraic, AlgebraicConfig
from dispose.models.triangulation.volumetric import CubeConfig, Volumetric, VolumetricConfig
from dispose.nn.backbones import Backbone, BackboneConfig, load_torchvision_trunk
from dispose.released.model import RELEASED, ReleasedDisPose
from dispose.released.triangulation import (
    LEARNED_AGGREGATIONS,
    PLAIN_AGGREGATIONS,
    ReleasedAlgebraic,
    ReleasedVolumetric,
    algebraic_entry,
    volumetric_entry,
)
from dispose.zoo.checkpoints import load_image_model, load_weights, read_metadata, released_name, save_weights

PARTS = (
    ("backbone.", "backbone."),
    ("proj_attn.", "root_regression_net.proj_attn."),
    ("denoiser.", "root_regression_net.denoiser."),
    ("decoder.", "pose_regression_net.refine_module."),
)
"""Beginnings of our names, and of the released ones; what follows is said by `dispose.zoo.checkpoints`."""

REPEATED = ("root_regression_net.diffusion.denoiser.", "root_regression_net.denoiser.")
ALPHAS = ("root_regression_net.alpha", "root_regression_net.diffusion.alpha")
TEMPERATURE = "root_regression_net.diffusion.log_tau"
COUNTER = "num_batches_tracked"
"""Batch normalisation counts its batches; nobody reads the number, and old files lack it."""

MMPOSE_LAYERS = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}


@dataclass(frozen=True)
class Entries:
    """The tensors of a file by name, and where they come from."""

    path: Path
    tensors: Mapping[str, Tensor]


def read_entries(path: Path) -> Entries:
    """The state dict of a torch file: plain, under ``state_dict`` or ``model``, or first in a list.

    Nothing in the file is executed.

    Raises:
        InputError: the file is missing, no torch file, broken off, holds anything but tensors and plain values, or no
            state dict.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    with saying_what_is_broken(path):
        zipped = zipfile.is_zipfile(path)
    if zipped:
        # torch itself looks at no checksum.
        with saying_what_is_broken(path), zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
        if wrong is not None:
            raise InputError(f"{path}: is damaged ({wrong} has another checksum)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on the protocol of a pickle that is refused anyway
            # Mapped: looking at the checksums has read everything once, and who takes the tensors copies them.
            held = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except UnpicklingError as error:
        foreign = re.search(r"GLOBAL ([\w.]+\w)", str(error))
        what = f"the Python object {foreign[1]}" if foreign else "something other than tensors"
        raise InputError(f"{path}: is no checkpoint, or holds {what}; nothing of it was executed") from None
    except Exception as error:  # a reader of foreign bytes can stumble in any way
        line = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:160]}".rstrip(": ")
        raise InputError(f"{path}: is no complete torch checkpoint ({line})") from None
    if isinstance(held, list) and held and isinstance(held[0], dict):
        held = held[0]
    for key in ("state_dict", "model"):
        if isinstance(held, dict) and isinstance(held.get(key), dict):
            held = held[key]
    if not isinstance(held, dict) or not held:
        raise InputError(f"{path}: holds {_what(held)} where a state dict (names and tensors) is expected")
    for name, value in held.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise InputError(f"{path}: its entry {name!r} is {_what(value)}, in a state dict it must be a tensor")
    return Entries(path, dict(held))


def import_released(path: Path, dataset: str) -> ReleasedDisPose:
    """The released model with the weights of a released checkpoint.

    Every entry must be known and of the right shape; those that the release stores twice must agree.

    Raises:
        InputError: see `read_entries`; or entries are missing, surplus, of another shape, contradictory or not finite;
            or the data set is none of the four.
    """
    configs = {config.dataset: config for config in RELEASED}
    if dataset not in configs:
        raise InputError(f"there are no released weights for {dataset!r}, only for {', '.join(configs)}")
    entries, alpha = _without_repetitions(read_entries(path))
    network = ReleasedDisPose(replace(configs[dataset], alpha=alpha))
    fill(network, entries, released_entry)
    return network


def import_backbone(path: Path) -> Backbone:
    """The heat-map backbone of a file, its sizes read from the tensors.

    Knows the release's backbone files, its whole checkpoints (of which the backbone is taken) and mmpose's naming
    (``backbone.layer1…``, ``keypoint_head.…``).

    Raises:
        InputError: see `read_entries`; or the tensors make no backbone of ours.
    """
    entries = read_entries(path)
    tensors = entries.tensors
    if any(name.startswith("backbone.backbone.") for name in tensors):
        tensors = {n.removeprefix("backbone."): v for n, v in tensors.items() if n.startswith("backbone.")}
    else:
        tensors = {_from_mmpose(name): value for name, value in tensors.items()}
    renamed = Entries(path, tensors)
    network = Backbone(_backbone_config(renamed))
    fill(network, renamed, released_name)
    return network


def import_triangulation(path: Path, aggregation: str = "softmax") -> ReleasedAlgebraic | ReleasedVolumetric:
    """The released Learnable Triangulation with the weights of a file: algebraic or volumetric, as its tensors say.

    Args:
        path: of the released file.
        aggregation: how a volumetric network joins the views, by its released name: its weights do not tell.

    Raises:
        InputError: see `read_entries`; or the tensors are those of neither network; or the aggregation needs a
            confidence head and there is none, or the other way round.
    """
    entries = read_entries(path)
    tensors = {name.removeprefix("module."): value for name, value in entries.tensors.items()}
    entries = Entries(path, tensors)
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    asked = {"backbone.conv1.weight": 4, "backbone.final_layer.weight": 4}
    if any(len(shapes.get(name, ())) != dimensions for name, dimensions in asked.items()):
        raise InputError(f"{path}: holds no network of Learnable Triangulation: it has no {' or no '.join(asked)}")
    joints, deep = shapes["backbone.final_layer.weight"][0], "backbone.layer3.35.conv3.weight" in shapes
    backbone = BackboneConfig(depth=152 if deep else 50, joints=joints)
    if "volume_net.output_layer.weight" not in shapes:
        network = ReleasedAlgebraic(AlgebraicConfig(backbone=backbone))
        fill(network, entries, algebraic_entry)
        return network
    learned = "backbone.vol_confidences.head.0.weight" in shapes
    fitting = LEARNED_AGGREGATIONS if learned else PLAIN_AGGREGATIONS
    if aggregation not in fitting:
        has = "has a" if learned else "has no"
        raise InputError(f"{path}: {has} confidence head, so the views are joined by {' or '.join(fitting)}")
    network = ReleasedVolumetric(VolumetricConfig(backbone=backbone, cube=CubeConfig(aggregation=aggregation)))
    fill(network, entries, volumetric_entry)
    return network


def load_trunk(backbone: Backbone, path: Path) -> None:
    """Put a torchvision ResNet (``conv1.weight``, ``layer1.0.conv1.weight``, …) into a backbone's trunk.

    Raises:
        InputError: see `read_entries`; or the tensors are not those of this trunk.
    """
    entries = read_entries(path)
    try:
        load_torchvision_trunk(backbone, entries.tensors)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def save_imported(path: Path, network: nn.Module, source: Path, *, storage: torch.dtype = torch.float32) -> None:
    """Store an imported network as safetensors with its configuration and where it came from."""
    provenance = {"source": source.name, "sha256": digest_of(source), "imported_by": f"dispose {dispose.__version__}"}
    note = (
        f"Weights trained by others, imported from {source.name}. Their licence and citation are those of their source."
    )
    save_weights(path, network, recipe=json.dumps(provenance, sort_keys=True), note=note, storage=storage)


def _without_repetitions(entries: Entries) -> tuple[Entries, float]:
    """The entries without those stored twice, which must agree, and the value of alpha."""
    rest = dict(entries.tensors)
    for name in [name for name in rest if name.startswith(REPEATED[0])]:
        twin = REPEATED[1] + name.removeprefix(REPEATED[0])
        if twin not in rest or not torch.equal(rest.pop(name), rest[twin]):
            raise InputError(f"{entries.path}: {name} repeats {twin} in released checkpoints, here they differ")
    temperature = rest.pop(TEMPERATURE, torch.zeros(()))
    if bool((temperature != 0).any()):
        raise InputError(f"{entries.path}: {TEMPERATURE} is {temperature.tolist()}; it is 0 in released checkpoints")
    alphas = [rest.pop(name) for name in ALPHAS if name in rest]
    if not alphas:
        raise InputError(f"{entries.path}: lacks {ALPHAS[0]}: no checkpoint of the released model")
    values = [value for alpha in alphas for value in alpha.flatten().tolist()]
    if len(set(values)) != 1:
        raise InputError(f"{entries.path}: {' and '.join(ALPHAS)} are one number in released checkpoints, not {values}")
    return Entries(entries.path, rest), values[0]


def released_entry(name: str) -> str:
    """What the release calls an entry of `ReleasedDisPose`."""
    for ours, theirs in PARTS:
        if name.startswith(ours):
            return theirs + released_name(name.removeprefix(ours))
    raise ValueError(f"no part of the released model has the entry {name}")


def _from_mmpose(name: str) -> str:
    """The release's name of one of mmpose's entries; itself where it is not one."""
    name = name.removeprefix("keypoint_head.")
    part, _, rest = name.partition(".")
    layer, _, tail = rest.partition(".")
    return f"{part}.{MMPOSE_LAYERS[layer]}.{tail}" if part == "backbone" and layer in MMPOSE_LAYERS else name


def _backbone_config(entries: Entries) -> BackboneConfig:
    """Sizes of a backbone as its tensors say them."""
    shapes = {name: tuple(value.shape) for name, value in entries.tensors.items()}
    asked = {"backbone.0.weight": 4, "deconv_layers.0.weight": 4, "final_layer.weight": 4}
    for name, dimensions in asked.items():
        if len(shapes.get(name, ())) != dimensions:
            held = shapes.get(name, "absent")
            raise InputError(f"{entries.path}: holds no heat-map backbone: its tensor {name} is {held}")
    return BackboneConfig(
        depth=50 if "backbone.4.0.conv3.weight" in shapes else 18,
        width=shapes["backbone.0.weight"][0],
        deconv_chans=shapes["deconv_layers.0.weight"][1],
        joints=shapes["final_layer.weight"][0],
    )


def fill(network: nn.Module, entries: Entries, name_of: Callable[[str], str]) -> None:
    """Put entries into a network and make it ready for inference; `name_of` says what the file calls a tensor."""
    wanted = {name_of(name): value for name, value in network.state_dict().items()}
    counters = {name: value for name, value in wanted.items() if name.endswith(COUNTER)}
    missing = sorted(wanted.keys() - entries.tensors.keys() - counters.keys())
    surplus = sorted(entries.tensors.keys() - wanted.keys())
    kind = type(network).__name__
    if missing:
        raise InputError(f"{entries.path}: lacks {_counted(missing)} of {kind}")
    if surplus:
        raise InputError(f"{entries.path}: has {_counted(surplus)} that {kind} does not know")
    for name, value in entries.tensors.items():
        if value.shape != wanted[name].shape:
            held, asked = tuple(value.shape), tuple(wanted[name].shape)
            raise InputError(f"{entries.path}: the tensor {name} is {held}, in {kind} it must be {asked}")
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"{entries.path}: the tensor {name} has values that are not finite")
    found = {**counters, **entries.tensors}
    network.load_state_dict({name: found[name_of(name)] for name in network.state_dict()})
    network.eval()
    network.requires_grad_(False)


def _counted(names: list[str]) -> str:
    """The first of some names and how many more there are."""
    return f"the tensor {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _what(value: object) -> str:
    """A value's kind in words."""
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"of type {type(value).__name__}"


RELEASED_STAGES = (("proj_attn.", "associator.reader."), ("decoder.", "decoder."))
"""Parts of an imported released model that our model has too, and what it calls them."""


def start_backbone(backbone: Backbone, path: Path) -> None:
    """Begin with the backbone in a file, or with that of the whole model in it.

    Raises:
        InputError: see `load_weights`; or it has other sizes.
    """
    found = _backbone_in(path)
    if found.config != backbone.config:
        raise InputError(f"{path}: holds a backbone of {found.config}, this recipe trains one of {backbone.config}")
    backbone.load_state_dict(found.state_dict())


def _backbone_in(path: Path) -> Backbone:
    """The backbone of whatever network a file holds."""
    name = read_metadata(path)[0]
    if name == Backbone.__name__:
        return load_weights(path, Backbone)
    for kind in (Algebraic, Volumetric):
        if name == kind.__name__:
            return load_weights(path, kind).backbone
    for kind in (ReleasedAlgebraic, ReleasedVolumetric):
        if name == kind.__name__:
            return load_weights(path, kind).network.backbone
    return load_image_model(path).backbone


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
