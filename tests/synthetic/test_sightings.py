"""Single people seen by random rigs: every mistake a detector makes is drawn as often and as large as it says."""

from dataclasses import replace

import pytest
import torch

from dispose.skeletons.catalog import BODY_25B, COCO_17, H36M_17, PANOPTIC_15
from dispose_synthetic.people import PeopleConfig, sample_people
from dispose_synthetic.randomness import Noise
from dispose_synthetic.rigs import PERFECT_CALIBRATION
from dispose_synthetic.sightings import SightingConfig, as_captured, sample_sightings
from tests.synthetic.motions import small_motion

CLEAN = SightingConfig(
    views=(3, 3), view_weights=(1.0,), noise_px=(1e-6, 1e-6), noise_mm=(1e-6, 1e-6), outliers=0.0, missing=0.0,
    limb_missing=0.0, legs_hidden=0.0, unseen=0.0, swapped=0.0, stranger=0.0, bias_mm=0.0, border=0.0, blind=1.0,
    calibration=PERFECT_CALIBRATION,
)  # fmt: skip


def draw(config: SightingConfig, people: int = 200, joints: tuple[str, ...] = COCO_17.joints, seed: int = 5):
    source = Noise(torch.Generator().manual_seed(seed))
    return sample_sightings(source, small_motion(20), people, joints, config)


def offsets_px(people) -> torch.Tensor:
    """How far every keypoint lies from its joint's true projection."""
    xy, _ = people.sightings.cameras.project(people.xyz_world)
    return (people.sightings.xy_image - xy).norm(dim=-1)


def test_without_mistakes_keypoints_are_projections():
    people = draw(CLEAN)
    seen = people.sightings.seen
    assert float(offsets_px(people)[seen].max()) < 1e-3 and float(seen.double().mean()) > 0.8
    assert people.sightings.confidence[seen].unique().tolist() == [1.0]
    assert bool((people.sightings.xy_image[~seen] == 0).all())


def test_the_same_seed_draws_the_same_people():
    one, other = draw(SightingConfig(), 16), draw(SightingConfig(), 16)
    assert torch.equal(one.sightings.xy_image, other.sightings.xy_image)
    assert not torch.equal(one.xyz_world, draw(SightingConfig(), 16, seed=6).xyz_world)


def test_noise_is_as_large_as_it_says():
    # 640 pixels wide is the reference: the noise follows the width of the image.
    people = draw(replace(CLEAN, noise_px=(2.0, 2.0)))
    wide = people.sightings.cameras.size[..., :1] / 640
    ratio = (offsets_px(people) / wide)[people.sightings.seen]
    # The median of a Rayleigh distribution is 1.18 sigma.
    assert float(ratio.median()) == pytest.approx(2.0 * 1.18, rel=0.1)


def test_outliers_lie_far_off_and_are_as_many_as_the_share_allows():
    people = draw(replace(CLEAN, outliers=0.4, outlier_px=(50.0, 50.0)), 400)
    wide = people.sightings.cameras.size[..., :1] / 640
    far = (offsets_px(people) / wide)[people.sightings.seen] > 10
    # Six people in ten have outliers, on average half the largest share.
    assert float(far.double().mean()) == pytest.approx(0.6 * 0.2, rel=0.25)


def test_an_exchange_puts_left_on_right():
    people = draw(replace(CLEAN, swapped=1.0), 100)
    xy, _ = people.sightings.cameras.project(people.xyz_world)
    left, right = COCO_17.index("l_wrist"), COCO_17.index("r_wrist")
    seen = people.sightings.seen[..., left]
    off = (people.sightings.xy_image[..., left, :] - xy[..., right, :]).norm(dim=-1)[seen]
    # All of a body in half of the views, the arms (what is not a leg) in a quarter, the legs in the other quarter.
    assert float((off < 1e-2).double().mean()) == pytest.approx(0.75, abs=0.08)


def test_a_stranger_stands_aside_in_one_view_only():
    people = draw(replace(CLEAN, stranger=1.0), 100)
    wrong = ((offsets_px(people) > 3) & people.sightings.seen).any(2).sum(1)
    assert int(wrong.max()) == 1 and float((wrong == 1).double().mean()) > 0.8
    # They stand 0.3 to 1.5 m aside: rays of a whole stranger pass by the person, unless one stands behind the other.
    sightings = people.sightings
    direction, centre = sightings.cameras.directions(sightings.xy_image), sightings.cameras.centres[:, :, None]
    offset = people.xyz_world[:, None] - centre
    gap = (offset - direction * (direction * offset).sum(-1, keepdim=True)).norm(dim=-1)
    passing = torch.where(sightings.seen, gap, torch.nan).nanmedian(2).values.nan_to_num(0.0).amax(1)
    assert float(passing.quantile(0.75)) > 850


