"""Laws of the associator that hold for any weights, checked with random ones."""

from dataclasses import replace

import pytest
import torch

from dispose.association.completion import CompletionConfig
from dispose.association.decode import limit_untried
from dispose.association.packing import gather_groups
from dispose.association.pairwise import pair_distances
from dispose.association.polytope import collate
from dispose.association.reconstruct import reconstruct_frame
from dispose.association.viewpoint import viewpoints
from dispose.models.dispose.associator import Associator, AssociatorConfig
from dispose.models.dispose.placement import PlacementConfig
from dispose.models.dispose.sampling import SamplerConfig
from dispose.scene.frame import Detections, Frame
from dispose.scene.results import Association
from dispose.tensors import ABSENT
from dispose_synthetic.scenes import SceneConfig, sample_scenes


@pytest.fixture(scope="module")
def associator():
    torch.manual_seed(0)
    config = AssociatorConfig(placement=PlacementConfig(chans=32, blocks=1), chans=32, layers=2)
    network = Associator(config)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def scenes():
    config = replace(SceneConfig(), views=(4, 4), persons=(2, 5))
    return sample_scenes(torch.Generator().manual_seed(3), 6, config)


@pytest.fixture(scope="module")
def frames(scenes):
    return [frame for frame, _ in scenes]


def truth(labels):
    """The labelled people as an association."""
    rows = []
    for person in labels.poses.id.tolist():
        at = labels.identity == person
        if int(at.any(1).sum()) >= 2:
            rows.append(torch.where(at.any(1), at.to(torch.uint8).argmax(1), ABSENT))
    return Association(torch.stack(rows), torch.ones(len(rows), dtype=torch.float64))


def groups(association, order=None):
    members = association.members
    if order is not None:
        back = torch.empty_like(members)
        back[:, order] = members
        members = back
    return {tuple(row) for row in members.tolist()}


def test_groups_are_disjoint_and_of_several_views(associator, frames):
    for frame in frames:
        members = associator(frame).members
        assert ((members != ABSENT).sum(1) >= 2).all()
        for view in range(members.shape[1]):
            slots = members[:, view][members[:, view] != ABSENT]
            assert len(slots) == len(slots.unique())
            assert frame.detections.valid[view, slots].all()


def test_the_order_of_the_cameras_changes_nothing(associator, frames):
    order = [2, 0, 3, 1]
    for frame in frames:
        straight, shuffled = associator(frame), associator(frame.select(views=order))
        assert groups(straight) == groups(shuffled, order)


def test_a_sample_does_not_depend_on_what_is_packed_with_it(associator, frames):
    problems = [p for p in map(associator.problem, frames) if p is not None]
    packed = collate([p.graph for p in problems])
    generator = torch.Generator().manual_seed(0)
    mass = torch.rand(len(packed.cue), generator=generator)
    time = torch.full((packed.samples,), 0.5)
    together = associator.denoiser(packed, mass, time, time)
    first = 0
    for problem in problems:
        rows = slice(first, first + len(problem.cost))
        alone = associator.denoiser(problem.graph, mass[rows], time[:1], time[:1])
        torch.testing.assert_close(alone, together[rows], rtol=1e-4, atol=1e-5)
        first = rows.stop


def without_people(frame, views):
    found = frame.detections
    valid = found.valid.clone()
    valid[views] = False
    return Frame(frame.number, frame.cameras, replace(found, valid=valid))


@pytest.fixture(scope="module")
def mixed(frames):
    """Frames of other rigs, with fewer views, and two that see nobody or hardly anybody."""
    other = sample_scenes(torch.Generator().manual_seed(8), 2, replace(SceneConfig(), views=(3, 6), persons=(1, 4)))
    nobody = Detections.from_lists(frames[0].detections.skeleton, [[] for _ in frames[0].cameras.names])
    few = [frames[1].select(views=[3, 1]), Frame(7, frames[0].cameras, nobody), without_people(frames[2], [0, 1, 2])]
    return [*frames[:3], *few, *(frame for frame, _ in other), frames[3]]


