"""CMU Panoptic (joo2015panoptic), the small table: true skeletons, detections simulated from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dispose.datasets.tables.reading import LabelledFrames, poses_of, read_cameras, read_poses
from dispose.errors import InputError
from dispose.scene.cameras import Cameras
from dispose.scene.convert import convert_poses
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.skeletons.catalog import COCO_17, PANOPTIC_19
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

STANDARD_VIEWS = ("00_03", "00_06", "00_12", "00_13", "00_23")

VISIBLE_SCORE = 0.1
"""A true joint counts where its published score exceeds this."""

MIN_JOINTS = 3
"""Least number of joints of a simulated detection."""


@dataclass(frozen=True)
class Simulation:
    """How detections are made from true skeletons: deviation of a keypoint in each direction, and how many are missing.

    Every frame draws from a generator of its own.
    """

    noise_px: float = 6.0
    missing: float = 0.2
    seed: int = 0


def read_panoptic_mini(
    folder: Path,
    *,
    views: Sequence[str] = STANDARD_VIEWS,
    skeleton: Skeleton = COCO_17,
    simulation: Simulation | None = None,
) -> LabelledFrames:
    """Read the folder ``panoptic_mini`` of the converted tables, with the cameras named."""
    cameras = read_cameras(folder / "cameras.json")
    unknown = [view for view in views if view not in cameras.names]
    if unknown:
        raise InputError(f"{folder / 'cameras.json'}: no camera {unknown[0]!r}")
    chosen = cameras.select(views=[cameras.names.index(view) for view in views])
    table = read_poses(folder / "gt3d.npz")
    told = simulation or Simulation()

    def frame_of(number: int) -> tuple[Frame, Labels]:
        truth = convert_poses(poses_of(table.at(number), PANOPTIC_19, valid_above=VISIBLE_SCORE), skeleton)
        return simulate_frame(number, chosen, truth, told)

    return LabelledFrames(chosen, tuple(sorted(set(table.frame.tolist()))), frame_of)


def simulate_frame(number: int, cameras: Cameras, truth: Poses, simulation: Simulation) -> tuple[Frame, Labels]:
    """Project true skeletons, add Gaussian noise, drop joints; people come in random order in every view."""
    generator = torch.Generator().manual_seed(simulation.seed * 1_000_003 + number)
    xy, front = cameras.project(truth.xyz_world)
    noise = torch.randn(xy.shape, generator=generator, dtype=torch.float64) * simulation.noise_px
    drop = torch.rand(xy.shape[:-1], generator=generator) < simulation.missing
    seen = truth.valid & front & cameras.inside(xy) & ~drop
    xys = torch.cat([xy + noise, seen[..., None].to(torch.float64)], -1)
    keypoints, people = [], []
    for view in range(len(cameras)):
        order = torch.randperm(len(truth.id), generator=generator)
        order = order[seen[view, order].sum(-1) >= MIN_JOINTS]
        keypoints.append([xys[view, person] for person in order.tolist()])
        people.append(truth.id[order])
    detections = Detections.from_lists(truth.skeleton, keypoints)
    identity = torch.full(detections.valid.shape, ABSENT, dtype=torch.long)
    for view, ids in enumerate(people):
        identity[view, : len(ids)] = ids
    return Frame(number, cameras, detections), Labels.of_detections(identity, truth)
