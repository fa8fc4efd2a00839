"""Weights as safetensors, with the configuration that builds their network in the file's metadata."""

from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from dispose.errors import InputError, OutputError
from dispose.formats.files import replacing_path
from dispose.models.associator import Associator, AssociatorConfig
from dispose.models.placement import PlacementConfig, PlacementNet
from dispose.zoo.records import from_json, to_json

Network = TypeVar("Network", Associator, PlacementNet)
_CONFIGS = {Associator: AssociatorConfig, PlacementNet: PlacementConfig}

SHIPPED_ASSOCIATOR = "associator.safetensors"


def save_weights(path: Path, network: Associator | PlacementNet, *, recipe: str = "", note: str = "") -> None:
    """Write a network: tensors, its class and configuration, the recipe (JSON) that made it, a note.

    The file appears complete or not at all.
    """
    metadata = {"network": type(network).__name__, "config": to_json(network.config), "recipe": recipe, "note": note}
    with replacing_path(path) as temporary:
        try:
            save_file({k: v.contiguous() for k, v in network.state_dict().items()}, temporary, metadata=metadata)
        except SafetensorError as error:
            raise OutputError(f"{path}: cannot be written ({error})") from error


def read_metadata(path: Path) -> tuple[str, str, str, str]:
    """Network name, configuration, recipe and note of a weights file.

    Raises:
        InputError: the file is missing, no safetensors file, or lacks one of these.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such weights file")
    try:
        with safe_open(path, "pt") as stored:
            metadata = stored.metadata() or {}
    except SafetensorError as error:
        raise InputError(f"{path}: not a complete safetensors file ({error})") from None
    lacking = {"network", "config", "recipe", "note"} - set(metadata)
    if lacking:
        raise InputError(f"{path}: its metadata lack {', '.join(sorted(lacking))}: not weights of this project")
    return metadata["network"], metadata["config"], metadata["recipe"], metadata["note"]


def load_weights(path: Path, kind: type[Network]) -> Network:
    """The network stored in a file, ready for inference.

    Raises:
        InputError: see `read_metadata`; or the file holds another network, or other tensors than its configuration.
    """
    name, config, _, _ = read_metadata(path)
    if name != kind.__name__:
        raise InputError(f"{path}: holds weights of {name}, those of {kind.__name__} are needed")
    network = kind(from_json(config, _CONFIGS[kind], str(path)))
    stored = load_file(path)
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in stored.items()}
    if wanted != found:
        odd = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
        held, asked = (str(shapes.get(odd[0], "absent")) for shapes in (found, wanted))
        raise InputError(f"{path}: the tensor {odd[0]} is {held}, by its configuration it must be {asked}")
    wild = [key for key, value in stored.items() if not bool(torch.isfinite(value).all())]
    if wild:
        raise InputError(f"{path}: the tensor {wild[0]} has values that are not finite")
    network.load_state_dict(stored)
    _freeze(network)
    return network


def load_associator(path: Path | None = None) -> Associator:
    """The associator shipped with the project, or the one stored in a file."""
    if path is not None:
        return load_weights(path, Associator)
    shipped = files("dispose.zoo") / "weights" / SHIPPED_ASSOCIATOR
    return load_weights(Path(str(shipped)), Associator)


def _freeze(network: nn.Module) -> None:
    network.eval()
    network.requires_grad_(False)