def test_an_answer_does_not_depend_on_its_batch(associator, mixed):
    together = associator.associate(mixed)
    built = associator.reconstruct(mixed, [found.association for found in together])
    assert [p.number for p in built] == [frame.number for frame in mixed]
    for frame, found, prediction in zip(mixed, together, built, strict=True):
        alone = associator.associate([frame])[0]
        assert torch.equal(found.association.members, alone.association.members)
        torch.testing.assert_close(found.association.confidence, alone.association.confidence, rtol=0, atol=1e-6)
        assert (found.hypotheses is None) == (alone.hypotheses is None)
        if alone.hypotheses is not None:
            assert torch.equal(found.hypotheses.members, alone.hypotheses.members)
            torch.testing.assert_close(found.hypotheses.mass, alone.hypotheses.mass, rtol=0, atol=1e-6)
        single = associator.reconstruct_frame(frame, alone.association)
        assert torch.equal(prediction.poses.valid, single.poses.valid)
        torch.testing.assert_close(prediction.poses.xyz_world, single.poses.xyz_world, rtol=0, atol=1e-6)
        torch.testing.assert_close(prediction.root, single.root, rtol=0, atol=1e-6, equal_nan=True)
    assert sum(len(found.association) for found in together) > 5


def test_a_large_batch_is_computed_in_parts(associator, frames, monkeypatch):
    whole = associator.associate(frames)
    monkeypatch.setattr("dispose.models.dispose.associator.DETECTIONS_AT_ONCE", 20)
    for one, other in zip(whole, associator.associate(frames), strict=True):
        assert torch.equal(one.association.members, other.association.members)


def test_random_starts_of_a_batch_are_those_of_its_frames_one_by_one(associator, frames):
    sampler = SamplerConfig(steps=2, hypotheses=3)
    together = associator.associate(frames[:3], sampler=sampler, generator=torch.Generator().manual_seed(4))
    generator = torch.Generator().manual_seed(4)
    for frame, found in zip(frames, together, strict=False):
        alone = associator.associate([frame], sampler=sampler, generator=generator)[0]
        torch.testing.assert_close(found.hypotheses.mass, alone.hypotheses.mass, rtol=0, atol=1e-6)


def test_every_state_of_the_trajectory_is_feasible(associator, frames):
    problem = associator.problem(frames[0])
    for step in associator.trajectory(problem, SamplerConfig(steps=4)):
        for mass in (step.mass, step.clean):
            carried = torch.zeros_like(problem.graph.marginals.target)
            for bins in problem.graph.marginals.bins.unbind(1):
                carried.index_add_(0, bins, mass.double())
            torch.testing.assert_close(carried, problem.graph.marginals.target, rtol=0, atol=1e-6)


def test_hypotheses_average_to_a_feasible_posterior_and_repeat_with_their_seed(associator, frames):
    problem = associator.problem(frames[1])
    sampler = SamplerConfig(steps=3, hypotheses=4)

    def posterior(seed):
        return associator.posterior(problem, sampler, torch.Generator().manual_seed(seed)).sampled

    torch.testing.assert_close(posterior(1), posterior(1), rtol=0, atol=0)
    carried = torch.zeros_like(problem.graph.marginals.target)
    carried.index_add_(0, problem.graph.marginals.bins[:, 0], posterior(1).double())
    first_view = problem.graph.marginals.bins[:, 0].unique()
    torch.testing.assert_close(carried[first_view], problem.graph.marginals.target[first_view], rtol=0, atol=1e-6)


def test_one_view_with_people_gives_no_groups(associator, frames):
    assert len(associator(without_people(frames[0], [1, 2, 3]))) == 0


def test_an_empty_frame_is_legal(associator, frames):
    frame = frames[0]
    empty = Detections.from_lists(frame.detections.skeleton, [[] for _ in frame.cameras.names])
    association = associator(Frame(0, frame.cameras, empty))
    assert association.members.shape == (0, len(frame.cameras))
    assert len(associator.reconstruct_frame(Frame(0, frame.cameras, empty), association).poses.id) == 0


