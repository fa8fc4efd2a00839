"""Weights as safetensors: the names of their parameters in files, and the configuration that builds their network."""

import hashlib
import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn
from torch.overrides import TorchFunctionMode

from dispose.errors import InputError, OutputError
from dispose.formats.files import replacing_path
from dispose.models.context.network import ContextConfig, ContextNetwork
from dispose.models.diffpose_gmm.model import DiffPoseGmm, DiffPoseGmmConfig
from dispose.models.diffpose_gmm.networks import GraphDenoiserConfig, GraphLifterConfig
from dispose.models.diffpose_hypotheses.network import HypothesesConfig, HypothesesNetwork
from dispose.models.dispose.associator import Associator, AssociatorConfig
from dispose.models.dispose.model import DisPose, DisPoseConfig
from dispose.models.dispose.placement import PlacementConfig, PlacementNet
from dispose.models.movenet.network import MoveNet, MoveNetConfig
from dispose.models.rays.network import RayNetwork, RaysConfig
from dispose.models.triangulation.algebraic import Algebraic, AlgebraicConfig
from dispose.models.triangulation.detections import DetectionWeights, DetectionWeightsConfig
from dispose.models.triangulation.volumetric import Volumetric, VolumetricConfig
from dispose.nn.backbones import Backbone, BackboneConfig
from dispose.nn.hrnet import HRNet, HRNetConfig
from dispose.released.context import ReleasedContext
from dispose.released.diffpose_gmm import ReleasedGraphDenoiser, ReleasedGraphLifter
from dispose.released.model import ReleasedConfig, ReleasedDisPose
from dispose.released.triangulation import ReleasedAlgebraic, ReleasedVolumetric
from dispose.zoo.records import from_json, to_json

WORDS = {
    # The heat-map backbone.
    "deconv_layers": "upsampling",
    "final_layer": "heatmaps",
    "lateral_layers": "lateral",
    # A layer of the decoder.
    "cross_attn_norm": "reader_norm",
    "cross_attn": "reader",
    "coordinates_linear": "place",
    "joint_type_linear": "joint_type",
    "stage1_res_scale": "across_views_scale",
    "stage1_hg": "across_views",
    "stage1_norm": "across_views_norm",
    "offset_net": "offset",
    "view_agg": "view_weight",
    "stage2_res_scale": "within_person_scale",
    "stage2_hg": "within_person",
    "stage2_norm": "within_person_norm",
    "feat_upd_norm": "refresh_norm",
    "feat_upd_linear": "refresh",
    "geo_feedback_mlp": "feedback",
    "ffn_norm": "feed_forward_norm",
    "ffn_mlp": "feed_forward",
    "fc1": "inward",
    "fc2": "outward",
    "offset_head": "step",
    "weight_head": "trust",
    "attn_proj": "logit",
    # The released denoiser.
    "t_mlp": "time",
    "z_embedder": "cue",
    "node_proj": "detection",
    "edge_proj": "mass",
    "z_film": "modulate",
    "final_norm_edges": "last_norm",
    "edge_attention": "among_tuples",
    "W_q_edge": "tuple_query",
    "W_k_node": "detection_key",
    "W_v_node": "detection_value",
    "W_o_edge": "tuple_out",
    "W_q_node": "detection_query",
    "W_k_edge": "tuple_key",
    "W_v_edge": "tuple_value",
    "W_o_node": "detection_out",
    "ffn_node": "detection_feed_forward",
    "ffn_edge": "tuple_feed_forward",
    "adaLN_node": "detection_modulation",
    "adaLN_edge": "tuple_modulation",
    "member_mlp": "member",
    "set_mlp": "members",
    "edge_to_film_trunk": "film_trunk",
    "edge_to_film_head": "film",
    "classifier": "last",
}
"""Released words and ours. The trunk of a backbone is called ``backbone`` there, beside the whole (`our_name`)."""

_RELEASED = {ours: released for released, ours in WORDS.items()}


def our_name(name: str) -> str:
    """What we call a tensor that has a released name, or one of ours already."""
    translated = ".".join(WORDS.get(word, word) for word in name.split("."))
    return re.sub(r"^((?:backbone\.)?)backbone\.(?=\d)", r"\1trunk.", translated)


def released_name(name: str) -> str:
    """What the release calls a tensor of a backbone, or of a part of `ReleasedDisPose`."""
    translated = ".".join(_RELEASED.get(word, word) for word in name.split("."))
    return re.sub(r"^((?:backbone\.)?)trunk\.(?=\d)", r"\1backbone.", translated)


Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Kind:
    """A network that can be stored, and the frozen record that builds it: ``network(config)``, kept as `config`."""

    network: type[nn.Module]
    config: type