def test_hidden_legs_are_seen_by_few_views_and_hips_stay():
    people = draw(replace(CLEAN, legs_hidden=1.0))
    rate = people.sightings.seen.double().mean((0, 1))
    assert float(rate[COCO_17.index("l_ankle")]) < 0.35 < 0.7 < float(rate[COCO_17.index("l_hip")])


def test_scores_fall_with_the_error_unless_the_detector_is_blind():
    people = draw(replace(CLEAN, noise_mm=(5.0, 60.0), blind=0.0), 400)
    seen = people.sightings.seen
    score, error = people.sightings.confidence[seen], offsets_px(people)[seen]
    good, bad = error < error.quantile(0.2), error > error.quantile(0.8)
    assert float(score[good].mean()) > float(score[bad].mean()) + 0.05


def test_strangers_and_exchanged_sides_are_scored_as_errors():
    people = draw(replace(CLEAN, swapped=1.0, blind=0.0), 400)
    honest = draw(replace(CLEAN, blind=0.0), 400)
    left = COCO_17.index("l_ankle")

    def mean(drawn) -> float:
        return float(drawn.sightings.confidence[..., left][drawn.sightings.seen[..., left]].mean())

    assert mean(people) < mean(honest) - 0.02


def test_people_seen_in_a_mirror_have_their_left_on_their_left():
    xyz = draw(replace(CLEAN, procedural=0.0), 200, BODY_25B.joints).xyz_world
    at = BODY_25B.index
    left = xyz[:, at("l_ear")] - xyz[:, at("r_ear")]
    forward = xyz[:, at("nose")] - (xyz[:, at("l_ear")] + xyz[:, at("r_ear")]) / 2
    up = xyz[:, at("head_top")] - xyz[:, at("upper_neck")]
    upright = (torch.linalg.cross(forward, left) * up).sum(-1) > 0
    # What one calls a nose may lie behind what another calls an ear, but rarely; of mirrored people it would for half.
    assert float(upright.double().mean()) > 0.9


def test_procedural_people_know_no_joints_but_those_of_coco_and_their_means():
    people = draw(replace(CLEAN, procedural=1.0), 20, H36M_17.joints)
    known = dict(zip(H36M_17.joints, people.known.all(0).tolist(), strict=True))
    assert known["neck"] and known["mid_hip"] and not known["head_top"]
    everybody = draw(replace(CLEAN, procedural=0.0), 20, PANOPTIC_15.joints)
    assert bool(everybody.known.all())


def test_procedural_people_hold_their_hips_as_far_forward_as_captured_ones():
    """Of people who stand straight: 64 mm before the line from the ankles to the shoulders on CMU's recordings."""
    xyz = sample_people(Noise(torch.Generator().manual_seed(1)), 6000, 1, PeopleConfig()).xyz_body[:, 0]
    far = [hips_before_the_line(some) for some in (xyz, as_captured(xyz))]
    assert float(far[0].median()) < -10 and 35 < float(far[1].median()) < 80


def hips_before_the_line(xyz: torch.Tensor) -> torch.Tensor:
    """How far forward the hips of people who stand straight lie, mm."""
    pairs = {end: [COCO_17.index(f"{side}_{end}") for side in "lr"] for end in ("shoulder", "hip", "knee", "ankle")}
    shoulder, hip, _, ankle = (xyz[:, pair].mean(1) for pair in pairs.values())
    line = torch.nn.functional.normalize(shoulder - ankle, dim=-1)
    left = xyz[:, pairs["hip"][0]] - xyz[:, pairs["hip"][1]]
    forward = torch.nn.functional.normalize(torch.linalg.cross(left, line), dim=-1)
    thigh, shank = xyz[:, pairs["hip"]] - xyz[:, pairs["knee"]], xyz[:, pairs["knee"]] - xyz[:, pairs["ankle"]]
    straight = (torch.cosine_similarity(thigh, shank, dim=-1) > 0.96).all(1)
    straight &= torch.cosine_similarity(shoulder - hip, hip - ankle, dim=-1) > 0.9
    straight &= (xyz[:, pairs["ankle"][0]] - xyz[:, pairs["ankle"][1]]).norm(dim=-1) < 300
    return ((hip - ankle) * forward).sum(-1)[straight]
