"""What the pictures of the reverse diffusion contain."""

import numpy as np
import torch
from matplotlib.colors import to_hex

from dispose.association.polytope import feasible_marginals
from dispose.diffusion.samplers import Step
from dispose_viz.hypergraph.trajectory import (
    Trajectory,
    draw_entropies,
    draw_feasibility,
    draw_mass,
    draw_members,
    draw_trajectory,
    owners_of_tuples,
    trajectory_of,
    tuple_name,
)
from dispose_viz.style import new_figure, person_color


def two_of_four() -> Trajectory:
    start, end = np.full(4, 0.5), np.array([0.0, 1.0, 0.0, 1.0])
    mass = np.stack([(1 - s) * start + s * end for s in np.linspace(0, 1, 6)])
    members = np.array([[0, 1, -1], [0, 0, 0], [1, 0, -1], [1, 1, -1]])
    return Trajectory(np.linspace(1, 0, 6), mass, members, np.full(6, 1e-9))


def test_a_recorded_sampler_becomes_arrays_that_are_feasible() -> None:
    members, valid = torch.tensor([[0, 0], [0, -1], [-1, 0]]), torch.ones(2, 1, dtype=torch.bool)
    marginals = feasible_marginals(members, valid)
    together, apart = torch.tensor([1.0, 0, 0, 2]).double(), torch.tensor([0, 1.0, 1, 1]).double()
    steps = [Step(1.0, apart, together), Step(0.5, 0.5 * (apart + together), together)]
    trajectory = trajectory_of(steps, torch.cat([members, torch.tensor([[-1, -1]])]), marginals)
    np.testing.assert_array_equal(trajectory.time, [1.0, 0.5, 0.0])
    np.testing.assert_array_equal(trajectory.members, members)
    np.testing.assert_allclose(trajectory.mass, [[0, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0]])
    assert trajectory.residual.max() == 0.0


def test_entropy_counts_the_choices_left() -> None:
    np.testing.assert_allclose(two_of_four().entropy[[0, -1]], [2.0, 1.0])


def test_a_tuple_belongs_to_the_person_that_it_became() -> None:
    members = two_of_four().members
    assert owners_of_tuples(members, members[[3, 1]], [7, 2]) == [-1, 2, -1, 7]


def test_tuples_are_named_by_their_detections() -> None:
    assert tuple_name([0, -1, 2]) == "0·2"
    assert tuple_name([0, 10, -1]) == "0,10,·"


def test_the_heat_map_puts_the_winners_on_top_in_their_colours() -> None:
    axes = draw_mass(new_figure(6.0, 4.0).add_subplot(), two_of_four(), owners=[-1, 4, -1, 2], rows=3)
    labels = axes.get_yticklabels()
    assert [t.get_text() for t in labels] == ["P4 = 000", "P2 = 11·", "01·"]
    assert [to_hex(t.get_color()).upper() for t in labels[:2]] == [person_color(4), person_color(2)]
    image = np.asarray(axes.images[0].get_array())
    assert image.shape == (3, 6) and image[0, -1] == 1.0


def test_axes_say_what_they_show() -> None:
    figure = draw_trajectory(new_figure(9.0, 5.0), two_of_four())
    assert all(a.get_xlabel() or a.get_ylabel() for a in figure.axes)
    for draw in (draw_feasibility, draw_entropies):
        axes = draw(new_figure(4.0, 3.0).add_subplot(), [two_of_four()])
        assert len(axes.lines) == 1 and len(np.asarray(axes.lines[0].get_xdata())) == 6 and axes.get_ylabel()


def test_members_show_one_box_per_person_and_view(toy) -> None:
    association = toy.prediction.association
    axes = draw_members(
        new_figure(6.0, 3.0).add_subplot(), association.members.numpy(), association.confidence.numpy(),
        [0, 1, 2], toy.frame.cameras.names,
    )  # fmt: skip
    texts = [t.get_text() for t in axes.texts]
    assert len(texts) == 12 and texts.count("unseen") == 1
    boxes = [t.get_bbox_patch() for t in axes.texts if t.get_text() != "unseen"]
    assert {to_hex(b.get_facecolor()).upper() for b in boxes if b} == {person_color(i) for i in range(3)}


def test_nobody_can_be_drawn_too() -> None:
    axes = draw_members(new_figure(4.0, 2.0).add_subplot(), np.zeros((0, 2), dtype=int), np.zeros(0), [], ["a", "b"])
    assert [text.get_text() for text in axes.texts] == ["nobody was found"]
