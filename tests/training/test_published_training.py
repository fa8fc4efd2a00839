"""The published training on a data set that the tests draw: rules of the labels, beginnings, selection, and no reading
in a step."""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch

from dispose.cli.main import main
from dispose.datasets.layouts.actors import SHELF
from dispose.datasets.layouts.source import FrameKey, Layout
from dispose.datasets.multiview import MultiViewDataset
from dispose.datasets.originals import ORIGINALS
from dispose.errors import InputError
from dispose.formats.pseudo_labels import LabelledFrame, read_pseudo_labels, write_pseudo_labels
from dispose.inference.readings import Source
from dispose.losses.objective import Term
from dispose.models.dispose.model import DisPose
from dispose.nn.backbones import Backbone
from dispose.preparation.labels import LabelSettings
from dispose.preparation.recordings import UnlabelledRecording, prepare
from dispose.recipes import adapt, algebraic_detections, context, diffpose_gmm, diffpose_hypotheses, rays, triangulation
from dispose.recipes.capture import CAPTURE
from dispose.recipes.datasets import DATASETS, beginning_of
from dispose.recipes.orders import TrainingOrder
from dispose.recipes.synthetic import RECIPES, TOY_SMOKE
from dispose.scene.frame import Detections, Frame, Labels
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.systems import SYSTEMS, protocol_names, recipe_names, system_of
from dispose.training.config import NOTHING, Beginning, DatasetRecipe, LabelRules, Optimisation
from dispose.training.fit import Loop, fit
from dispose.training.frames import FrameSource, PseudoLabelled, captures_of_chunk
from dispose.training.runs import train_dataset
from dispose.training.task import Task, TrainingStep
from dispose.zoo.checkpoints import load_weights, save_weights
from dispose.zoo.importing import start_backbone, start_stages
from dispose.zoo.records import override
from dispose_synthetic.renderer.captures import RenderConfig, as_labels

SMALL = TOY_SMOKE.training
SIZE = SMALL.model.input_size
TRAITS = replace(SHELF, input_size=SIZE, image_size=SIZE, skeleton=PANOPTIC_15)
ANKLE = PANOPTIC_15.index("l_ankle")
DRAWN = RenderConfig(size=SIZE, views=(3, 3), persons=(2, 2), empty=0.0, frames_per_rig=6)


class Drawn:
    """A data set of six frames by three cameras: its layout, and a file of pseudo-labels."""

    def __init__(self, folder: Path) -> None:
        captures = captures_of_chunk(DRAWN, 11, 0, 6)
        self.names = tuple(f"camera{view}" for view in range(3))
        self.cameras = replace(captures[0].cameras, names=self.names)
        labelled = []
        for number, capture in enumerate(captures):
            for name, image in zip(self.names, capture.images.numpy(), strict=True):
                cv2.imwrite(str(folder / f"{name}_{number}.png"), image[..., ::-1])
            labelled.append(LabelledFrame("room", number, self.changed(as_labels(capture), number)))
        self.folder, self.file = folder, folder / "labels.npz"
        write_pseudo_labels(self.file, PANOPTIC_15, self.names, labelled)

    @staticmethod
    def changed(labels: Labels, number: int) -> Labels:
        """In frame 1 somebody lies; in frame 2 of somebody 11 joints are known."""
        poses = labels.poses
        xyz, valid = poses.xyz_world.clone(), poses.valid.clone()
        if number == 1:
            xyz[0, ANKLE, 2] = 900.0
        if number == 2:
            valid[0, :4] = False
            xyz[0, :4] = 0.0
        confidence = torch.where(valid, 0.75, 0.0).double()
        return replace(labels, poses=replace(poses, xyz_world=xyz, valid=valid, confidence=confidence))

    def layout(self, *numbers: int) -> Layout:
        """Some of the frames; nobody measured anything."""
        keys = tuple(FrameKey("room", number) for number in numbers)
        return Layout(TRAITS, keys, {"room": self.cameras}, self.path, lambda key: None)

    def path(self, key: FrameKey, camera: str) -> Path:
        return self.folder / f"{camera}_{key.number}.png"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Drawn:
    return Drawn(tmp_path_factory.mktemp("room"))


