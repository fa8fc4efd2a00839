"""Training of Learnable Triangulation: its losses, what it draws, whole runs in miniature, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.cli.main import main
from dispose.datasets.layouts.human36m import TRAINING_SUBJECTS
from dispose.datasets.one_person import Person, cut_out
from dispose.errors import InputError
from dispose.geometry.image_affine import apply
from dispose.losses.objective import total
from dispose.models.triangulation.algebraic import Algebraic, AlgebraicConfig
from dispose.models.triangulation.v2v import V2VConfig
from dispose.models.triangulation.volumetric import CubeConfig, Volumetric, VolumetricConfig
from dispose.nn.backbones import BackboneConfig
from dispose.recipes.triangulation import PUBLISHED_VOLUMETRIC, RECIPES, TOY_ALGEBRAIC
from dispose.scene.frame import ImageBatch, Images, Poses, stack_rigs
from dispose.skeletons.catalog import H36M_17, MPII_17
from dispose.training.config import Optimisation, TriangulationTraining
from dispose.training.fit import optimizer_of
from dispose.training.person_crops import PersonBatch, PersonSource
from dispose.training.triangulation import AlgebraicTask, VolumetricTask, heatmap_error, some_views
from dispose.zoo.checkpoints import load_weights
from dispose_synthetic.human36m_rig import human36m_rig
from dispose_synthetic.joint_maps import draw_joint_maps
from tests.datasets.prepared_human36m import prepared_human36m

TINY = BackboneConfig(depth=18, width=8, deconv_chans=8, joints=17)
SETTINGS = TriangulationTraining(Optimisation(steps=10, batch=2, rate=1e-3), views=(2, 4))


def person(generator: torch.Generator, number: int = 0) -> Person:
    """Somebody before the cameras of Human3.6M, in pictures of noise."""
    drawn = draw_joint_maps(generator, [human36m_rig("S9")], torch.zeros(1, dtype=torch.long))
    pictures = torch.randint(0, 255, (4, 1000, 1000, 3), generator=generator, dtype=torch.uint8).numpy()
    known = torch.ones(1, 17, dtype=torch.bool)
    poses = Poses(H36M_17, drawn.xyz_world, known.double(), known, torch.zeros(1, dtype=torch.long))
    return Person(number, human36m_rig("S9"), list(pictures), poses)


def batch_of(generator: torch.Generator, samples: int = 2, views: int = 4) -> PersonBatch:
    """Random small pictures, cut out around real joints."""
    rigs = [human36m_rig("S9").select(views=list(range(views)))] * samples
    drawn = draw_joint_maps(generator, rigs, torch.zeros(samples, dtype=torch.long))
    # Maps of 48 pixels are made from pictures of 192; these are 128.
    affine = drawn.input_from_image * 128 / 192
    pixels = torch.randn(samples, views, 3, 128, 128, generator=generator)
    images = Images(pixels, affine, torch.ones(samples, views, dtype=torch.bool))
    known = torch.ones(samples, 17, dtype=torch.bool)
    return PersonBatch(ImageBatch(stack_rigs(rigs), images), drawn.xyz_world, known, tuple(range(samples)))


def algebraic() -> Algebraic:
    torch.manual_seed(2)
    return Algebraic(AlgebraicConfig(skeleton="h36m_17", input_size=(128, 128), backbone=TINY, head_chans=(8, 8)))


def volumetric(*, shortcut: bool = False) -> Volumetric:
    torch.manual_seed(2)
    cube = CubeConfig(cells=8, network=V2VConfig(3, 8, 0, (8, 8), 0), shortcut=shortcut)
    return Volumetric(VolumetricConfig(skeleton="h36m_17", input_size=(128, 128), backbone=TINY, chans=4, cube=cube))


def test_a_cut_shows_the_whole_person_in_its_middle(generator):
    frame = cut_out(person(generator), (96, 128), margin=1.25)
    images = frame.require_images()
    assert images.pixels.shape == (4, 3, 128, 96)
    xy, _ = frame.cameras.project(person(torch.Generator().manual_seed(20260611)).poses.xyz_world[0])
    inside = apply(images.input_from_image[:, None], xy)
    low, high = inside.amin(1), inside.amax(1)
    torch.testing.assert_close((low + high) / 2, torch.tensor([[47.5, 63.5]], dtype=torch.float64).expand(4, 2))
    # The longer side of the box times the margin is the shorter side of the cut.
    torch.testing.assert_close((high - low).amax(1), torch.full((4,), 96 / 1.25, dtype=torch.float64))
    moved = cut_out(person(generator), (96, 128), margin=1.25, jitter=0.1, seed=4).require_images()
    assert not torch.allclose(moved.input_from_image, images.input_from_image)


def test_people_are_refused_that_the_network_cannot_learn_from(generator):
    one = person(generator)

    class Alone:
        skeleton = H36M_17

        def __len__(self) -> int:
            return 1

        def views(self, row: int) -> int:
            return 4

        def person(self, row: int) -> Person:
            return one

    with pytest.raises(InputError, match="the labels are of h36m_17, the network's joints are mpii_17"):
        PersonSource(Alone(), MPII_17, (128, 128), margin=1.2, jitter=0.0)
    source = PersonSource(Alone(), H36M_17, (128, 128), margin=1.2, jitter=0.0)
    batch = source.batch([0, 0], [1, 2])
    assert batch.xyz_world.shape == (2, 17, 3) and source.groups == [4]
    twice = replace(one.poses, **{k: torch.cat([v, v]) for k, v in vars(one.poses).items() if torch.is_tensor(v)})
    with pytest.raises(InputError, match="frame 0: 2 people where exactly one is expected"):
        cut_out(replace(one, poses=twice), (128, 128), margin=1.2)
    behind = replace(one.poses, xyz_world=one.poses.xyz_world + 1e5)
    with pytest.raises(InputError, match="stands behind one of the cameras"):
        cut_out(replace(one, poses=behind), (128, 128), margin=1.2)


def test_views_are_chosen_by_the_seed_between_the_bounds(generator):
    batch = batch_of(generator)
    batch = replace(batch, seeds=(3, 4))
    counts = set()
    for seed in range(40):
        images = some_views(replace(batch, seeds=(seed, seed + 100)), (1, 3)).images
        counts |= set(images.present.sum(1).tolist())
    assert counts == {1, 2, 3}
    again = [some_views(batch, (1, 3)).images.present for _ in range(2)]
    assert torch.equal(*again)
    gone = replace(
        batch.images, images=replace(batch.images.images, present=torch.tensor([[True, False, False, True]] * 2))
    )
    kept = some_views(replace(batch, images=gone), (2, 4)).images.present
    assert torch.equal(kept, gone.images.present)


def test_algebraic_learning_reaches_every_weight_and_heat_maps_are_drawn_to_the_joints(generator):
    task = AlgebraicTask(algebraic(), replace(SETTINGS, heatmap=10.0))
    batch = batch_of(generator)
    terms = {term.name: term for term in task(batch)}
    assert set(terms) == {"capped", "heatmap"} and terms["heatmap"].weight == 10.0
    total(tuple(terms.values())).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in task.parameters())
    # An error of 0 at the target, more anywhere else.
    found = task.network(batch.images)
    maps = torch.zeros_like(found.heatmaps)
    nothing = heatmap_error(maps, batch.images, batch, 1.5)
    assert float(nothing) > 0
    assert {term.name for term in AlgebraicTask(algebraic(), SETTINGS)(batch)} == {"capped"}


def test_volumetric_learning_puts_cubes_near_the_root_and_forgives_one_view_its_depth(generator):
    task = VolumetricTask(volumetric(), replace(SETTINGS, views=(1, 1), root_noise_mm=60.0))
    batch = batch_of(generator)
    centre, yaw = task.places(batch)
    root = batch.xyz_world[:, H36M_17.index("mid_hip")]
    assert 0 < float((centre - root).norm(dim=-1).max()) < 400
    assert bool((yaw >= 0).all()) and bool((yaw < 2 * torch.pi).all()) and float(yaw[0]) != float(yaw[1])
    torch.testing.assert_close(task.places(batch)[0], centre)
    torch.manual_seed(0)
    terms = {term.name: term for term in task(batch)}
    assert terms["surprise"].weight == 0.01
    # Relative to the root: the root itself has no error.
    assert float(terms["absolute"].value.detach()) < 100
    total(tuple(terms.values())).backward()
    learned = {name: p for name, p in task.named_parameters() if p.requires_grad}
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in learned.values())


def test_published_rates_and_a_frozen_heat_map_layer():
    task = VolumetricTask(volumetric(), PUBLISHED_VOLUMETRIC.training)
    assert not any(p.requires_grad for p in task.network.backbone.heatmaps.parameters())
    assert all(p.requires_grad for p in VolumetricTask(volumetric(shortcut=True), SETTINGS).network.parameters())
    groups = optimizer_of(task, PUBLISHED_VOLUMETRIC.training.optimisation).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert rates[id(task.network.backbone.trunk[0].weight)] == pytest.approx(1e-4)
    assert rates[id(task.network.cube.network.logits.weight)] == pytest.approx(1e-3)
    assert rates[id(task.network.narrowing.weight)] == pytest.approx(1e-3)
    assert len(rates) == sum(p.requires_grad for p in task.parameters())


def test_runs_in_miniature_end_in_weights_that_load(tmp_path: Path, capsys):
    for name, kind in (("toy_algebraic_smoke", Algebraic), ("toy_volumetric_smoke", Volumetric)):
        command = ["train", name, "--out", str(tmp_path / name), "--workers", "1"]
        assert main([*command, "--set", "training.optimisation.steps=3"]) == 0
        weights = tmp_path / name / f"{name.split('_')[1]}.safetensors"
        assert isinstance(load_weights(weights, kind), kind)
    said = capsys.readouterr().out
    assert "toy_volumetric_smoke begins with the backbone in" in said


def test_published_training_says_which_data_it_needs(tmp_path: Path, capsys):
    assert main(["train", "algebraic", "--out", str(tmp_path / "run")]) != 0
    assert "training algebraic needs --data FOLDER: Human3.6M" in capsys.readouterr().err
    assert main(["train", "toy_algebraic", "--out", str(tmp_path / "run"), "--data", str(tmp_path)]) != 0
    assert "toy_algebraic draws its own examples" in capsys.readouterr().err
    assert RECIPES["algebraic"].training.optimisation.batch == 8 and TOY_ALGEBRAIC.shards is not None


@pytest.mark.slow
def test_a_thousand_steps_with_most_views_corrupted_stay_finite():
    """60 % of the pictures are replaced by black, white or another person's noise, at random in every step."""
    generator = torch.Generator().manual_seed(7)
    task = AlgebraicTask(algebraic(), SETTINGS).train()
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-3)
    batches = [batch_of(generator) for _ in range(8)]
    rng = np.random.default_rng(0)
    for step in range(1000):
        batch = replace(batches[step % 8], seeds=tuple(rng.integers(1 << 30, size=2).tolist()))
        pixels = batch.images.images.pixels.clone()
        for sample in range(2):
            for view in range(4):
                if rng.random() < 0.6:
                    pixels[sample, view] = (0.0, 3.0, pixels[1 - sample, view])[rng.integers(3)]
        images = replace(batch.images, images=replace(batch.images.images, pixels=pixels))
        loss = total(task(replace(batch, images=images)))
        assert bool(loss.isfinite()), step
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(bool(p.isfinite().all()) for p in task.parameters())


@pytest.mark.parametrize("name", ["algebraic", "volumetric"])
def test_the_published_recipes_learn_from_human36m_as_it_is_prepared(name, tmp_path: Path):
    prepared_human36m(tmp_path / "h36m", TRAINING_SUBJECTS)
    small = {"depth": 18, "width": 8, "deconv_chans": 8}
    changes = [f"model.backbone.{key}={value}" for key, value in small.items()]
    changes += ["model.input_size=[128,128]", "training.optimisation.steps=2", "training.optimisation.batch=2"]
    if name == "volumetric":
        changes += ["model.cube.cells=32", "model.cube.network.chans=[8,8,8,8,8,8]", "model.chans=4"]
    command = ["train", name, "--data", str(tmp_path / "h36m"), "--out", str(tmp_path / "run"), "--workers", "1"]
    assert main([*command, "--set", *changes]) == 0
    kind = Algebraic if name == "algebraic" else Volumetric
    assert load_weights(tmp_path / "run" / f"{name}.safetensors", kind).skeleton == MPII_17
