"""Learnable Triangulation of people whom somebody else has found: cut out of the pictures around where they stand.

Who they are and about where, keypoints or another network have said; the cuts are squares around the projections of
those joints, as they are around the true ones in training. A keypoint that lies does not move its square.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.association.claims import claim
from dispose.association.packing import gather_groups
from dispose.association.reconstruct import RIGHT_MM, judge_poses, trust_joints
from dispose.datasets.multiview import RawFrame
from dispose.datasets.one_person import MARGIN, Person, cut_out
from dispose.geometry.image_affine import apply, invert
from dispose.geometry.uncertainty import probability_within
from dispose.models.triangulation.algebraic import Algebraic
from dispose.models.triangulation.volumetric import Volumetric
from dispose.scene.frame import Detections, Frame, ImageBatch, Poses
from dispose.scene.results import Association, Prediction
from dispose.tensors import ABSENT

SMALLEST_PX = 16.0
"""A square smaller than this shows nothing, pixels of the original image."""

PEOPLE_AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class Cut:
    """One person cut out of some pictures.

    Attributes:
        row: of the person in their frame.
        views: of the frame that show them.
        frame: the cuts, with the cameras of these views.
        root: where they stand, mm.
    """

    row: int
    views: list[int]
    frame: Frame
    root: Float[Tensor, "3"]


PlacePeople = Callable[[RawFrame, Prediction], Poses]
"""Where the joints of the people of a frame are, by its pictures, row by row as they were found."""


def cut_people(raw: RawFrame, found: Prediction, input_size: tuple[int, int]) -> list[Cut]:
    """Those people of a frame of whom a joint and the root are known, out of the pictures that show them.

    These are the pictures of the views in which the person has a member, if they stand before the camera and look at
    least `SMALLEST_PX` large.
    """
    poses, cuts = found.poses, []
    there = torch.tensor([image is not None for image in raw.images])
    for row in range(len(poses.id)):
        known = poses.valid[row]
        if not bool(known.any() & torch.isfinite(found.root[row]).all()):
            continue
        xy, front = raw.cameras.project(poses.xyz_world[row, known])
        large = (xy.amax(1) - xy.amin(1)).amax(-1) >= SMALLEST_PX
        shown = there & front.all(1) & large & (found.association.members[row] != ABSENT)
        views = shown.nonzero()[:, 0].tolist()
        if views:
            cameras, images = raw.cameras.select(views=views), [raw.images[view] for view in views]
            person = Person(raw.number, cameras, images, poses.select(persons=[row]))
            cuts.append(Cut(row, views, cut_out(person, input_size, margin=MARGIN), found.root[row]))
    return cuts


def some_at_once(cuts: Sequence[Cut]) -> list[Sequence[Cut]]:
    """The cuts in batches that fit into memory."""
    return [cuts[first : first + PEOPLE_AT_ONCE] for first in range(0, len(cuts), PEOPLE_AT_ONCE)]


@torch.no_grad()
def place_by_heatmaps(network: Algebraic, raw: RawFrame, found: Prediction) -> Poses:
    """Joints by algebraic triangulation; of people whom fewer than two pictures show none is known.

    What the network sees in the pictures takes the place of a detector's keypoints, with its trust relative to the most
    trusted view for a score, and is judged as keypoints are (`claim`, `judge_poses`).
    """
    skeleton, device = network.skeleton, next(network.parameters()).device
    views, people, joints = len(raw.cameras), len(found.poses.id), len(skeleton)
    xyz = torch.zeros(people, joints, 3, dtype=torch.float64)
    seen = torch.zeros(views, people, joints, 3, dtype=torch.float64)
    members = torch.full((people, views), ABSENT)
    cuts = [cut for cut in cut_people(raw, found, network.config.input_size) if len(cut.views) > 1]
    for some in some_at_once(cuts):
        batch = ImageBatch.of([cut.frame for cut in some])
        said = network(batch.to(device))
        affine = batch.images.input_from_image.double()
        xy = apply(invert(affine)[:, :, None], said.xy_input.cpu().double())
        trust = (said.weights / said.weights.amax(1, keepdim=True)).cpu().double()
        for sample, cut in enumerate(some):
            held = slice(len(cut.views))
            xyz[cut.row] = said.xyz_world[sample].cpu().double()
            seen[cut.views, cut.row] = torch.cat([xy[sample, held], trust[sample, held, :, None]], dim=-1)
            members[cut.row, cut.views] = cut.row
    known = torch.isfinite(xyz).all(-1) & (members != ABSENT).any(1, keepdim=True)
    keypoints = Detections.from_lists(skeleton, [list(view) for view in seen])
    frame, group = Frame(raw.number, raw.cameras, keypoints), Association(members, found.association.confidence)
    evidence = gather_groups([frame], [group])
    xyz = torch.where(known[..., None], xyz, 0.0)
    poses = Poses(skeleton, xyz, known.double(), known, torch.zeros(people, dtype=torch.long))
    return judge_poses(evidence, claim(evidence, poses))


@torch.no_grad()
def place_by_cubes(network: Volumetric, raw: RawFrame, found: Prediction) -> Poses:
    """Joints by volumetric triangulation in a cube around every root; of people whom no picture shows none is known.

    How uncertain a joint is says the probability of the voxels. A person's score is how probably a joint of theirs lies
    within `RIGHT_MM` of the truth, in the mean.
    """
    skeleton, device = network.skeleton, next(network.parameters()).device
    people, joints = len(found.poses.id), len(skeleton)
    xyz, covariance = torch.zeros(people, joints, 3).double(), torch.zeros(people, joints, 3, 3).double()
    known = torch.zeros(people, joints, dtype=torch.bool)
    for some in some_at_once(cut_people(raw, found, network.config.input_size)):
        batch = ImageBatch.of([cut.frame for cut in some])
        cubes = network.cubes_around(torch.stack([cut.root for cut in some]).float()).to(device)
        said = network(batch.to(device), cubes)
        rows = [cut.row for cut in some]
        xyz[rows] = said.xyz_world.cpu().double()
        covariance[rows] = cubes.covariance(said.log_probability.exp()).cpu().double()
        known[rows] = True
    number = torch.zeros(people, dtype=torch.long)
    poses = trust_joints(Poses(skeleton, xyz, known.double(), known, number, covariance))
    right = torch.where(poses.valid, probability_within(covariance, RIGHT_MM), 0.0)
    score = right.sum(1) / poses.valid.sum(1).clamp(min=1)
    return replace(poses, score=score)
