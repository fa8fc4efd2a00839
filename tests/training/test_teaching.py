"""What Stage II is taught with, and that its losses reach Stage I."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from dispose.errors import InputError
from dispose.losses.objective import RELEASED_POSE, Weights, total, weigh
from dispose.models.dispose.model import DisPose, DisPoseConfig
from dispose.nn.heatmaps import Features
from dispose.recipes.synthetic import TOY_SMOKE
from dispose.scene.frame import Frame, ImageBatch, Labels
from dispose.scene.peaks import root_detections
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.tensors import ABSENT
from dispose.training.config import Optimisation
from dispose.training.fit import fit
from dispose.training.frames import FrameSource, RenderedFrames, captures_of_chunk, render_shard
from dispose.training.stages import PoseTask
from dispose.training.teacher_forcing import forced_roots, match_roots, membership, negative_proposals
from dispose_synthetic.renderer.captures import RenderConfig


@pytest.fixture(scope="module")
def bank(tmp_path_factory) -> RenderedFrames:
    path = tmp_path_factory.mktemp("bank") / "images.safetensors"
    render_shard(RenderConfig(size=(128, 96), views=(4, 4), persons=(2, 3), empty=0.0), 5, 3, 0, path)
    return RenderedFrames([path])


def exact_peaks(frame: Frame, labels: Labels) -> Frame:
    """Root peaks where the labels say."""
    root = PANOPTIC_15.index("mid_hip")
    seen = labels.visible[:, :, root]
    score = torch.full(seen.shape, 0.9, dtype=torch.float64)
    return Frame(frame.number, frame.cameras, root_detections(PANOPTIC_15, labels.xy_image[:, :, root], score, seen))


class TruePeaks(DisPose):
    """A model whose root peaks stand where the labels say: an untrained backbone has none."""

    def __init__(self, config: DisPoseConfig, bank: RenderedFrames) -> None:
        super().__init__(config)
        self.known = [bank.copies(row, 0, torch.Generator())[0] for row in range(len(bank))]

    def detect(self, features: Features, batch: ImageBatch, frames: Sequence[Frame]) -> list[Frame]:
        return [exact_peaks(frame, self.known[frame.number][1]) for frame in frames]


def pose_task(bank: RenderedFrames, **changes) -> PoseTask:
    torch.manual_seed(0)
    settings = replace(TOY_SMOKE.training.pose, view_dropout=0.0, **changes)
    return PoseTask(TruePeaks(TOY_SMOKE.training.model, bank), settings)


def two_frames(bank: RenderedFrames):
    """The examples of a step that sees frames 0 and 1."""
    return FrameSource(bank, 0).batch([0, 1], [3, 4]).examples


def stage1_gradient(task: PoseTask, bank: RenderedFrames) -> float:
    """Size of the denoiser's gradient from the losses of Stage II alone."""
    total(weigh(task.terms(two_frames(bank)), Weights(reprojection=1.0, anchor=0.1))).backward()
    return sum(float(p.grad.abs().sum()) for p in task.model.associator.denoiser.parameters() if p.grad is not None)


def test_a_loss_of_stage_2_reaches_stage_1(bank):
    assert stage1_gradient(pose_task(bank, from_stage1=1.0), bank) > 0


def test_as_released_it_does_not(bank):
    assert stage1_gradient(pose_task(bank, from_stage1=0.0), bank) == 0


def test_the_released_objective_can_be_trained_with(bank):
    task = pose_task(bank, objective=RELEASED_POSE)
    terms = task(FrameSource(bank, 0).batch([0, 1], [3, 4]))
    released = {term.name: float(term.value.detach()) for term in terms}
    assert released["mass"] > 0 and released["latent"] > 0
    total([term for term in terms if term.name != "divergence"]).backward()
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in task.parameters())
    # The logarithm of a mass that is nearly 0 is steep: the loss must not drown in it.
    assert any(float(p.grad.abs().sum()) > 0 for p in task.model.associator.denoiser.parameters() if p.grad is not None)


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_an_average_of_the_weights_is_what_is_kept(bank, tmp_path):
    plain, averaged = (pose_task(bank, optimisation=Optimisation(steps=3, batch=1, rate=1e-2, warmup=1)) for _ in "ab")
    for task, folder, decay in ((plain, "plain", 0.0), (averaged, "averaged", 0.9)):
        plan = replace(task.settings.optimisation, checkpoint_every=2, clip=1.0, average=decay)
        fit(task, FrameSource(bank, 0), tmp_path / folder, plan, seed=3, workers=0)
    start = pose_task(bank).model.decoder.state_dict()
    moved = [
        sum(float((value - start[name]).abs().sum()) for name, value in task.model.decoder.state_dict().items())
        for task in (plain, averaged)
    ]
    assert 0 < moved[1] < moved[0]


