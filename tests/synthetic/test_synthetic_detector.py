"""Laws of the detection model: what it does wrong happens as often as its parameters say."""

from dataclasses import replace

import pytest
import torch

from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from dispose_synthetic.detectors.detector import Detected, detect
from dispose_synthetic.detectors.parameters import DETECTORS, PERFECT, DetectorRanges, sample_detectors
from dispose_synthetic.people import PeopleConfig, place_people, sample_people
from dispose_synthetic.placement import Furniture, no_furniture
from dispose_synthetic.randomness import Noise
from dispose_synthetic.rigs import STUDIO, sample_rooms
from dispose_synthetic.scenes import sample_ghosts
from dispose_synthetic.visibility import Sight, look

FRAMES = 60
STANDING = PeopleConfig(activity_weights=(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))


def _source(seed: int) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def _studio(persons: int, *, apart_mm: float = 700.0) -> tuple[Sight, Cameras, torch.Tensor]:
    """People in a row, filmed by four cameras that see them whole."""
    source = _source(0)
    rigs = sample_rooms(source, FRAMES, 4, (STUDIO,)).cameras
    row = (torch.arange(persons) - (persons - 1) / 2) * apart_mm
    floor = torch.stack([row, torch.zeros(persons)], dim=-1).expand(FRAMES, persons, 2)
    body = sample_people(source, FRAMES, persons, STANDING).xyz_body
    xyz = place_people(body, floor, 6.0 * source.uniform((FRAMES, persons)))
    sight = look(xyz, torch.ones(FRAMES, persons, dtype=torch.bool), rigs, no_furniture(FRAMES))
    return sight, rigs, xyz


def _found(kind: DetectorRanges, sight: Sight, rigs: Cameras, seed: int = 1) -> Detected:
    source = _source(seed)
    ghosts = sample_ghosts(source, FRAMES, len(rigs), 3, STANDING)
    return detect(source, sight, rigs, ghosts, sample_detectors(source, FRAMES, (kind,), (1.0,)))


def test_a_perfect_detector_reports_everybody_whole_and_exactly() -> None:
    sight, rigs, _ = _studio(3)
    found = _found(PERFECT, sight, rigs)
    assert found.valid.sum() == (sight.inside.any(-1)).sum()
    truth = sight.xy_image.gather(2, found.identity.clamp(min=0)[..., None, None].expand(*found.identity.shape, 17, 2))
    torch.testing.assert_close(found.xy_image[found.visible], truth[found.visible])


@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_people_are_missed_as_often_as_asked(rate: float) -> None:
    sight, rigs, _ = _studio(3)
    found = _found(replace(PERFECT, miss=(rate, rate)), sight, rigs)
    assert abs(float(found.valid.sum()) / (FRAMES * 4 * 3) - (1 - rate)) < 0.06


def test_false_people_come_as_often_as_asked_and_are_nobody() -> None:
    sight, rigs, _ = _studio(2)
    found = _found(replace(PERFECT, false_rate=(0.6, 0.6)), sight, rigs)
    false = found.valid & (found.identity == ABSENT)
    per_view = float(false.sum()) / (FRAMES * 4)
    # Some lie outside the image or keep no joint.
    assert 0.35 < per_view < 0.65
    assert (false.any(-1).float().mean() > 0.2) and (false.sum(-1) <= 3).all()


def test_a_torn_person_has_one_main_piece_the_larger() -> None:
    sight, rigs, _ = _studio(1)
    found = _found(replace(PERFECT, fragment=(1, 1)), sight, rigs)
    second = 0
    for frame, view in torch.cartesian_prod(torch.arange(FRAMES), torch.arange(4)).tolist():
        pieces = found.visible[frame, view][found.valid[frame, view]]
        ids = found.identity[frame, view][found.valid[frame, view]]
        assert (ids == 0).sum() == 1
        joints = pieces.sum(-1)
        assert joints[ids == 0].item() == joints.max().item()
        assert (pieces.long().sum(0) <= 1).all()  # no joint in both pieces
        second += len(pieces) - 1
    assert 0.4 < second / (FRAMES * 4) < 0.8


def test_a_repeated_person_lies_on_itself() -> None:
    sight, rigs, _ = _studio(1)
    found = _found(replace(PERFECT, duplicate=(1, 1)), sight, rigs)
    pairs = found.valid.sum(-1) == 2
    assert pairs.float().mean() > 0.9
    both = found.visible[..., 0, :] & found.visible[..., 1, :]
    gap = (found.xy_image[..., 0, :, :] - found.xy_image[..., 1, :, :]).norm(dim=-1)[both & pairs[..., None]]
    assert 0 < float(gap.median()) < 20.0