KINDS = (
    Kind(Associator, AssociatorConfig),
    Kind(PlacementNet, PlacementConfig),
    Kind(Backbone, BackboneConfig),
    Kind(DisPose, DisPoseConfig),
    Kind(RayNetwork, RaysConfig),
    Kind(ReleasedDisPose, ReleasedConfig),
    Kind(Algebraic, AlgebraicConfig),
    Kind(Volumetric, VolumetricConfig),
    Kind(ReleasedAlgebraic, AlgebraicConfig),
    Kind(ReleasedVolumetric, VolumetricConfig),
    Kind(DetectionWeights, DetectionWeightsConfig),
    Kind(DiffPoseGmm, DiffPoseGmmConfig),
    Kind(HypothesesNetwork, HypothesesConfig),
    Kind(ReleasedGraphLifter, GraphLifterConfig),
    Kind(ReleasedGraphDenoiser, GraphDenoiserConfig),
    Kind(HRNet, HRNetConfig),
    Kind(ContextNetwork, ContextConfig),
    Kind(ReleasedContext, ContextConfig),
    Kind(MoveNet, MoveNetConfig),
)
"""What a weights file of this project may hold; it says which by the name of the class."""

SHIPPED_ASSOCIATOR = "associator.safetensors"
SHIPPED_IMAGE_WEIGHTS = "toy_images.safetensors"
SHIPPED_RAYS = "rays.safetensors"
SHIPPED_DETECTION_WEIGHTS = "algebraic_detections.safetensors"
SHIPPED_CONTEXT = "context.safetensors"
SHIPPED_HYPOTHESES = "diffpose_hypotheses.safetensors"

ImageModel = DisPose | ReleasedDisPose
"""A network that takes images: frame in, people out, at its ``config.input_size``."""

PersonNetwork = Algebraic | Volumetric
"""A network that takes one person cut out of several images."""


def save_weights(
    path: Path, network: nn.Module, *, recipe: str = "", note: str = "", storage: torch.dtype = torch.float32
) -> None:
    """Write a network: tensors, its class and configuration, the recipe (JSON) that made it, a note.

    The file appears complete or not at all. With ``storage=torch.float16`` it has half the size and numbers of three
    decimal digits; reading gives float32 again.

    Raises:
        OutputError: the file cannot be written, or a weight does not fit the storage.
    """
    kind_of(type(network).__name__, str(path))
    metadata = {"network": type(network).__name__, "config": to_json(network.config), "recipe": recipe, "note": note}
    state = {name: value.detach().cpu() for name, value in network.state_dict().items()}
    # Numbers in the storage's precision, counters as they are.
    tensors = {k: v.to(storage if v.is_floating_point() else v.dtype).contiguous() for k, v in state.items()}
    wild = [name for name, value in state.items() if bool((value.isfinite() & ~tensors[name].isfinite()).any())]
    if wild:
        raise OutputError(f"{path}: the tensor {wild[0]} has values that do not fit {storage}")
    metadata["digest"] = digest_of_tensors(tensors)
    with replacing_path(path) as temporary:
        try:
            # Not `save_file`, which writes under a name of its own that a kill leaves behind.
            temporary.write_bytes(save(tensors, metadata=metadata))
            order_head(temporary)
        except SafetensorError as error:
            raise OutputError(f"{path}: cannot be written ({error})") from error