def test_a_detection_without_joints_is_legal(associator, frames):
    frame = frames[0]
    found = frame.detections
    visible = found.visible.clone()
    visible[0] = False
    blind = replace(found, visible=visible, confidence=torch.where(visible, found.confidence, 0.0))
    assert torch.isfinite(associator(Frame(0, frame.cameras, blind)).confidence).all()


def test_filled_joints_lie_on_their_ray_and_are_marked(associator, scenes):
    """A joint that one view sees keeps that view's keypoint and is uncertain along its ray; others are untouched."""
    filled = 0
    for frame, labels in scenes:
        association = truth(labels)
        anywhere = CompletionConfig(anchors=4, sigma_mm=1e4, spread_mm=1e6)
        plain = reconstruct_frame(frame, association)
        full = associator.reconstruct([frame], [association], completion=anywhere)[0]
        new = full.poses.valid & ~plain.poses.valid
        torch.testing.assert_close(full.poses.xyz_world[plain.poses.valid], plain.poses.xyz_world[plain.poses.valid])
        assert full.poses.covariance is not None and plain.poses.covariance is not None
        groups = gather_groups([frame], [association])
        with torch.no_grad():
            sigma = associator.placement(viewpoints(groups.packed)).offset_sigma.double()
        variance = plain.poses.covariance.diagonal(dim1=-2, dim2=-1).mean(-1)
        xy, _ = frame.cameras.project(full.poses.xyz_world)
        for person, joint in new.nonzero().tolist():
            members = association.members[person]
            views = [v for v, s in enumerate(members.tolist()) if s != ABSENT and frame.detections.visible[v, s, joint]]
            assert len(views) == 1
            seen = frame.detections.xy_image[views[0], members[views[0]], joint]
            torch.testing.assert_close(xy[views[0], person, joint], seen, rtol=0, atol=0.1)
            ray = full.poses.xyz_world[person, joint] - frame.cameras.centres[views[0]]
            along, claimed = ray / ray.norm(), full.poses.covariance[person, joint]
            depth = 2 * sigma[groups.member[person, views[0]], joint]
            torch.testing.assert_close(claimed @ along, depth.square() * along, rtol=1e-6, atol=1e-3)
            across = variance[person][plain.poses.valid[person]].mean()
            torch.testing.assert_close(claimed.trace() - depth.square(), 2 * across, rtol=1e-6, atol=1e-3)
            filled += 1
    assert filled > 0


def test_an_exact_repeat_of_a_detection_changes_nothing(associator, frames):
    frame = frames[1]
    found = frame.detections
    view, slot = (int(i) for i in found.valid.nonzero()[0])
    twice = replace(
        found,
        **{
            name: torch.cat([value, torch.zeros_like(value[:, :1])], dim=1)
            for name, value in vars(found).items()
            if name != "skeleton"
        },
    )
    for name, value in vars(twice).items():
        if name != "skeleton":
            value[view, -1] = value[view, slot]
    repeated = associator(Frame(frame.number, frame.cameras, twice))
    assert groups(repeated) == groups(associator(frame))


def test_what_was_weighed_comes_with_the_same_answer(associator, frames):
    frame = frames[0]
    answer, weighed = associator(frame), associator.associate([frame])[0]
    assert torch.equal(answer.members, weighed.association.members)
    torch.testing.assert_close(answer.confidence, weighed.association.confidence, rtol=0, atol=0)
    problem, hypotheses = associator.problem(frame), weighed.hypotheses
    posterior = associator.posterior(problem)
    assert hypotheses is not None and torch.equal(hypotheses.members, problem.members[:-1])
    torch.testing.assert_close(hypotheses.marginal, posterior.marginal[:-1], rtol=0, atol=0)
    torch.testing.assert_close(hypotheses.mass[-1], posterior.sampled[:-1], rtol=0, atol=0)
    assert hypotheses.time[0] == 1 and hypotheses.time[-1] == 0 and len(hypotheses.time) == len(hypotheses.mass)
    assert associator.associate([without_people(frame, [1, 2, 3])])[0].hypotheses is None


