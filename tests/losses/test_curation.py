"""Which labels are believed: every case of the rule by hand, packing, and maps drawn from labels."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from dispose.errors import ShapeError
from dispose.losses.curation import PoseTargets, curate, pack_labels
from dispose.losses.heatmaps import heatmap_targets
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Labels, Poses, stack_rigs
from dispose.skeletons.catalog import PANOPTIC_15

FOCAL, DEPTH = 500.0, 2000.0


def facing_cameras(*sizes: tuple[float, float]) -> Cameras:
    """Cameras that see the plane z = 0 at one pixel per 4 mm, the world's origin in their image's middle."""
    count = len(sizes)
    size = torch.tensor(sizes, dtype=torch.float64)
    matrix = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    matrix[:, 0, 0] = matrix[:, 1, 1] = FOCAL
    matrix[:, :2, 2] = (size - 1) / 2
    turn = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    shift = torch.tensor([0.0, 0.0, DEPTH], dtype=torch.float64).repeat(count, 1)
    names = tuple(f"camera{k}" for k in range(count))
    return Cameras(names, size, matrix, torch.zeros(count, 8, dtype=torch.float64), turn, shift)


def one_joint(xy: list[float], sure: float, xyz: list[float], xyz_sure: float) -> PoseTargets:
    """A person with one joint in one view."""
    one = torch.zeros(1, dtype=torch.long)
    double = torch.float64
    return PoseTargets(
        one,
        one,
        torch.tensor(xy, dtype=double).view(1, 1, 1, 2),
        torch.tensor([[[sure]]], dtype=double),
        torch.tensor(xyz, dtype=double).view(1, 1, 3),
        torch.tensor([[xyz_sure]], dtype=double),
    )


CAMPUS = (360.0, 288.0)
MIDDLE = (179.5, 143.5)
CASES = {
    "near: kept": ([170.0, 143.5], 0.9, [0.0, 0.0, 0.0], 0.6, [170.0, 143.5], 0.9),
    "far: replaced": ([150.0, 143.5], 0.9, [0.0, 0.0, 0.0], 0.6, [*MIDDLE], 0.6),
    "unsure: replaced": ([170.0, 143.5], 0.2, [0.0, 0.0, 0.0], 0.6, [*MIDDLE], 0.6),
    "no 3-D: kept": ([150.0, 143.5], 0.9, [0.0, 0.0, 0.0], 0.0, [150.0, 143.5], 0.9),
    "unsure 3-D: kept": ([150.0, 143.5], 0.9, [0.0, 0.0, 0.0], 0.29, [150.0, 143.5], 0.9),
    "neither: none": ([150.0, 143.5], 0.1, [0.0, 0.0, 0.0], 0.1, [0.0, 0.0], 0.0),
    "outside and far: dropped": ([150.0, 143.5], 0.9, [800.0, 0.0, 0.0], 0.6, [0.0, 0.0], 0.0),
    "outside and unseen: none": ([0.0, 0.0], 0.0, [800.0, 0.0, 0.0], 0.6, [0.0, 0.0], 0.0),
    "outside but near: kept": ([358.0, 143.5], 0.9, [730.0, 0.0, 0.0], 0.6, [358.0, 143.5], 0.9),
    "behind the camera: dropped": ([179.5, 143.5], 0.9, [0.0, 0.0, -3000.0], 0.6, [0.0, 0.0], 0.0),
}


@pytest.mark.parametrize("case", CASES)
def test_every_case_of_the_rule(case: str):
    xy, sure, xyz, xyz_sure, wanted, wanted_sure = CASES[case]
    found = curate(one_joint(xy, sure, xyz, xyz_sure), stack_rigs([facing_cameras(CAMPUS)]))
    assert_close(found.xy_image.flatten(), torch.tensor(wanted, dtype=torch.float64))
    assert_close(found.confidence.flatten(), torch.tensor([wanted_sure], dtype=torch.float64))
    assert_close(found.xyz_confidence.flatten(), torch.tensor([xyz_sure if xyz_sure >= 0.3 else 0.0]).double())


def test_the_picture_ends_where_the_camera_says():
    # The released code took every image for 1920 x 1080: a joint outside Campus' counted as seen.
    hidden = one_joint([0.0, 0.0], 0.0, [800.0, 0.0, 0.0], 0.6)
    sizes = [CAMPUS, (1920.0, 1080.0)]
    found = [float(curate(hidden, stack_rigs([facing_cameras(size)])).confidence) for size in sizes]
    assert found == [0.0, 0.6]


def test_curating_twice_changes_nothing_and_views_that_are_no_cameras_have_no_label(generator: torch.Generator):
    rigs = stack_rigs([facing_cameras(CAMPUS, (640.0, 480.0)), facing_cameras(CAMPUS)])
    persons, joints = 40, 6
    targets = PoseTargets(
        torch.arange(persons) % 2,
        torch.arange(persons),
        400 * torch.rand(persons, 2, joints, 2, dtype=torch.float64, generator=generator),
        torch.rand(persons, 2, joints, dtype=torch.float64, generator=generator),
        1500 * torch.rand(persons, joints, 3, dtype=torch.float64, generator=generator) - 750,
        torch.rand(persons, joints, dtype=torch.float64, generator=generator),
    )
    once = curate(targets, rigs)
    twice = curate(once, rigs)
    assert_close(twice.xy_image, once.xy_image)
    assert_close(twice.confidence, once.confidence)
    assert float(once.confidence[1::2, 1].max()) == 0 and float(once.confidence[0::2, 1].max()) > 0
    assert bool(((once.confidence == 0) | (once.confidence >= 0.3)).all())


def labels(persons: int, views: int, generator: torch.Generator) -> Labels:
    """Labels at random, with one unmatched detection per view."""
    joints = len(PANOPTIC_15)
    xyz = torch.randn(persons, joints, 3, dtype=torch.float64, generator=generator)
    valid = torch.rand(persons, joints, generator=generator) > 0.2
    sure = torch.where(valid, torch.rand(persons, joints, dtype=torch.float64, generator=generator), 0.0)
    poses = Poses(PANOPTIC_15, torch.where(valid[..., None], xyz, 0.0), sure, valid, 10 + torch.arange(persons))
    visible = torch.rand(views, persons, joints, generator=generator) > 0.3
    xy = torch.where(visible[..., None], 100 * torch.rand(*visible.shape, 2, generator=generator).double(), 0.0)
    seen = torch.where(visible, torch.rand(visible.shape, dtype=torch.float64, generator=generator), 0.0)
    stray = torch.full((joints, 3), 0.9)
    stray[:, :2] = 40.0
    return Labels.of_images(poses, xy, seen, visible, Detections.from_lists(PANOPTIC_15, [[stray]] * views))


def test_packing_keeps_every_person_and_pads_views(generator: torch.Generator):
    both = [labels(3, 4, generator), labels(0, 2, generator), labels(2, 3, generator)]
    packed = pack_labels(both, 4)
    assert packed.sample.tolist() == [0, 0, 0, 2, 2]
    assert packed.identity.tolist() == [10, 11, 12, 10, 11]
    assert_close(packed.xy_image[:3], both[0].xy_image.transpose(0, 1))
    assert_close(packed.confidence[3:, :3], both[2].confidence.transpose(0, 1))
    assert float(packed.confidence[3:, 3].abs().max()) == 0
    assert_close(packed.xyz_world[3:], both[2].poses.xyz_world)
    chosen = packed[torch.tensor([True, False, False, False, True])]
    assert chosen.identity.tolist() == [10, 11] and chosen.sample.tolist() == [0, 2]
    with pytest.raises(ShapeError, match="4 views in the labels of sample 0, 3 in the rigs"):
        pack_labels(both, 3)
    with pytest.raises(ShapeError, match="no sample"):
        pack_labels([], 3)


def drawn(targets: PoseTargets, unmatched: list[Detections], affine: Tensor) -> tuple[Tensor, Tensor]:
    """Maps of 30 x 20 pixels at stride 4."""
    found = heatmap_targets(targets, unmatched, affine, size=(30, 20), stride=4.0, sigma=3.0)
    return found.heatmaps, found.supervised


def test_maps_show_labels_where_the_augmented_picture_does():
    affine = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64).repeat(2, 1, 1, 1)
    affine[1, 0, 0, 2] = 8.0
    first = one_joint([41.5, 21.5], 0.5, [0.0, 0.0, 0.0], 0.0)
    pair = replace(first, **{name: value.repeat_interleave(2, 0) for name, value in vars(first).items()})
    pair = replace(pair, sample=torch.tensor([0, 1]))
    maps, supervised = drawn(pair, [], affine)
    assert supervised.tolist() == [[True], [True]]
    for number, column in ((0, 10), (1, 12)):
        assert maps[number, 0].argmax() == 5 * 30 + column
        assert_close(maps[number, 0].max(), torch.tensor(1.0).double())  # not the confidence, as released
    assert_close(maps[0, 0, :, :-2], maps[1, 0, :, 2:])


def test_labels_outside_the_augmented_picture_say_nothing():
    affine = torch.tensor([[1.0, 0.0, 500.0], [0.0, 1.0, 0.0]], dtype=torch.float64).view(1, 1, 2, 3)
    maps, supervised = drawn(one_joint([41.5, 21.5], 0.5, [0.0, 0.0, 0.0], 0.0), [], affine)
    assert supervised.tolist() == [[False]] and float(maps.abs().max()) == 0


def test_unmatched_people_are_drawn_in_their_own_view(generator: torch.Generator):
    sample = labels(0, 2, generator)
    affine = torch.eye(3, dtype=torch.float64)[:2].repeat(1, 3, 1, 1)
    nobody = pack_labels([sample], 3)
    one_view = replace(sample.unmatched, valid=torch.tensor([[False], [True]]))
    maps, supervised = drawn(nobody, [one_view], affine)
    assert supervised.all(1).tolist() == [False, True, False]
    # Input pixel 40 is heat-map pixel 9.625.
    assert bool((maps[1].flatten(1).argmax(1) == 10 * 30 + 10).all())
    unsure = replace(one_view, confidence=0.2 * torch.ones_like(one_view.confidence))
    assert not bool(drawn(nobody, [unsure], affine)[1].any())
