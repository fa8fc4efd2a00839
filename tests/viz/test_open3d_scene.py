"""Open3D's pictures: drawn without a screen, compared by structure, and of the same scene as plotly's.

The stored picture is remade by ``python tests/viz/test_open3d_scene.py`` (look at it before it is committed).
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image

from dispose.errors import InputError, MissingBackendError
from dispose_viz.movie import png_of
from dispose_viz.scene import open3d_scene
from dispose_viz.scene.open3d_scene import image_or_figure, render, why_not
from dispose_viz.scene.plotly_scene import draw_stage, look_from, new_scene
from dispose_viz.scene.solids import Viewpoint, approach, image_sheet, overview
from dispose_viz.scene.stage import Stage, reach_of, root_rays, stage_of
from dispose_viz.style import DARK, LIGHT, person_color

STORED = Path(__file__).parent / "stored" / "stage.png"
WIDTH, HEIGHT = 320, 240
Similarity = Callable[[np.ndarray, np.ndarray], float]
MACHINE = ("not installed", "ulkan", "libusb", "libEGL", "libGL", "cannot open shared object")
"""What a sentence of `why_not` says where it is the machine that lacks something, and not our code."""


@pytest.fixture(scope="module")
def drawing() -> None:
    reason = why_not()
    if reason is not None and any(word in reason for word in MACHINE):
        pytest.skip(reason)
    assert reason is None, reason


def stage_to_store(toy) -> Stage:
    picture = np.zeros((72, 128, 3), np.uint8)
    picture[:36], picture[36:] = (90, 90, 90), (200, 200, 200)
    trails = tuple(p.poses for p in toy.later[::-1])
    return stage_of(
        toy.frame, toy.prediction, trails=trails, images=[picture, None, picture, None], rays=root_rays,
        truth=toy.later[-1].poses,
    )  # fmt: skip


def picture_to_store(toy) -> np.ndarray:
    stage = stage_to_store(toy)
    return render(stage, width=WIDTH, height=HEIGHT, viewpoint=viewpoint_to_store(stage))


def viewpoint_to_store(stage: Stage) -> Viewpoint:
    return approach(overview(stage), 0.15)


def mask_of(picture: np.ndarray, person: int) -> np.ndarray:
    """The pixels that have the hue of a person: of all people's hues it is the nearest, and they are not grey."""
    colors = np.array([to_rgb(person_color(p)) for p in range(3)])
    chroma = picture / 255.0 - (picture / 255.0).mean(-1, keepdims=True)
    hues = colors - colors.mean(-1, keepdims=True)
    length = np.linalg.norm(chroma, axis=-1)
    likeness = (chroma / np.maximum(length, 1e-9)[..., None]) @ (hues / np.linalg.norm(hues, axis=-1, keepdims=True)).T
    return (length > 0.12) & (likeness.argmax(-1) == person) & (likeness[..., person] > 0.85)


def overlap(picture: np.ndarray, other: np.ndarray, person: int) -> float:
    """Intersection over union of where a person is in two pictures."""
    one, two = mask_of(picture, person), mask_of(other, person)
    return float((one & two).sum() / max((one | two).sum(), 1))


def likeness(picture: np.ndarray, other: np.ndarray, similarity: Similarity) -> float:
    """The least of what the pictures have in common: structure as a whole, and where every person is."""
    return min(similarity(picture, other), *(overlap(picture, other, person) for person in range(3)))


def only(stage: Stage, rows: list[int]) -> Stage:
    poses = stage.people
    kept = replace(
        poses, xyz_world=poses.xyz_world[rows], confidence=poses.confidence[rows], valid=poses.valid[rows],
        id=poses.id[rows],
    )  # fmt: skip
    return replace(stage, people=kept, rays=tuple(ray for ray in stage.rays if ray.person in rows))


@pytest.mark.usefixtures("drawing")
def test_the_picture_has_the_structure_of_the_stored_one(toy, similarity: Similarity) -> None:
    stored = np.array(Image.open(STORED).convert("RGB"))
    assert likeness(picture_to_store(toy), stored, similarity) > 0.8