@pytest.fixture(scope="module")
def filmed_by_eight():
    """Frames of eight cameras, the last of which film from another room."""
    config = replace(SceneConfig(), views=(8, 8), persons=(2, 4))
    return [frame for frame, _ in sample_scenes(torch.Generator().manual_seed(5), 3, config)]


def test_many_views_are_decided_in_blocks_whatever_their_order_and_their_batch(associator, filmed_by_eight):
    order = [7, 2, 5, 0, 3, 6, 1, 4]
    together = associator.associate(filmed_by_eight)
    for frame, found in zip(filmed_by_eight, together, strict=True):
        assert len(associator.blocks(frame)) > 1
        members = found.association.members
        assert ((members != ABSENT).sum(1) >= 2).all()
        for view in range(members.shape[1]):
            slots = members[:, view][members[:, view] != ABSENT]
            assert len(slots) == len(slots.unique()) and frame.detections.valid[view, slots].all()
        alone = associator.associate([frame])[0]
        assert torch.equal(members, alone.association.members)
        torch.testing.assert_close(found.association.confidence, alone.association.confidence, rtol=0, atol=1e-6)
        assert groups(found.association) == groups(associator(frame.select(views=order)), order)
        assert found.hypotheses is not None and found.hypotheses.members.shape[1] == 8


def test_views_that_see_nobody_cost_nothing(associator, filmed_by_eight):
    """Of eight cameras four see somebody: they are decided together, in the columns of the frame."""
    frame = without_people(filmed_by_eight[0], [0, 2, 3, 7])
    assert associator.blocks(frame) == [list(range(8))]
    members = associator(frame).members
    assert (members[:, [0, 2, 3, 7]] == ABSENT).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -2e6])
def test_a_keypoint_that_is_no_place_is_not_seen(associator, frames, bad):
    frame = frames[0]
    found = frame.detections
    view, slot, joint = found.visible.nonzero()[4].tolist()
    xy, hidden = found.xy_image.clone(), found.visible.clone()
    xy[view, slot, joint, 1] = bad
    hidden[view, slot, joint] = False
    broken = Frame(0, frame.cameras, replace(found, xy_image=xy))
    clean = Frame(0, frame.cameras, replace(found, visible=hidden))
    answer, expected = associator.associate([broken])[0], associator.associate([clean])[0]
    assert torch.equal(answer.association.members, expected.association.members)
    assert torch.equal(answer.hypotheses.mass, expected.hypotheses.mass)
    assert torch.equal(pair_distances(broken).mm, pair_distances(clean).mm)
    built = associator.reconstruct_frame(broken, answer.association)
    wanted = associator.reconstruct_frame(clean, expected.association)
    assert torch.equal(built.poses.xyz_world, wanted.poses.xyz_world)


def test_single_precision_frames_are_computed_in_double(associator, frames):
    frame = frames[0]
    single = Frame(0, frame.cameras.to(torch.float32), frame.detections.to(torch.float32))
    answer = associator.associate([single])[0].association
    assert groups(answer) == groups(associator(frame))
    assert associator.reconstruct_frame(single, answer).poses.xyz_world.dtype == torch.float64


def test_what_is_seen_from_one_place_is_never_certain(associator, frames):
    """Rays from one place agree wherever the body is: the groups may be right, nothing has tried them."""
    frame = frames[0]
    first = frame.cameras.select(views=[0, 0, 0])
    alike = Frame(0, replace(first, names=("a", "b", "c")), frame.detections.select(views=[0, 0, 0]))
    assert (associator(alike).confidence <= 0.5).all()
    members = torch.tensor([[0, 0, ABSENT], [1, ABSENT, 0], [2, 2, 1]])
    centres = torch.tensor([[0.0, 0, 0], [0, 40.0, 0], [0, 0, 60.0]])
    found = limit_untried(Association(members, torch.tensor([0.9, 0.9, 0.3])), centres)
    assert found.confidence.tolist() == pytest.approx([0.5, 0.9, 0.3])