def frames_of(drawn: Drawn, rules: LabelRules, interval: int = 1) -> PseudoLabelled:
    dataset = MultiViewDataset(drawn.layout(*range(6)), SIZE)
    return PseudoLabelled(dataset, read_pseudo_labels(drawn.file), rules, interval=interval)


def labels_of_step(drawn: Drawn, rules: LabelRules, row: int) -> Labels:
    """What a training step is handed."""
    return FrameSource(frames_of(drawn, rules), 1).batch([row], [5]).examples[-1].labels


def test_people_who_lie_leave_the_labels_by_the_rules_of_mm_or_alone(drawn):
    known = [labels_of_step(drawn, DATASETS[name].rules, 1).poses.valid.any(1).tolist() for name in ("mm_or", "shelf")]
    assert known == [[False, True], [True, True]]


def test_people_with_too_few_joints_are_known_in_the_images_only(drawn):
    labels = labels_of_step(drawn, LabelRules(), 2)
    assert labels.poses.valid.any(1).tolist() == [False, True] and bool(labels.visible[:, 0].any())
    assert labels_of_step(drawn, LabelRules(fewest_joints=11), 2).poses.valid.any(1).tolist() == [True, True]


def test_shelf_and_campus_take_the_confidence_of_the_views(drawn):
    plain = labels_of_step(drawn, DATASETS["panoptic"].rules, 0)
    assert set(plain.poses.confidence.unique().tolist()) <= {0.0, 0.75}
    for name in ("shelf", "campus"):
        labels = labels_of_step(drawn, DATASETS[name].rules, 0)
        seen = labels.visible.sum(0).clamp(min=1)
        mean = torch.where(labels.visible, labels.confidence, 0.0).sum(0) / seen
        torch.testing.assert_close(labels.poses.confidence, torch.where(labels.poses.valid, mean, 0.0))


def test_an_interval_leaves_frames_out(drawn):
    assert [len(frames_of(drawn, LabelRules(), interval)) for interval in (1, 2, 4)] == [6, 3, 2]


class Watched(Task):
    """A task that remembers what it was handed."""

    name = "watched"

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[torch.Tensor] = []

    def forward(self, batch):
        self.seen.append(torch.stack([example.frame.require_images().pixels.sum() for example in batch.examples]))
        return (Term("loss", self.weight.sum()),)


def test_any_number_of_workers_hands_over_the_same(drawn, tmp_path):
    seen = []
    for workers in (0, 1, 3):
        task, plan = Watched(), Optimisation(steps=5, batch=2, rate=1e-3)
        source = FrameSource(frames_of(drawn, LabelRules()), 1)
        times = fit(task, source, tmp_path / str(workers), plan, seed=3, workers=workers)
        assert times.steps == 5 and 0 <= times.share <= 1
        seen.append(torch.stack(task.seen))
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])


OPENED: list[str] = []
WATCHING = [False]
PROGRAM = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[2] / "dispose"))


def notice(event: str, arguments: tuple) -> None:
    """An audit hook, which Python never lets go: it notes what is opened while somebody watches.

    Code is left out: libraries import lazily and look up one another's versions, in a step as well.
    """
    if event == "open" and WATCHING[0] and not str(arguments[0]).startswith(PROGRAM):
        OPENED.append(str(arguments[0]))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_step_reads_no_file(drawn, tmp_path, monkeypatch, workers):
    sys.addaudithook(notice)
    step, count = Loop.training_step, [0]

    def watched_step(self: Loop, batch: TrainingStep, index: int) -> torch.Tensor:
        WATCHING[0], count[0] = True, count[0] + 1
        try:
            return step(self, batch, index)
        finally:
            WATCHING[0] = False

    monkeypatch.setattr(Loop, "training_step", watched_step)
    OPENED.clear()
    recipe = small(steps=3)
    train_dataset(recipe, tmp_path / "run", drawn.layout(0, 1, 2), drawn.file, workers=workers)
    assert count[0] == 2 * 3 and OPENED == []
    # The hook does notice: what a worker does in this process is to read images.
    WATCHING[0] = True
    FrameSource(frames_of(drawn, LabelRules()), 1).batch([0], [1])
    WATCHING[0] = False
    assert any(name.endswith(".png") for name in OPENED)


