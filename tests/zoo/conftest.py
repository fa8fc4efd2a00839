"""The stand-in for the authors' checkpoints: weights and inputs by the rule of ../shared/data/released_weights."""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dispose.nn.backbones import Backbone, BackboneConfig
from dispose.nn.heatmaps import Features
from dispose.released.model import RELEASED, ReleasedDisPose
from dispose.scene.cameras import Cameras
from dispose.zoo.checkpoints import released_name
from dispose.zoo.importing import released_entry

FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "released_weights"
STAGES = (("stage1", "root_regression_net"), ("stage2", "pose_regression_net"))


def by_rule(salt: str, name: str, shape: tuple[int, ...]) -> Tensor:
    """The tensor that the rule gives to an entry."""
    if name.endswith("alpha"):
        return torch.full(shape, 0.6607, dtype=torch.float64)
    if name.endswith("log_tau"):
        return torch.zeros(shape)
    plain = name.replace("diffusion.denoiser.", "denoiser.")
    random = np.random.Generator(np.random.PCG64(zlib.crc32(f"{salt}/{plain}".encode())))
    values = random.standard_normal(shape or (1,)).astype(np.float32)
    if len(shape) >= 2:
        values = values / np.sqrt(np.prod(shape[1:]))
    elif len(shape) == 1:
        values = 1 + 0.1 * values if "norm" in plain and plain.endswith("weight") else 0.1 * values
    else:
        values = (0.3 + 0.1 * values)[0]
    return torch.tensor(values, dtype=torch.float32)


@pytest.fixture(scope="session")
def released_state() -> dict[str, Tensor]:
    """A state dict with the names, shapes and repetitions of a released checkpoint, its values small and by a seed."""
    torch.manual_seed(0)
    network = ReleasedDisPose(RELEASED[0])
    state: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        state[released_entry(name)] = value
    for name in [name for name in state if name.startswith("root_regression_net.denoiser.")]:
        state[name.replace(".denoiser.", ".diffusion.denoiser.", 1)] = state[name]
    alpha = torch.tensor([0.6607], dtype=torch.float64)
    state |= {"root_regression_net.alpha": alpha, "root_regression_net.diffusion.alpha": alpha}
    return state | {"root_regression_net.diffusion.log_tau": torch.zeros(())}


@dataclass(frozen=True, eq=False)
class Reference:
    """What the released model computes for the weights of the rule.

    Attributes:
        arrays: inputs and outputs.
        state: the state dict by the rule, with a backbone that the rule does not know.
        notes: seed and sizes.
    """

    arrays: Any
    state: dict[str, Tensor]
    notes: dict[str, Any]

    def __getitem__(self, key: str) -> Tensor:
        return torch.tensor(self.arrays[key])

    def cameras(self, sample: int) -> Cameras:
        """The cameras of a sample; their centres are those of the camera vector to the last digit."""
        vector = self["cameras"][sample].double()
        radial, tangential = vector[:, 42:48], vector[:, 48:50]
        rotation = vector[:, :9].reshape(-1, 3, 3)
        return Cameras(
            tuple(f"view {v}" for v in range(len(vector))),
            2 * self["centre"][sample].double(),
            vector[:, 24:33].reshape(-1, 3, 3),
            torch.cat([radial[:, :2], tangential, radial[:, 2:]], 1),
            rotation,
            -(torch.linalg.inv(rotation.mT) @ vector[:, 21:24, None])[..., 0],
        )

    def input_from_image(self, sample: int) -> Tensor:
        """The affines of a sample's views (none is turned)."""
        size = torch.tensor(self.notes["input_size_wh"], dtype=torch.float64)
        linear = torch.diag_embed(size / (200 * self["scale"][sample].double()))
        shift = size / 2 - (linear @ self["centre"][sample].double()[..., None])[..., 0]
        return torch.cat([linear, shift[..., None]], -1)

    def features(self, sample: int) -> Features:
        """The feature maps of a sample by the rule."""
        width, height = self.notes["heatmap_size_wh"]
        levels = []
        for level, (chans, stride) in enumerate(((15, 1), (256, 1), (256, 2), (256, 4))):
            random = np.random.Generator(np.random.PCG64(self.notes["seed"] * 100 + level))
            shape = (self.notes["B"], self.notes["V"], chans, height // stride, width // stride)
            level_maps = torch.tensor(random.standard_normal(shape).astype(np.float32)[sample])
            levels.append(level_maps if level else 0.5 * level_maps.abs())
        return Features(*levels)


@pytest.fixture(scope="session")
def reference() -> Reference:
    """Weights by the rule and the released model's answers."""
    if not FOLDER.is_dir():
        pytest.skip("needs ../shared/data/released_weights")
    notes = json.loads((FOLDER / "fixture.json").read_text(encoding="utf-8"))
    state: dict[str, Tensor] = {}
    for salt, part in STAGES:
        for name, shape in notes[f"{salt}_{part}"].items():
            state[f"{part}.{name}"] = by_rule(salt, name, tuple(shape))
    torch.manual_seed(1)
    backbone = Backbone(BackboneConfig()).state_dict()
    state |= {f"backbone.{released_name(name)}": value for name, value in backbone.items()}
    return Reference(np.load(FOLDER / "fixture.npz"), state, notes)


@pytest.fixture(scope="session")
def imported(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> ReleasedDisPose:
    """The rule's weights, by way of a checkpoint file, `dispose zoo import` and the safetensors file it writes."""
    from dispose.cli.main import main
    from dispose.zoo.checkpoints import load_weights

    folder = tmp_path_factory.mktemp("released")
    torch.save({"state_dict": reference.state, "epoch": 3}, folder / "panoptic.pt")
    arguments = ["zoo", "import", str(folder / "panoptic.pt"), "--dataset", "panoptic"]
    assert main([*arguments, "--out", str(folder / "panoptic.safetensors")]) == 0
    (folder / "panoptic.pt").unlink()
    return load_weights(folder / "panoptic.safetensors", ReleasedDisPose)