def test_exchanged_sides_exchange_left_and_right() -> None:
    sight, rigs, _ = _studio(1)
    found = _found(replace(PERFECT, swap_all=(1, 1)), sight, rigs)
    truth = sight.xy_image[:, :, :, COCO_17.mirror]
    torch.testing.assert_close(found.xy_image[found.visible], truth[found.visible])


def test_noise_has_the_size_asked_for() -> None:
    sight, rigs, _ = _studio(2)
    found = _found(replace(PERFECT, noise_mm=(20, 20)), sight, rigs)
    rows = found.identity.clamp(min=0)
    truth = sight.xy_image.gather(2, rows[..., None, None].expand(*rows.shape, 17, 2))
    scale = sight.scale.gather(2, rows)
    error = (found.xy_image - truth).norm(dim=-1) / scale[..., None]
    shoulders = error[..., 5:7][found.visible[..., 5:7]]
    # Rayleigh median of a deviation of 0.85 * 20 mm.
    assert abs(float(shoulders.median()) - 1.177 * 17.0) < 4.0


def test_the_back_person_is_hidden_by_the_front_one_and_a_wall_hides_all() -> None:
    sight, rigs, xyz = _studio(2, apart_mm=400.0)
    nearer = sight.depth.mean(-1).argmin(-1)
    hidden = sight.by_other.float().mean(-1)
    front = hidden.gather(2, nearer[..., None])[..., 0]
    back = hidden.gather(2, 1 - nearer[..., None])[..., 0]
    assert (back.mean() > 0.08) and (front.mean() < 0.3 * back.mean())
    low, high = torch.tensor([[[-3e3, -3e3, 0.0]]]), torch.tensor([[[3e3, 3e3, 2500.0]]])
    wall = Furniture(low.expand(FRAMES, 1, 3), high.expand(FRAMES, 1, 3), torch.ones(FRAMES, 1, dtype=torch.bool))
    assert look(xyz, torch.ones(FRAMES, 2, dtype=torch.bool), rigs, wall).by_thing.all()


def test_a_face_seen_from_behind_is_turned_away() -> None:
    source = _source(3)
    rigs = sample_rooms(source, FRAMES, 4, (STUDIO,)).cameras
    body = sample_people(source, FRAMES, 1, STANDING).xyz_body
    to_first = rigs.centres[:, :1, :2].float()
    for turn, expected in ((0.0, False), (torch.pi, True)):
        facing = torch.atan2(to_first[..., 1], to_first[..., 0]) + turn
        sight = look(
            place_people(body, torch.zeros(FRAMES, 1, 2), facing),
            torch.ones(FRAMES, 1, dtype=torch.bool), rigs, no_furniture(FRAMES),
        )  # fmt: skip
        share = sight.turned_away[:, 0, 0, 0].float().mean()
        assert (share > 0.85) if expected else (share < 0.15)
        assert not sight.turned_away[..., 5:].any()


def test_scores_fall_with_the_error_and_are_one_without_scores() -> None:
    sight, rigs, _ = _studio(2)
    noisy = replace(PERFECT, noise_mm=(25, 25), outliers=(0.3, 0.3), score_level=(1, 1), score_spread=(1, 1))
    found = _found(replace(noisy, binary=(0, 0)), sight, rigs)
    rows = found.identity.clamp(min=0)
    truth = sight.xy_image.gather(2, rows[..., None, None].expand(*rows.shape, 17, 2))
    error = (found.xy_image - truth).norm(dim=-1)[found.visible].float()
    score = found.confidence[found.visible]
    assert float(torch.corrcoef(torch.stack([error.log1p(), score]))[0, 1]) < -0.3
    certain = _found(replace(noisy, binary=(1, 1)), sight, rigs)
    assert (certain.confidence[certain.visible] == 1).all()


@pytest.mark.parametrize("kind", DETECTORS, ids=lambda kind: kind.name)
def test_parameters_are_drawn_inside_their_ranges(kind) -> None:
    model = sample_detectors(_source(5), 200, (kind,), (1.0,))
    names = [name for name in vars(model) if name != "name"]
    assert len(names) == 27
    for name in names:
        (low, high), values = vars(kind)[name], vars(model)[name]
        assert low <= high
        assert (values >= low - 1e-6).all() and (values <= high + 1e-6).all()