def small(steps: int, select_every: int = 0) -> DatasetRecipe:
    """A recipe of a minute on the drawn data set."""
    plan = Optimisation(steps=steps, batch=2, rate=1e-3, warmup=1, checkpoint_every=2)
    training = replace(
        SMALL,
        backbone=replace(SMALL.backbone, optimisation=plan, copies=1),
        pose=replace(SMALL.pose, optimisation=replace(plan, select_every=select_every)),
    )
    return DatasetRecipe(training, ("camera0", "camera1", "camera2"))


def test_labels_that_prepare_makes_train_as_they_are(drawn, tmp_path):
    frames = []
    for number, capture in enumerate(captures_of_chunk(DRAWN, 11, 0, 6)):
        truth = as_labels(capture)
        points = torch.cat([truth.xy_image, torch.where(truth.visible, 0.9, 0.0)[..., None]], -1)
        frames.append(Frame(number, drawn.cameras, Detections.from_lists(PANOPTIC_15, [list(one) for one in points])))
    recording = UnlabelledRecording("room", drawn.names, Source.of(frames), LabelSettings())
    made = prepare(tmp_path / "made.npz", [recording], [])
    assert any(len(read_pseudo_labels(made.labels).at("room", number).poses.id) for number in range(6))
    weights = train_dataset(small(steps=1), tmp_path / "run", drawn.layout(0, 1, 2), made.labels, workers=0)
    assert load_weights(weights, DisPose) is not None


def test_the_weights_that_are_best_on_the_validation_frames_are_kept(drawn, tmp_path, monkeypatch):
    scores, looked = iter([10.0, 30.0, 20.0]), list[dict[str, torch.Tensor]]()

    def score(self, model: DisPose) -> float:
        assert set(self._truth) == {0, 1}, "the frames of the validation split, which only pseudo-labels know"
        looked.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(scores)

    monkeypatch.setattr("dispose.training.frames.ValidationFrames.score", score)
    weights = train_dataset(
        small(steps=5, select_every=2), tmp_path, drawn.layout(0, 1, 2), drawn.file,
        validation=drawn.layout(4, 5), workers=0,
    )  # fmt: skip
    kept = load_weights(weights, DisPose).state_dict()
    assert len(looked) == 3, "after steps 2 and 4, and at the end"
    for name, value in looked[1].items():
        torch.testing.assert_close(kept[name], value, rtol=0, atol=0)
    assert any(not torch.equal(looked[2][name], value) for name, value in kept.items())


def test_a_run_with_other_beginnings_is_refused(drawn, tmp_path):
    save_weights(tmp_path / "start.safetensors", DisPose(SMALL.model))
    recipe = replace(small(steps=0), training=replace(small(steps=0).training, pose=small(steps=1).training.pose))
    train_dataset(recipe, tmp_path / "run", drawn.layout(0, 1), drawn.file, workers=0)
    with pytest.raises(InputError, match="run of another recipe"):
        beginning = Beginning(stages=tmp_path / "start.safetensors")
        train_dataset(recipe, tmp_path / "run", drawn.layout(0, 1), drawn.file, beginning=beginning, workers=0)


def test_training_begins_with_our_own_weights(tmp_path, capsys):
    torch.manual_seed(0)
    before, model = DisPose(SMALL.model), DisPose(SMALL.model)
    save_weights(tmp_path / "model.safetensors", before)
    start_backbone(model.backbone, tmp_path / "model.safetensors")
    said = start_stages(model, tmp_path / "model.safetensors")
    assert "tensors from" in said
    for name, value in before.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=0, atol=0)
    other = Backbone(replace(SMALL.model.backbone, deconv_chans=24))
    with pytest.raises(InputError, match="this recipe trains one of"):
        start_backbone(other, tmp_path / "model.safetensors")


def test_a_finished_run_of_panoptic_beside_it_is_what_shelf_begins_with(tmp_path, capsys):
    recipe, order = DATASETS["shelf"], TrainingOrder("shelf", tmp_path / "shelf")
    assert beginning_of(order, recipe) == NOTHING and "begins from nothing" in capsys.readouterr().out
    (tmp_path / "panoptic").mkdir()
    weights = tmp_path / "panoptic" / "dispose.safetensors"
    weights.touch()
    assert beginning_of(order, recipe) == Beginning(backbone=weights, stages=weights)
    assert beginning_of(replace(order, start=Path("mine")), recipe) == Beginning(stages=Path("mine"))
    assert beginning_of(order, DATASETS["panoptic"]) == NOTHING


