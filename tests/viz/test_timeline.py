"""What a viewer with timelines is told: everything once, at its moment, and nobody stays who has left."""

import numpy as np
import pytest

from dispose.scene.results import Results
from dispose.skeletons.catalog import COCO_17
from dispose_viz.scene.timeline import CurveStyle, Eye, Signs, StreamEntry, Strokes, entries_of, slug
from dispose_viz.style import person_color

STEPS = 3


def told(results: Results, **options) -> list[StreamEntry]:
    return list(entries_of(results, **options))


def at(entries: list[StreamEntry], path: str) -> list[StreamEntry]:
    return [entry for entry in entries if entry.path == path]


def test_cameras_and_curves_are_always_there(results, toy) -> None:
    always = [e for e in told(results) if e.frame is None and e.step is None]
    eyes = [e.thing for e in always if isinstance(e.thing, Eye)]
    assert len(eyes) == 4 and eyes[0].size == (1280, 720)
    for view, eye in enumerate(eyes):
        np.testing.assert_allclose(eye.centre, toy.frame.cameras.centres[view] / 1000)
        np.testing.assert_allclose(
            eye.world_from_camera @ toy.frame.cameras.rotation[view].numpy(), np.eye(3), atol=1e-9
        )
    curves = {e.path: e.thing for e in always if isinstance(e.thing, CurveStyle)}
    assert curves["diffusion/mass/P2"] == CurveStyle(person_color(2), "P2") and "diffusion/entropy" in curves
    (heading,) = at(always, "notes")
    assert isinstance(heading.thing, str) and "a note" in heading.thing


def test_people_are_metres_in_their_colours_and_leave_when_they_are_gone(results, toy) -> None:
    people = at(told(results), "world/people")
    assert [e.frame for e in people] == [7, 8, 9]
    first, gone, _ = (e.thing for e in people)
    assert isinstance(first, Strokes) and isinstance(gone, Strokes)
    assert len(first.strokes) == 3 * len(COCO_17.bones) and set(first.colors) == {person_color(i) for i in range(3)}
    assert max(float(np.abs(stroke).max()) for stroke in first.strokes) < 3
    assert gone.strokes == ()
    names = at(told(results), "world/names")[0].thing
    assert isinstance(names, Signs) and names.words == ("P0", "P1", "P2")
    np.testing.assert_allclose(names.places[0], toy.prediction.poses.xyz_world[0, COCO_17.index("l_eye")] / 1000)
    assert [e.frame for e in at(told(results), "world/truth")] == [7]


def test_views_show_detections_with_owners_and_reprojections_in_pixels(results, toy) -> None:
    entries = told(results)
    numbers = at(entries, "world/cameras/cam02/numbers")[0].thing
    assert isinstance(numbers, Signs) and numbers.words == ("P0", "P1", "#2")
    seen = at(entries, "world/cameras/cam01/people")[0].thing
    xy, _ = toy.frame.cameras.project(toy.prediction.poses.xyz_world)
    assert isinstance(seen, Strokes)
    a, b = COCO_17.bone_indices[0]
    np.testing.assert_allclose(seen.strokes[0], xy[0, 0, [a, b]])
    assert [e.frame for e in at(entries, "world/cameras/cam01/detections")] == [7, 8]
    assert not at(entries, "world/cameras/cam01/picture")


def test_pictures_hang_where_there_are_any(results) -> None:
    black = np.zeros((720, 1280, 3), dtype=np.uint8)
    entries = told(results, images_at=lambda number: [black, None, None, None] if number == 7 else [None] * 4)
    hung = [e for e in entries if isinstance(e.thing, np.ndarray) and e.thing.ndim == 3]
    assert [(e.path, e.frame) for e in hung] == [("world/cameras/cam01/picture", 7)]


def test_the_diffusion_has_a_timeline_of_its_own_that_runs_through_all_frames(results) -> None:
    entries = told(results)
    mass = at(entries, "diffusion/mass/P0")[1:]
    assert [(e.step, e.frame) for e in mass] == [(0, None), (1, None), (2, None)]
    values = [e.thing for e in mass if isinstance(e.thing, float)]
    np.testing.assert_allclose(values, [0.5, 0.8, 1.0], rtol=1e-6)
    competitor = at(entries, f"diffusion/mass/{slug('strongest competitor')}")[1:]
    values = [e.thing for e in competitor if isinstance(e.thing, float)]
    np.testing.assert_allclose(values, [0.4, 0.2, 0.0], rtol=1e-6)
    bars = at(entries, "diffusion/bars")
    assert [e.frame for e in bars] == [None, None, 7]
    assert all(isinstance(e.thing, np.ndarray) and e.thing.shape == (4,) for e in bars)
    # The next frames begin where the steps of the first one end.
    assert [e.step for e in at(entries, "world/people")] == [0, STEPS, STEPS + 1]


def test_indecision_is_counted_in_bits_and_the_table_names_the_bars(results) -> None:
    entries = told(results)
    entropy = [e.thing for e in at(entries, "diffusion/entropy") if isinstance(e.thing, float)]
    assert entropy[-1] == pytest.approx(np.log2(3)) and entropy[0] > entropy[-1]
    last = at(entries, "diffusion/tuples")[-1].thing
    assert isinstance(last, str)
    for word in ("frame 7, diffusion time 0.00", "| 0000 | P0 |", "| 2·22 | P2 |", "nobody", "4 of 4 tuples"):
        assert word in last


def test_names_become_parts_of_paths() -> None:
    assert slug("cam 01/left") == "cam_01_left"