def digest_of_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of names and numbers, as hexadecimal text."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def order_head(path: Path) -> None:
    """Put the head of a safetensors file in order, which the library writes in another one every time."""
    with open(path, "r+b") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        head = json.dumps(json.loads(file.read(size)), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        file.seek(8)
        # Blanks at its end are part of the format: tensors begin at multiples of eight bytes.
        file.write(head.encode().ljust(size))


def kind_of(name: str, source: str) -> Kind:
    """The kind of a network by the name of its class; `InputError` names `source` where there is none."""
    for kind in KINDS:
        if kind.network.__name__ == name:
            return kind
    known = ", ".join(kind.network.__name__ for kind in KINDS)
    raise InputError(f"{source}: holds weights of {name}, which this version does not know; it knows {known}")


def read_metadata(path: Path) -> tuple[str, str, str, str]:
    """Network name, configuration, recipe and note of a weights file.

    Raises:
        InputError: the file is missing, no safetensors file, or lacks one of these.
    """
    metadata = _metadata_of(path)
    return metadata["network"], metadata["config"], metadata["recipe"], metadata["note"]


def _metadata_of(path: Path) -> Mapping[str, str]:
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
    return metadata


def load_weights(path: Path, kind: type[Network]) -> Network:
    """The network stored in a file, in float32 and ready for inference.

    Raises:
        InputError: see `read_metadata`; or the file holds another network, or other tensors than its configuration.
    """
    metadata = _metadata_of(path)
    name, config, digest = metadata["network"], metadata["config"], metadata.get("digest")
    if name != kind.__name__:
        raise InputError(f"{path}: holds weights of {name}, those of {kind.__name__} are needed")
    held = load_file(path)
    told = from_json(config, kind_of(name, str(path)).config, str(path))
    _check_sizes(path, json.loads(config), held)
    stored = {our_name(name): value for name, value in held.items()}
    # Earlier files have none.
    if digest is not None and digest != digest_of_tensors(stored):
        raise InputError(f"{path}: is damaged: its numbers are not those that were written (their digest differs)")
    found = {key: tuple(value.shape) for key, value in stored.items()}
    with _Within(path, 4 * sum(value.nbytes for value in held.values()) + SPARE_BYTES):
        network = kind(told)
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    if wanted != found:
        odd = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
        has, asked = (str(shapes.get(odd[0], "absent")) for shapes in (found, wanted))
        raise InputError(f"{path}: the tensor {odd[0]} is {has}, by its configuration it must be {asked}")
    wild = [key for key, value in stored.items() if not math.isfinite(value.sum(dtype=torch.float64))]
    if wild:
        raise InputError(f"{path}: the tensor {wild[0]} has values that are not finite")
    network.load_state_dict(stored)
    return network.eval().requires_grad_(False)


LARGEST_SETTING, SPARE_BYTES = 4096, 1 << 27


class _Within(TorchFunctionMode):
    """While a network is built: no more memory than a file's tensors need, and no weights drawn that they replace."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__()
        self.path, self.left = path, most

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Every tensor that is made anew counts."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__ and "tensor" in kwargs:
            return kwargs["tensor"]
        made = func(*args, **kwargs)
        if func in (torch.empty, torch.zeros, torch.ones):
            self.left -= made.nbytes
            if self.left < 0:
                raise InputError(f"{self.path}: its configuration needs far more memory than its tensors")
        return made


def _check_sizes(path: Path, config: object, held: Mapping[str, torch.Tensor]) -> None:
    """Raise `InputError` where a configuration counts something of which its tensors have not as many."""
    most = max([LARGEST_SETTING, len(held), *(size for value in held.values() for size in value.shape)])
    for number in _whole_numbers(config):
        if abs(number) > most:
            raise InputError(f"{path}: its configuration says {number}, which is more than anything in the file has")


def _whole_numbers(value: object) -> Iterator[int]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inside:
        yield from _whole_numbers(one)
    if isinstance(value, int):
        yield value


def load_associator(path: Path | None = None) -> Associator:
    """The associator shipped with the project, or the one stored in a file."""
    return load_weights(path or shipped_associator_weights(), Associator)


def load_image_model(path: Path | None = None) -> ImageModel:
    """The model for images shipped with the project, or the one stored in a file: ours or an imported released one.

    Raises:
        InputError: see `load_weights`; the file holds a network that takes no images; nothing is shipped.
    """
    if path is None:
        path = shipped_image_weights()
        if not path.is_file():
            raise InputError(
                f"{path}: the weights for pictures are not in this copy of the project; name a file with --weights, "
                "or train some with `dispose train toy_images`."
            )
    name = read_metadata(path)[0]
    if name == DisPose.__name__:
        return load_weights(path, DisPose)
    if name == ReleasedDisPose.__name__:
        return load_weights(path, ReleasedDisPose)
    kind_of(name, str(path))
    raise InputError(
        f"{path}: holds weights of {name}; pictures need those of {DisPose.__name__} or {ReleasedDisPose.__name__}."
    )


def load_person_network(path: Path | None, option: str = "--weights") -> PersonNetwork:
    """The network of a weights file that takes one person, ours or an imported released one.

    Raises:
        InputError: no file is named (none ships with the project; `option` names one), or it holds another network.
    """
    if path is None:
        raise InputError(
            f"weights of an algebraic or a volumetric network must be named with {option}: none ship with the project; "
            "`dispose zoo import` reads the released ones, `dispose train toy_algebraic` (or toy_volumetric) makes "
            "some that know drawn people only."
        )
    name = read_metadata(path)[0]
    for kind in (Algebraic, Volumetric):
        if name == kind.__name__:
            return load_weights(path, kind)
    for kind in (ReleasedAlgebraic, ReleasedVolumetric):
        if name == kind.__name__:
            return load_weights(path, kind).network
    kind_of(name, str(path))
    raise InputError(f"{path}: holds weights of {name}; those of an algebraic or a volumetric network are needed.")


def load_rays(path: Path | None = None) -> RayNetwork:
    """The network that reads joints from rays: the one shipped with the project, or the one stored in a file."""
    return load_weights(path or shipped_weights(SHIPPED_RAYS), RayNetwork)


def load_detection_weights(path: Path | None = None) -> DetectionWeights:
    """The weights of 2-D detections shipped with the project, or those stored in a file."""
    return load_weights(path or shipped_weights(SHIPPED_DETECTION_WEIGHTS), DetectionWeights)


def load_context(path: Path | None = None) -> ContextNetwork:
    """Context-Aware PoseFormer: the small one shipped with the project, or the one stored in a file, ours or released.

    Raises:
        InputError: see `load_weights`.
    """
    path = path or shipped_weights(SHIPPED_CONTEXT)
    released = read_metadata(path)[0] == ReleasedContext.__name__
    return load_weights(path, ReleasedContext).network if released else load_weights(path, ContextNetwork)


def shipped_weights(name: str) -> Path:
    """Where a file of weights lies that comes with the package."""
    return Path(str(files("dispose.zoo"))) / "weights" / name


def shipped_associator_weights() -> Path:
    """Where the shipped associator lies."""
    return shipped_weights(SHIPPED_ASSOCIATOR)


def shipped_image_weights() -> Path:
    """Where the shipped weights for images lie."""
    return shipped_weights(SHIPPED_IMAGE_WEIGHTS)