def test_imagenet_weights_go_into_the_trunk_of_a_run(drawn, tmp_path):
    torch.manual_seed(1)
    trunk = Backbone(SMALL.model.backbone)
    names = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
    state = {}
    for name, value in trunk.trunk.state_dict().items():
        head, _, rest = name.partition(".")
        state[f"{names[head]}.{rest}"] = value
    torch.save(state, tmp_path / "resnet.pth")
    recipe = small(steps=1)
    recipe = replace(recipe, training=replace(recipe.training, backbone=replace(
        recipe.training.backbone, optimisation=replace(recipe.training.backbone.optimisation, steps=0))))  # fmt: skip
    beginning = Beginning(trunk=tmp_path / "resnet.pth")
    train_dataset(recipe, tmp_path / "run", drawn.layout(0, 1), drawn.file, beginning=beginning, workers=0)
    found = load_weights(tmp_path / "run" / "backbone.safetensors", Backbone)
    for name, value in trunk.trunk.state_dict().items():
        torch.testing.assert_close(found.trunk.state_dict()[name], value, rtol=0, atol=0)


def test_cameras_are_named_or_arranged():
    panoptic = ORIGINALS["panoptic"]
    assert panoptic.cameras(()) == ("00_03", "00_06", "00_12", "00_13", "00_23")
    assert panoptic.cameras(("CMU3",)) == ("00_10", "00_12", "00_16", "00_18")
    assert panoptic.cameras(("00_01", "00_02")) == ("00_01", "00_02")
    assert [len(cameras) for cameras in panoptic.arrangements.values()] == [5, 3, 4, 6, 7, 7, 7, 4, 4]


def test_values_of_a_recipe_are_set_by_their_path():
    recipe = DATASETS["shelf"]
    changed = override(
        recipe, ["training.pose.optimisation.steps=7", "interval=3", "warm=null", "training.pose.optimisation.warmup=0"]
    )
    assert changed.training.pose.optimisation.steps == 7 and changed.interval == 3 and changed.warm is None
    assert changed.training.backbone == recipe.training.backbone
    for setting, sentence in (
        ("interval", "is written path.to.field=value"),
        ("training.pose.stepps=7", "PoseTraining has no 'stepps'"),
        ("interval=two", "holds 'two' where int is expected"),
        ("interval.more=2", "int has no 'more'"),
        ("interval=0", "interval is 0; a number from 1"),
        ("training.pose.optimisation.batch=0", "batch is 0; a number from 1"),
        ("training.pose.optimisation.steps=-1", "steps is -1; a number from 0"),
        ("training.pose.optimisation.rate=-0.1", "rate is -0.1; a number from 0"),
        ("training.pose.optimisation.batch=10000000000000", "to 1e\\+09 is expected"),
    ):
        with pytest.raises(InputError, match=sentence):
            override(recipe, [setting])


def test_the_table_of_systems_names_what_there_is():
    modules = (adapt, algebraic_detections, context, diffpose_gmm, diffpose_hypotheses, rays, triangulation)
    others = {name for module in modules for name in module.RECIPES}
    assert set(recipe_names()) == {*RECIPES, *DATASETS, *others, CAPTURE.name}
    assert len(set(recipe_names())) == len(recipe_names()) and "mvor" in protocol_names()
    for system in SYSTEMS:
        parts = system.parts()
        assert parts.network.__name__ and all(issubclass(task, Task) for task in parts.tasks)
        assert system_of(system.recipes[0].names[0]) is system


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_every_data_set_trains_by_its_name_though_protocols_bear_it_too(name, tmp_path, capsys):
    assert main(["train", name, "--out", str(tmp_path)]) == 2
    assert f"training on {name} needs --data FOLDER" in capsys.readouterr().err


def test_synthetic_recipes_refuse_a_data_set(tmp_path):
    order = TrainingOrder("smoke", tmp_path, labels=tmp_path / "labels.npz")
    with pytest.raises(InputError, match="--labels is for training on a data set"):
        order.refuse_data()
