"""Context-Aware PoseFormer in training: what a step is told, what it learns from, and a whole run in miniature."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.datasets.human36m_choice import FrameChoice
from dispose.datasets.tables.human36m_pickles import read_context_pickle
from dispose.errors import InputError
from dispose.evaluation.context import evaluate_context, exchanged, without_maps
from dispose.models.context.lifter import LifterConfig
from dispose.models.context.network import ContextConfig, ContextNetwork, PyramidConfig, lift_crops
from dispose.nn.hrnet import HRNet, HRNetConfig
from dispose.recipes.context import SHIPPED, SMOKE
from dispose.released.context import ReleasedContext
from dispose.skeletons.catalog import COCO_17
from dispose.training.context import ContextTask, train_context, train_published
from dispose.training.context_examples import (
    BOXES,
    FilmedSource,
    PicturedSource,
    PublishedRecipe,
    film_chunk,
    nobody,
)
from dispose.training.shards import Shards
from dispose.zoo.checkpoints import load_weights, save_weights
from dispose_synthetic.one_view import OneViewConfig
from dispose_synthetic.randomness import Noise
from dispose_synthetic.renderer.filmed_people import FilmConfig, film_people, tell
from tests.datasets.lifting_files import context_entries, pickled, recordings

EXACT = FilmConfig(views=OneViewConfig(exact=1.0, missing=0.0, whole=1.0, faceless=0.0, legs_hidden=0.0))
SEEDS = [11, 12, 13, 14, 15, 16, 17, 18]


@pytest.fixture(scope="module")
def filmed():
    return film_people(Noise(torch.Generator().manual_seed(4)), None, 8, EXACT)


def source():
    return Noise(torch.Generator().manual_seed(9))


def test_people_are_told_of_where_their_pictures_show_them(filmed):
    told = tell(source(), filmed, EXACT)
    # The truth, put before the camera again, is seen where the keypoints are.
    xyz = filmed.cameras.to_camera(filmed.xyz_world.double()[:, None])[:, 0, 0]
    hips = xyz[:, COCO_17.indices(COCO_17.root_of)].mean(1, keepdim=True)
    assert_close(told.crops.people.to_camera(1000 * told.xyz).double(), xyz - hips, atol=0.05, rtol=1e-4)
    inside = told.crops.people.seen
    assert inside.float().mean() > 0.6
    size = torch.tensor(told.crops.size)
    assert ((told.crops.xy_crop >= -2) & (told.crops.xy_crop <= size + 1))[inside].all()


def test_a_picture_shows_its_person_and_not_the_empty_room(filmed):
    """Around the joints pixels change when the person leaves: the drawing is of these joints."""
    away = replace(filmed, xyz_world=filmed.xyz_world + torch.tensor([0.0, 0.0, 9000.0]))
    assert not torch.equal(tell(source(), away, EXACT).crops.xy_crop, tell(source(), filmed, EXACT).crops.xy_crop)
    again = film_people(Noise(torch.Generator().manual_seed(4)), None, 8, EXACT)
    assert torch.equal(again.pixels, filmed.pixels)
    other = film_people(Noise(torch.Generator().manual_seed(5)), None, 8, EXACT)
    assert not torch.equal(other.pixels, filmed.pixels)


def test_half_of_the_people_of_a_step_are_mirrored_with_their_truth_and_some_see_nothing(filmed):
    rows = list(range(8))
    batch = FilmedSource(filmed, EXACT, blind=0.5).batch(rows, SEEDS)
    told = tell(Noise(torch.Generator().manual_seed(SEEDS[0])), filmed, EXACT)
    plain = [row for row in rows if any(torch.equal(told.crops.pixels[row], one) for one in batch.crops.pixels)]
    assert 0 < len(plain) < 8
    mirrored = [row for row in rows if row not in plain]
    assert_close(batch.xyz[: len(plain)], told.xyz[plain])
    expected = told.xyz[mirrored][:, COCO_17.mirror] * torch.tensor([-1.0, 1.0, 1.0])
    assert_close(batch.xyz[len(plain) :], expected)
    assert 0 < int(batch.blind.sum()) < 8
    assert not FilmedSource(filmed, EXACT, blind=0.0).batch(rows, SEEDS).blind.any()


def test_what_is_learned_is_the_mean_distance_of_known_joints_with_the_pictures_of_those_who_see(filmed):
    torch.manual_seed(0)
    network = ContextNetwork(replace(SMOKE.model, lifter=replace(SMOKE.model.lifter, drop_path=0.0)))
    batch = FilmedSource(filmed, EXACT, blind=0.5).batch(list(range(8)), SEEDS)
    known = batch.known & (torch.arange(17) < 5)
    (term,) = ContextTask(network)(replace(batch, known=known))
    maps = network.look(batch.crops.pixels)
    seen = tuple(torch.where(batch.blind[:, None, None, None], 0.0, level) for level in maps)
    far = (network.answer(seen, batch.crops) - batch.xyz).norm(dim=-1)[known]
    assert_close(term.value, far.mean())
    (other,) = ContextTask(network)(replace(batch, known=known, blind=~batch.blind))
    assert abs(float((other.value - term.value).detach())) > 1e-6


def test_controls_take_away_the_picture_and_nothing_else(filmed):
    torch.manual_seed(0)
    network, told = ContextNetwork(SMOKE.model).eval(), tell(source(), filmed, EXACT)
    plain, wrong = lift_crops(network, told.crops), lift_crops(network, exchanged(told).crops)
    assert not torch.allclose(plain, wrong)
    assert_close(exchanged(told).crops.pixels[1], told.crops.pixels[0])
    blind = without_maps(network)
    assert_close(lift_crops(blind, told.crops), lift_crops(blind, exchanged(told).crops))
    assert not torch.allclose(lift_crops(blind, told.crops), plain)
    assert_close(lift_crops(network, told.crops), plain)  # the network itself still sees


def test_every_kind_of_cameras_is_scored_with_both_controls():
    torch.manual_seed(0)
    rows = evaluate_context(ContextNetwork(SMOKE.model).eval(), 3)
    assert len(rows) == 6
    assert {row.detections for row in rows} == {"drawn cameras", "Human3.6M's cameras of S9 and S11"}
    assert all(row.value("mpjpe_mm") > row.value("pa_mpjpe_mm") > 0 for row in rows)


def test_a_run_ends_in_weights_that_say_how_good_they_are_and_resumes(tmp_path: Path):
    path = train_context(SMOKE, tmp_path, None, workers=0)
    before = path.read_bytes()
    assert b"that no step saw: MPJPE" in before
    assert train_context(SMOKE, tmp_path, None, workers=0) == path
    assert path.read_bytes() == before
    with pytest.raises(InputError, match="a run of another recipe"):
        train_context(replace(SMOKE, seed=1), tmp_path, None, workers=0)


def test_chunks_are_a_function_of_seed_and_number(tmp_path: Path):
    few = replace(SMOKE, people_per_chunk=2)
    for number, name in ((0, "a"), (0, "b"), (1, "c")):
        film_chunk(few, None, number, tmp_path / name)
    a, b, c = (Shards([tmp_path / name], nobody(few))[0].pixels for name in "abc")
    assert torch.equal(a, b) and not torch.equal(a, c)


@pytest.fixture
def human36m(tmp_path: Path) -> Path:
    """A little of Human3.6M as Context-Aware PoseFormer prepares it, and a backbone."""
    entries = [entry | {"subject": 1} for entry in context_entries(recordings())[:6]]
    pickled(tmp_path / "h36m_train.pkl", entries)
    (tmp_path / "images").mkdir()
    random = np.random.default_rng(0)
    for entry in entries:
        cv2.imwrite(str(tmp_path / "images" / entry["image"]), random.integers(0, 255, (1000, 1000, 3), dtype=np.uint8))  # pyright: ignore[reportOperatorIssue]
    save_weights(tmp_path / "hrnet.safetensors", HRNet(HRNetConfig(4, 3)))
    return tmp_path


TINY = ContextConfig(
    "h36m_17",
    (32, 64),
    PyramidConfig(hrnet=HRNetConfig(4, 17)),
    LifterConfig(chans=16, context=1, within=1, between=1, heads=2, context_heads=2, points=2),
)
PUBLISHED = PublishedRecipe("tiny", TINY, lift=replace(SMOKE.lift, steps=2, batch=3))


def test_the_published_run_learns_from_pictures_on_maps_that_stay_as_they_were(human36m: Path, tmp_path: Path):
    backbone = human36m / "hrnet.safetensors"
    path = train_published(PUBLISHED, tmp_path / "run", human36m, backbone, workers=0)
    found, given = load_weights(path, ReleasedContext), load_weights(backbone, HRNet)
    for name, value in given.state_dict().items():
        if not name.startswith("heatmaps."):
            assert torch.equal(found.network.pyramid.state_dict()[name], value), name
    with pytest.raises(InputError, match="no boxes named 'any'; there are keypoints, true root"):
        train_published(replace(PUBLISHED, boxes="any"), tmp_path / "other", human36m, backbone)
    with pytest.raises(InputError, match="is HRNet-4; tiny looks at"):
        wide = replace(PUBLISHED, model=replace(TINY, pyramid=PyramidConfig(hrnet=HRNetConfig(8))))
        train_published(wide, tmp_path / "wide", human36m, backbone)


def test_boxes_by_the_true_root_hold_more_than_the_person_and_keypoints_lie_where_the_box_says(human36m: Path):
    pictured = read_context_pickle(human36m / "h36m_train.pkl", FrameChoice("train", ("S1",)))
    rows, seeds = [0, 1], [1, 2]
    near, far = (
        PicturedSource(pictured, human36m / "images", (192, 256), BOXES[name]).batch(rows, seeds)
        for name in ("keypoints", "true root")
    )
    extent = [batch.crops.xy_crop.amax(1) - batch.crops.xy_crop.amin(1) for batch in (near, far)]
    assert (extent[0] > extent[1]).all()
    assert_close(near.xyz, far.xyz)
    root = near.xyz[:, 0]
    assert_close(root, torch.zeros_like(root))


def test_captured_motion_is_asked_for_in_one_sentence(tmp_path: Path):
    with pytest.raises(InputError, match="training context needs --data FOLDER, which holds cmu_motion"):
        train_context(SHIPPED, tmp_path, None)