@pytest.mark.usefixtures("drawing")
def test_a_missing_or_moved_person_has_another_structure(toy, similarity: Similarity) -> None:
    stored, stage = np.array(Image.open(STORED).convert("RGB")), stage_to_store(toy)
    eye = viewpoint_to_store(stage)
    missing = render(only(stage, [0, 2]), width=WIDTH, height=HEIGHT, viewpoint=eye)
    assert overlap(missing, stored, 1) < 0.2 and overlap(missing, stored, 0) > 0.8
    for person in range(3):
        xyz = stage.people.xyz_world.clone()
        xyz[person] += 300 * torch.from_numpy(eye.axes[1])
        moved = replace(stage, people=replace(stage.people, xyz_world=xyz))
        picture = render(moved, width=WIDTH, height=HEIGHT, viewpoint=eye)
        assert overlap(picture, stored, person) < 0.7 and likeness(picture, stored, similarity) < 0.7


@pytest.mark.usefixtures("drawing")
def test_joints_are_where_the_viewpoint_projects_what_plotly_holds(toy) -> None:
    stage = Stage(toy.prediction.poses)
    eye = overview(stage)
    for row in range(3):
        alone = only(stage, [row])
        picture = render(alone, width=WIDTH, height=HEIGHT, viewpoint=eye)
        traces: tuple[Any, ...] = tuple(draw_stage(new_scene(), alone).data)
        (trace,) = [t for t in traces if t.name == f"P{row}"]
        xyz = np.stack([trace.x, trace.y, trace.z], -1).astype(float) * 1000
        xy, front = eye.project(xyz, WIDTH, HEIGHT)
        colored = mask_of(picture, row)
        assert front.all() and all(colored[y, x] for x, y in np.round(xy).astype(int)), f"person {row}"


@pytest.mark.usefixtures("drawing")
def test_from_straight_above_a_person_stands_where_a_map_has_them(toy) -> None:
    stage = only(Stage(toy.prediction.poses), [0])
    middle = stage.people.xyz_world[0].mean(0).numpy()
    eye = Viewpoint(middle + np.array([-300.0, -200.0, 3000.0]), middle + np.array([-300.0, -200.0, 0.0]))
    colored = mask_of(render(stage, width=WIDTH, height=HEIGHT, viewpoint=eye), 0)
    (y, x), ((u, v),) = np.argwhere(colored).mean(0), eye.project(middle[None], WIDTH, HEIGHT)[0]
    assert np.hypot(x - u, y - v) < 12 and u > WIDTH / 2 + 20 and v < HEIGHT / 2 - 10
    look = look_from(draw_stage(new_scene(), stage), stage, eye).layout.scene.camera.up
    assert (look.x, look.y, look.z) == pytest.approx((0, 1, 0))


@pytest.mark.usefixtures("drawing")
def test_names_at_an_edge_of_the_picture_stay_whole(toy) -> None:
    long = replace(toy.frame.cameras, names=("W" * 60, "b", "c", "d"))
    stage = Stage(only(Stage(toy.prediction.poses), []).people, long)
    start = long.centres[0].numpy()
    eye = Viewpoint(start + np.array([6000.0, -2600.0, 0.0]), start + np.array([0.0, -2600.0, 0.0]))
    nameless = replace(stage, cameras=replace(long, names=("", "", "", "")))
    words = np.abs(
        render(stage, width=WIDTH, height=HEIGHT, viewpoint=eye).astype(int)
        - render(nameless, width=WIDTH, height=HEIGHT, viewpoint=eye)
    ).max(-1) > 40  # fmt: skip
    assert words.any() and not words[:, [0, 1, -2, -1]].any(), "a name is cut"


@pytest.mark.usefixtures("drawing")
def test_a_picture_hangs_upright_in_its_frustum_in_its_own_colours(toy) -> None:
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[:45], picture[45:] = (200, 120, 40), (40, 60, 120)
    stage = Stage(only(Stage(toy.prediction.poses), []).people, toy.frame.cameras.select(views=[0]), (picture,))
    sheet, place = image_sheet(toy.frame.cameras, 0, reach_of(stage), 4, 4)
    middle = sheet.xyz.mean(0)
    eye = Viewpoint(middle + np.array([-900.0, -500.0, 100.0]), middle)
    xy, _ = eye.project(sheet.xyz, WIDTH, HEIGHT)
    drawn = render(stage, width=WIDTH, height=HEIGHT, viewpoint=eye)
    for height, color in ((0.25, (200, 120, 40)), (0.75, (40, 60, 120))):
        (x, y) = np.round(xy[(place == [0.5, height]).all(-1)][0]).astype(int)
        assert np.abs(drawn[y, x].astype(int) - color).max() <= 3