def test_taught_roots_are_the_labels_where_peaks_are_exact(bank):
    frame, labels = bank.copies(0, 0, torch.Generator())[0]
    detected = exact_peaks(frame, labels)
    identity = match_roots(detected, labels, torch.full((4,), 4.0).double())
    roots = forced_roots(detected, labels, membership(identity, labels.xy_image.shape[1]))
    torch.testing.assert_close(
        roots, labels.poses.xyz_world[:, labels.poses.skeleton.index("mid_hip")], atol=1.0, rtol=0
    )


def test_peaks_far_from_every_label_are_nobody(bank):
    frame, labels = bank.copies(0, 0, torch.Generator())[0]
    detected = exact_peaks(frame, labels)
    moved = replace(detected.detections, xy_image=detected.detections.xy_image + 50.0)
    identity = match_roots(replace(detected, detections=moved), labels, torch.full((4,), 4.0).double())
    assert bool((identity == ABSENT).all())


def test_negative_proposals_stand_apart_from_everybody(bank):
    frame, labels = bank.copies(1, 0, torch.Generator())[0]
    detected = exact_peaks(frame, labels)
    identity = match_roots(detected, labels, torch.full((4,), 4.0).double())
    root = labels.poses.xyz_world[:, labels.poses.skeleton.index("mid_hip")]
    found = [negative_proposals(detected, labels, identity, seed) for seed in range(20)]
    assert any(len(row) for row in found)
    for row in found:
        assert not len(row) or float((root - row).norm(dim=-1).min()) > 250.0


class Broken:
    """A source whose second frame cannot be read."""

    def __init__(self, bank: RenderedFrames) -> None:
        self.bank = bank

    def __len__(self) -> int:
        return len(self.bank)

    def views(self, row: int) -> int:
        return self.bank.views(row)

    def copies(self, row, count, generator):
        if row == 1:
            raise InputError("camera0, frame 1: the image is unreadable.")
        return self.bank.copies(row, count, generator)


def test_a_bad_frame_is_skipped_and_counted(bank, capsys):
    batch = FrameSource(Broken(bank), 0).batch([0, 1, 2], [5, 6, 7])
    assert len(batch.examples) == 2 and len(batch.skipped) == 1
    task = pose_task(bank)
    task(batch)
    assert task.skipped.count == 1
    task.skipped.report()
    said = capsys.readouterr()
    assert "unreadable" in said.out and "unreadable" in said.err


def test_a_step_of_bad_frames_alone_still_steps(bank):
    good, bad = (pose_task(bank)(FrameSource(Broken(bank), 0).batch(rows, [5, 6])) for rows in ([0, 2], [1, 1]))
    # Processes log together: a step without frames has the same terms as any other.
    assert [term.name for term in sorted(good)] == [term.name for term in sorted(bad)]
    assert float(total(bad)) == 0.0


def test_the_bank_gives_back_what_was_drawn(tmp_path):
    config = RenderConfig(size=(64, 48), views=(3, 5), persons=(0, 3), frames_per_rig=1)
    render_shard(config, 2, 4, 0, tmp_path / "a.safetensors")
    bank = RenderedFrames([tmp_path / "a.safetensors"])
    assert len(bank) == 4
    for row, drawn in enumerate(captures_of_chunk(config, 2, 0, 4)):
        kept = bank.captures[row]
        assert bank.views(row) == len(drawn.cameras)
        for name in ("images", "inside", "visible"):
            assert bool((vars(kept)[name] == vars(drawn)[name]).all())
        torch.testing.assert_close(kept.poses.xyz_world, drawn.poses.xyz_world)
        torch.testing.assert_close(kept.cameras.matrix, drawn.cameras.matrix)
