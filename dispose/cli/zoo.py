"""`dispose zoo`: weights that others trained, brought into this project's files; and what files there are."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from safetensors import safe_open
from torch import nn

from dispose.errors import InputError
from dispose.formats.entry import Entry
from dispose.formats.files import parse_json, visible
from dispose.formats.folders import require_file
from dispose.options import PathOption
from dispose.released.model import RELEASED
from dispose.zoo.checkpoints import read_metadata
from dispose.zoo.import_lifters import (
    import_context,
    import_graph_pose,
    import_hrnet,
    import_hypotheses,
    is_context,
    is_graph_pose,
    is_hrnet,
    is_hypotheses,
)
from dispose.zoo.importing import import_backbone, import_released, import_triangulation, read_entries, save_imported

SourceArgument = Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]
Dataset = Literal["panoptic", "shelf", "campus", "mm_or", "human36m"]
DatasetOption = Annotated[Dataset | None, tyro.conf.arg(help_behavior_hint="")]
AggregationOption = Annotated[Literal["sum", "conf", "conf_norm", "max", "softmax"], tyro.conf.arg(metavar="NAME")]
FOLDER = Path("weights")


@dataclass(frozen=True)
class ZooCommand:
    """Import released weights, or list the weights that are there.

    `import` reads a checkpoint of the authors of DisPOSE (panoptic.pt, shelf.pt, campus.pt, mm_or.pt) and writes
    safetensors with the configuration in them. Nothing in a checkpoint is executed; every tensor must be known and of
    the right shape.

    With `--dataset human36m` it reads one of Learnable Triangulation (algebraic or volumetric), of Gong's DiffPose
    (initial pose or denoiser) or Holmquist and Wandt's, or of Context-Aware PoseFormer; its tensors tell.

    `import-backbone` takes the heat-map backbone alone: of such a checkpoint, of a backbone file of the release, or of
    one in mmpose's naming; and HRNet by its official names, mmpose's or timm's.

    `list` shows the weights that ship with the project and those in a folder.
    """

    what: tyro.conf.Positional[Literal["import", "import-backbone", "list"]]
    """What to do."""
    path: SourceArgument = None
    """The checkpoint to import; for `list` the folder to look at (weights, unless said otherwise)."""
    dataset: DatasetOption = None
    """What a released checkpoint was trained on: panoptic, shelf, campus or mm_or (DisPOSE; it fixes threshold and
    room), or human36m (Learnable Triangulation, DiffPose, Context-Aware PoseFormer)."""
    aggregation: AggregationOption = "softmax"
    """How a volumetric network of Learnable Triangulation joins the views: sum, conf, conf_norm, max or softmax."""
    out: PathOption = None
    """File to write; without it weights/NAME.safetensors after the name of the checkpoint."""
    half: bool = False
    """Store in half precision: half the size, three decimal digits."""

    def run(self) -> int:
        """Import or list."""
        if self.what == "list":
            return show(self.path or FOLDER)
        if self.path is None:
            raise InputError(f"`dispose zoo {self.what}` needs the path of a checkpoint.")
        out = require_file(self.out or FOLDER / f"{self.path.stem}.safetensors")
        if out.suffix != ".safetensors":
            raise InputError(f"{out}: weights are written as safetensors; name a file that ends in .safetensors.")
        network = self.read(self.path)
        save_imported(out, network, self.path, storage=torch.float16 if self.half else torch.float32)
        print(f"wrote {out}\n{card(out)}")
        return 0

    def read(self, path: Path) -> nn.Module:
        """The network of a checkpoint."""
        if self.what == "import-backbone":
            return import_hrnet(path) if is_hrnet(read_entries(path).tensors) else import_backbone(path)
        if self.dataset is None:
            names = ", ".join(config.dataset for config in RELEASED)
            raise InputError(f"`dispose zoo import` needs --dataset, one of {names}, human36m.")
        if self.dataset != "human36m":
            return import_released(path, self.dataset)
        tensors = read_entries(path).tensors
        if is_context(tensors):
            return import_context(path)
        if is_hypotheses(tensors):
            return import_hypotheses(path)
        return import_graph_pose(path) if is_graph_pose(tensors) else import_triangulation(path, self.aggregation)


def show(folder: Path) -> int:
    """Print a line for every weights file that ships with the project or lies in a folder."""
    if folder.is_file():
        raise InputError(f"{folder}: is a file; `dispose zoo list` takes a folder.")
    shipped = Path(str(files("dispose.zoo") / "weights"))
    for title, place in (("shipped with the project", shipped), (str(folder), folder)):
        print(f"{title}:")
        found = visible(place.glob("*.safetensors")) if place.is_dir() else []
        for path in found:
            try:
                print(f"  {card(path)}")
            except InputError as error:
                print(f"  {error}")
        if not found:
            print("  none")
    return 0


def card(path: Path) -> str:
    """One line about a weights file: name, network, size, precision, what it was trained on or from."""
    network, config, recipe, _ = read_metadata(path)
    with safe_open(path, "pt") as stored:
        slices = [stored.get_slice(name) for name in stored.keys()]  # noqa: SIM118
        count = sum(torch.Size(part.get_shape()).numel() for part in slices)
        precision = "float16" if any(part.get_dtype() == "F16" for part in slices) else "float32"
    size = path.stat().st_size / 2**20
    made, source = _said(config, "dataset", path), _said(recipe or "{}", "source", path)
    told = [f"{path.name}: {network}, {count / 1e6:.2f} million numbers, {precision}, {size:.1f} MiB"]
    told += [f"trained on {made}"] * bool(made) + [f"imported from {source}"] * bool(source)
    return ", ".join(told)


def _said(record: str, key: str, path: Path) -> object:
    """What a record in the metadata of weights says; None where it says nothing of it."""
    told = Entry(place := f"{path}: metadata", parse_json(record, place))
    keys = told.keys()  # refuses what is no object
    return told.at(key).value if key in keys else None
