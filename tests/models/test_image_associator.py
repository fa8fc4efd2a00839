"""Stage I for images: the graph it makes, and what it does not depend on."""

import pytest
import torch

from dispose.models.dispose.model import DisPose
from dispose.recipes.synthetic import TOY_SMOKE
from dispose.scene.frame import Frame, ImageBatch, Images
from dispose.scene.peaks import root_detections
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.tensors import ABSENT
from dispose_synthetic.renderer.captures import RenderConfig, as_input, sample_captures

ROOT = PANOPTIC_15.index("mid_hip")


def captures(count: int, persons: int, views: int = 4):
    config = RenderConfig(size=(128, 96), views=(views, views), persons=(persons, persons), empty=0.0)
    return list(sample_captures(torch.Generator().manual_seed(9), count, config))


def detected(capture, number: int) -> Frame:
    xy, _ = capture.cameras.project(capture.poses.xyz_world[:, ROOT])
    seen = capture.inside[:, :, ROOT]
    detections = root_detections(PANOPTIC_15, xy, torch.full(seen.shape, 0.8).double(), seen)
    return Frame(number, capture.cameras, detections)


@pytest.fixture(scope="module")
def model() -> DisPose:
    torch.manual_seed(0)
    return DisPose(TOY_SMOKE.training.model).eval().requires_grad_(False)


def reordered(frame: Frame, order: list[int]) -> Frame:
    return frame.select(views=order)


def logits(model: DisPose, problem) -> torch.Tensor:
    mass = torch.full_like(problem.graph.cue, 0.2)
    return model.associator.denoiser(problem.graph, mass, torch.tensor([0.5]), torch.tensor([0.7]))


def test_a_frame_alone_is_as_in_a_batch(model):
    shots = captures(3, 2)
    frames = [as_input(shot, number) for number, shot in enumerate(shots)]
    found = [detected(shot, number) for number, shot in enumerate(shots)]
    batch = ImageBatch.of(frames)
    together = model.associator.problems(found, model.see(batch), batch)
    for number, frame in enumerate(frames):
        alone = ImageBatch.of([frame])
        problem = model.associator.problems([found[number]], model.see(alone), alone)[0]
        assert problem is not None and together[number] is not None
        assert torch.equal(problem.members, together[number].members)
        torch.testing.assert_close(logits(model, problem), logits(model, together[number]), atol=1e-4, rtol=1e-4)


def test_cameras_in_another_order_make_the_same_tuples(model):
    shot = captures(1, 3)[0]
    frame, order = as_input(shot), [2, 0, 3, 1]
    batch = ImageBatch.of([frame])
    one = model.associator.problems([detected(shot, 0)], model.see(batch), batch)[0]
    turned = ImageBatch.of([reordered(frame, order)])
    two = model.associator.problems([detected(shot, 0).select(views=order)], model.see(turned), turned)[0]
    first = {tuple(row): value for row, value in zip(one.members[:, order].tolist(), logits(model, one), strict=True)}
    second = {tuple(row): value for row, value in zip(two.members.tolist(), logits(model, two), strict=True)}
    assert first.keys() == second.keys()
    for row, value in first.items():
        torch.testing.assert_close(second[row], value, atol=1e-4, rtol=1e-4)


def test_nobody_and_one_view_are_no_problem(model):
    shot = captures(1, 2)[0]
    frame = as_input(shot)
    batch = ImageBatch.of([frame])
    found = detected(shot, 0)
    for kept in (torch.zeros(4, 1, dtype=torch.bool), torch.arange(4)[:, None] == 2):
        valid = found.detections.valid & kept
        one_view = root_detections(PANOPTIC_15, found.detections.xy_image[:, :, ROOT], valid.double(), valid)
        problem = model.associator.problems([Frame(0, shot.cameras, one_view)], model.see(batch), batch)[0]
        assert problem is None
        assert len(model.associator.weigh(problem, 4).association) == 0


def test_more_than_ten_people(model):
    """Twelve detections in every view: no capacity of ten anywhere."""
    shot = captures(1, 3)[0]
    xy, _ = shot.cameras.project(shot.poses.xyz_world[:, ROOT].repeat(4, 1) + 300.0 * torch.arange(12)[:, None])
    seen = shot.cameras.inside(xy)
    frame = Frame(0, shot.cameras, root_detections(PANOPTIC_15, xy, seen.double(), seen))
    batch = ImageBatch.of([as_input(shot)])
    problem = model.associator.problems([frame], model.see(batch), batch)[0]
    assert problem is not None
    groups = model.associator.weigh(problem, 4).association.members
    for view in range(4):
        taken = groups[:, view][groups[:, view] != ABSENT]
        assert len(taken) == len(taken.unique())


def test_a_view_without_a_picture_says_nothing(model):
    shot = captures(1, 2)[0]
    frame = as_input(shot)
    present = torch.tensor([True, True, False, True])
    noise = frame.require_images().pixels.clone()
    noise[2] = 7.0
    answers = []
    for pixels in (frame.require_images().pixels, noise):
        images = Images(pixels, frame.require_images().input_from_image, present)
        answers.append(model(Frame.of_images(0, frame.cameras, images)))
    torch.testing.assert_close(answers[0].poses.xyz_world, answers[1].poses.xyz_world)
    assert bool((answers[0].association.members[:, 2] == ABSENT).all())