@pytest.mark.usefixtures("drawing")
def test_an_unsure_person_is_paler(toy) -> None:
    stage = only(Stage(toy.prediction.poses), [0])
    unsure = replace(stage, people=replace(stage.people, confidence=stage.people.confidence * 0.3))
    strength = []
    for drawn in (stage, unsure):
        picture = render(drawn, width=WIDTH, height=HEIGHT).astype(float)
        strength.append(np.ptp(picture, axis=-1)[mask_of(picture.astype(np.uint8), 0)].mean())
    assert strength[1] < 0.8 * strength[0]


@pytest.mark.usefixtures("drawing")
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_whatever_is_missing_the_picture_is_drawn_on_the_themes_paper(toy, theme, capfd) -> None:
    poses = toy.prediction.poses
    xyz = poses.xyz_world.clone()
    xyz[0], xyz[1, 3] = torch.nan, torch.inf
    stages = [
        only(Stage(poses), []),
        Stage(replace(poses, xyz_world=xyz, id=torch.tensor([-1, 5, 5]))),
        Stage(poses, toy.frame.cameras.select(views=[1])),
    ]
    for stage in stages:
        picture = render(stage, width=81, height=61, theme=theme)
        assert picture.shape == (61, 81, 3)
        assert np.abs(picture[0, 0] - 255 * np.array(to_rgb(theme.paper))).max() <= 2
    assert capfd.readouterr() == ("", ""), "the renderer's greetings are not for the reader"


def test_a_picture_without_size_is_refused(toy) -> None:
    with pytest.raises(InputError, match="0x40 pixels"):
        render(Stage(toy.prediction.poses), width=0, height=40)


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ("raise ModuleNotFoundError(\"No module named 'open3d'\")", "not installed; `make setup`"),
        ("import os; os.abort()", r"status -6\).*mesa-vulkan-drivers"),
        ("raise RuntimeError('Failed to load vulkan library!')", "Failed to load vulkan library.*libvulkan1"),
    ],
)
def test_why_not_names_what_is_missing_and_survives_a_driver_that_ends_the_process(monkeypatch, probe, said) -> None:
    monkeypatch.setattr(open3d_scene, "PROBE", probe)
    sentence = why_not.__wrapped__()
    assert sentence is not None
    with pytest.raises(MissingBackendError, match=said):
        raise MissingBackendError(sentence)


def test_plotly_draws_where_open3d_cannot_and_says_so(toy, tmp_path) -> None:
    stage = Stage(toy.prediction.poses)
    figure = image_or_figure(stage, tmp_path / "people", reason=lambda: "Open3D is away.")
    assert isinstance(figure, go.Figure) and figure.layout.title.text == "Drawn by plotly. Open3D is away."
    assert figure.layout.meta["name"] == "people" and not list(tmp_path.iterdir())


def test_what_the_notebook_shows_is_what_the_file_holds(toy, monkeypatch, tmp_path) -> None:
    drawn = np.random.default_rng(0).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    monkeypatch.setattr(open3d_scene, "render", lambda *_, **__: drawn)
    shown = image_or_figure(Stage(toy.prediction.poses), tmp_path / "out" / "people", reason=lambda: None)
    np.testing.assert_array_equal(np.array(shown), drawn)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "out" / "people.png")), drawn)


def test_a_window_needs_a_display(toy, monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MissingBackendError, match="no display"):
        open3d_scene.show(Stage(toy.prediction.poses))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    import conftest

    same_toy = conftest.toy.__wrapped__()  # pyright: ignore[reportAttributeAccessIssue]
    STORED.write_bytes(png_of(picture_to_store(same_toy)))
