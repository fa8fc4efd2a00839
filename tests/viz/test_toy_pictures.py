"""The toy's pictures hold what they were given: names, masses, and corners."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from dispose.association.polytope import every_tuple
from dispose.diffusion.samplers import Step
from dispose.errors import InputError
from dispose_viz.hypergraph.trajectory import trajectories_of
from dispose_viz.polytope import toy
from dispose_viz.style import DARK, LIGHT, lay_out, new_figure
from dispose_workbench.toy import ToyConfig, draw_toy_scene, toy_problem, true_mass


def a_scene(views: int = 2, people: int = 4):
    return draw_toy_scene(ToyConfig(views=views, people=people), torch.Generator().manual_seed(0))


def corner(order: list[int]) -> np.ndarray:
    return np.eye(len(order))[order].ravel()


def straight(scene, *ends: np.ndarray):
    """Paths from the middle to corners, as a packed sampler would record them."""
    problem = toy_problem(scene)
    middle = np.full(len(problem.members), len(scene.person_mm) / len(problem.members))
    states = [np.concatenate([(1 - s) * middle + s * end for end in ends]) for s in (0.0, 0.5, 1.0)]
    steps = [Step(1 - s / 2, torch.from_numpy(states[s]), torch.from_numpy(states[s + 1])) for s in (0, 1)]
    return problem, trajectories_of(steps, problem.members, problem.graph.marginals)


def texts(axes) -> set[str]:
    return {text.get_text() for text in axes.texts}


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_every_sighting_carries_its_name_and_axes_have_units(theme) -> None:
    axes = toy.draw_sightings(new_figure(4, 4, theme=theme).add_subplot(), a_scene(views=3), ToyConfig(views=3))
    assert {f"{view}{slot}" for view in "ABC" for slot in (1, 2, 3, 4)} <= texts(axes)
    assert axes.get_xlabel() == "x (m)" and axes.get_ylabel() == "y (m)"
    (left, right), (low, _) = axes.get_xlim(), axes.get_ylim()
    seen = a_scene(views=3).xy_mm.numpy() / 1000
    assert left < seen[..., 0].min() and seen[..., 0].max() < right and low < seen[..., 1].min()


def test_links_join_what_has_mass_and_wrong_ones_are_dashed() -> None:
    scene = a_scene()
    truth = true_mass(scene).numpy()
    right = toy.draw_links(new_figure(4, 4).add_subplot(), scene, truth).lines
    assert len(right) == 4 and {line.get_linestyle() for line in right} == {"-"}
    wrong = toy.draw_links(new_figure(4, 4).add_subplot(), scene, np.roll(truth.reshape(4, 4), 1, 0).ravel()).lines
    alarm = to_hex(LIGHT.alarm)
    assert [line.get_linestyle() for line in wrong] == ["--"] * 4
    assert {to_hex(str(line.get_color())) for line in wrong} == {alarm}
    assert not toy.draw_links(new_figure(4, 4).add_subplot(), scene, np.zeros(16)).lines


def test_tables_say_every_mass_and_frame_the_truth() -> None:
    scene = a_scene(views=3, people=3)
    mass, box = np.arange(1, 28) / 100, (0.1, 0.1, 0.9, 0.9)
    grid = toy.draw_tensor(new_figure(6, 6), scene, mass, box).axes
    written = [float(text.get_text()) for axes in grid for text in axes.texts]
    assert written == pytest.approx(mass.tolist()) and len(grid) == 3
    assert sum(len(axes.patches) for axes in grid) == 3
    with pytest.raises(InputError, match="4 views"):
        toy.draw_tensor(new_figure(6, 6), a_scene(views=4), np.ones(256), box)


def test_paths_are_split_by_start_and_end_at_the_last_clean_answer() -> None:
    scene = a_scene()
    ends = corner([0, 1, 2, 3]), corner([1, 0, 2, 3])
    _, paths = straight(scene, *ends)
    for path, end in zip(paths, ends, strict=True):
        np.testing.assert_allclose(path.mass[-1], end)
        np.testing.assert_allclose(path.time, [1.0, 0.5, 0.0])
        assert path.residual.max() < 1e-12


def test_a_path_is_called_by_its_corner_and_the_competitor_is_the_wrong_one_most_end_at() -> None:
    scene = a_scene()
    truth, swap, other = corner([0, 1, 2, 3]), corner([1, 0, 2, 3]), corner([3, 2, 1, 0])
    problem, paths = straight(scene, other, swap, truth, swap)
    np.testing.assert_array_equal(toy.competitor_of(paths, truth), swap)
    cut = toy.cut_between(problem, truth, swap, "competitor")
    assert [getattr(toy.corner_of(path, cut), "name", None) for path in paths] == [
        None,
        "competitor",
        "truth",
        "competitor",
    ]
    assert toy.path_to_truth(paths, cut) is paths[2]
    axes = toy.draw_starts(new_figure(4, 4).add_subplot(), cut, paths)
    assert axes.get_title().startswith("1 of 4 ")
    assert sum(line.get_marker() == "X" for line in axes.lines) == 1


@pytest.mark.parametrize(("views", "panels"), [(2, 3), (3, 6)])
def test_a_state_stays_in_its_place_from_picture_to_picture(views: int, panels: int) -> None:
    scene = a_scene(views=views)
    config, truth = ToyConfig(views=views), true_mass(scene).double().numpy()
    people = every_tuple(4, views).numpy()
    swap = np.array([0.0 + truth[(people == [*row[:-1], (row[-1] + 1) % 4]).all(1)][0] for row in people])
    problem, (path,) = straight(scene, truth)
    cut = toy.cut_between(problem, truth, swap, "competitor")
    figures = [toy.draw_state(new_figure(15, 5), scene, config, path, cut, step) for step in range(3)]
    for figure in figures:
        lay_out(figure).draw_without_rendering()  # equal axes take their place when they are drawn
        inside, frame = figure.axes[-1], figure.axes[-1].get_window_extent()
        boxes = {text.get_text(): text.get_window_extent() for text in inside.texts if text.get_text()}
        assert {"truth", "competitor", "middle"} <= set(boxes)
        for name, box in boxes.items():
            assert frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1, name
    places = [[(*a.get_position().bounds, *a.get_xlim(), *a.get_ylim()) for a in figure.axes] for figure in figures]
    assert len(places[0]) == panels and places[0] == places[1] == places[2]
