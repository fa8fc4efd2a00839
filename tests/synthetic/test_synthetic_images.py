"""Laws of synthetic images: what is drawn is where the cameras say, and labels say what can be seen."""

from dataclasses import replace

import cv2
import pytest
import torch
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.images.series import IMAGENET_DEVIATION, IMAGENET_MEAN
from dispose.geometry.pinhole import project_points
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17, PANOPTIC_15
from dispose.tensors import cat
from dispose_synthetic.randomness import Noise
from dispose_synthetic.renderer.backdrop import Backdrop
from dispose_synthetic.renderer.bodies import Builds, Outfits, bodies
from dispose_synthetic.renderer.captures import (
    HIDDEN_CONFIDENCE,
    Cast,
    RenderConfig,
    RenderedFrame,
    Studio,
    as_input,
    as_labels,
    build_studio,
    film,
    sample_captures,
    sample_casts,
    scale_cameras,
)
from dispose_synthetic.renderer.lenses import lenses_of
from dispose_synthetic.renderer.solids import Solids, ellipsoids, round_cones, strike

SMALL = RenderConfig(size=(128, 96), views=(3, 4), persons=(2, 3), empty=0.0, frames_per_rig=2)


def _source(seed: int) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def _captures(seed: int, count: int, config: RenderConfig = SMALL) -> list[RenderedFrame]:
    return list(sample_captures(torch.Generator().manual_seed(seed), count, config))


def _camera(distortion: tuple[float, ...] = (0.0,) * 8, size: tuple[int, int] = (96, 80), views: int = 1) -> Cameras:
    """Cameras at x = -3 m, 1 m above the floor, that look along +X."""
    matrix = torch.tensor([[90.0, 0.0, 46.0], [0.0, 92.0, 41.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    rotation = torch.tensor([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    centre = torch.tensor([-3000.0, 0.0, 1000.0], dtype=torch.float64)
    return Cameras(
        tuple(f"cam{v}" for v in range(views)),
        torch.tensor(size, dtype=torch.float64).expand(views, 2),
        matrix.expand(views, 3, 3),
        torch.tensor(distortion, dtype=torch.float64).expand(views, 8),
        rotation.expand(views, 3, 3),
        -(rotation @ centre).expand(views, 3),
    )


def _cast_of(cast: Cast, persons: list[int]) -> Cast:
    """Some people of a cast, in the order given; one may come twice."""
    return Cast(
        cast.xyz_world[persons],
        Builds(*(value[persons] for value in vars(cast.builds).values())),
        Outfits(*(value[persons] for value in vars(cast.outfits).values())),
    )


def _empty(studio: Studio) -> Studio:
    """The same rig with nothing before the lenses."""
    far = torch.full_like(studio.backdrop.distance, 1e6)
    return replace(studio, backdrop=Backdrop(studio.backdrop.colour, far, studio.backdrop.cell))


def test_a_seed_gives_the_same_captures_and_a_longer_draw_begins_with_the_shorter() -> None:
    short, long = _captures(3, 2), _captures(3, 3)
    for a, b in zip(short, long, strict=False):
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.visible, b.visible)
        assert torch.equal(a.poses.xyz_world, b.poses.xyz_world)
    assert len(long) == 3
    other = _captures(4, 1)[0].images
    assert other.shape != long[0].images.shape or not torch.equal(other, long[0].images)


def test_captures_are_what_the_configuration_asks_for() -> None:
    for capture in _captures(5, 6):
        views, persons = len(capture.cameras), capture.poses.xyz_world.shape[0]
        assert 3 <= views <= 4 and 2 <= persons <= 3
        assert capture.images.shape == (views, 96, 128, 3)
        assert (capture.cameras.size == torch.tensor([128.0, 96.0])).all()
        assert capture.poses.skeleton == PANOPTIC_15
        assert not (capture.visible & ~capture.inside).any()
        spread = capture.images.float().flatten(1).std(1)
        assert (spread > 5).all()  # nothing black, nothing white


def test_nobody_in_the_room_is_a_capture_too() -> None:
    capture = _captures(1, 1, replace(SMALL, persons=(0, 0)))[0]
    assert capture.poses.xyz_world.shape == (0, 15, 3)
    assert capture.visible.shape == (len(capture.cameras), 0, 15)
    labels = as_labels(capture)
    assert labels.xy_image.shape == (len(capture.cameras), 0, 15, 2)
    assert as_input(capture).require_images().pixels.shape[1:] == (3, 96, 128)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": (8, 96)}, "size"),
        ({"views": (5, 3)}, "views"),
        ({"persons": (-1, 3)}, "persons"),
        ({"noise": (0.2, 0.1)}, "noise"),
        ({"blur": (-1.0, 0.1)}, "blur"),
        ({"spacing_mm": 0.0}, "spacing_mm"),
        ({"empty": 1.5}, "empty"),
        ({"frames_per_rig": 0}, "frames_per_rig"),
        ({"rigs": ()}, "rig"),
    ],
)
def test_a_wrong_configuration_is_one_clear_sentence(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        replace(SMALL, **change)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("distortion", [(0.0,) * 8, (-0.25, 0.12, 0.001, -0.002, 0.0, 0.0, 0.0, 0.0)])
def test_a_pixel_s_ray_comes_back_to_the_pixel_by_opencv(distortion: tuple[float, ...]) -> None:
    cameras = _camera(distortion)
    lenses = lenses_of(cameras, (96, 80))
    points = lenses.direction.T.double().numpy() * 2000.0 + cameras.centres[0].numpy()
    rotation, _ = cv2.Rodrigues(cameras.rotation[0].numpy())
    xy, _ = cv2.projectPoints(
        points, rotation, cameras.translation[0].numpy(), cameras.matrix[0].numpy(), cameras.distortion[0].numpy()
    )
    y, x = torch.meshgrid(torch.arange(80.0), torch.arange(96.0), indexing="ij")
    expected = torch.stack([x, y], dim=-1).reshape(-1, 2).double()
    torch.testing.assert_close(torch.from_numpy(xy[:, 0]), expected, atol=0.005, rtol=0)


def test_a_small_ball_is_drawn_where_its_middle_is_projected() -> None:
    cameras = _camera((-0.25, 0.12, 0.001, -0.002, 0.0, 0.0, 0.0, 0.0))
    lenses = lenses_of(cameras, (96, 80))
    centre = torch.tensor([[0.0, 900.0, 1500.0], [100.0, -1100.0, 400.0], [-400.0, 0.0, 1000.0]])
    for middle in centre:
        balls = ellipsoids(middle[None], torch.eye(3)[None], torch.full((1, 3), 130.0))
        found = strike(balls, lenses, torch.full((lenses.pixels,), 1e6))
        drawn = torch.stack([found.pixel % 96, found.pixel // 96], dim=-1).double().mean(0)
        xy, _ = cameras.project(middle.double()[None])
        torch.testing.assert_close(drawn, xy[0, 0], atol=0.35, rtol=0)


def _random_solids(seed: int) -> Solids:
    """Capsules, cones, flat cones and ellipsoids about the middle of the room."""
    source = _source(seed)
    start = source.normal((12, 3)) * 500 + torch.tensor([0.0, 0.0, 1000.0])
    end = start + source.normal((12, 3)) * 250
    radii = (source.uniform((12,)) * 90 + 20, source.uniform((12,)) * 90 + 20)
    cones = round_cones(start, end, radii, source.normal((12, 3)))
    flat = round_cones(start + 200, end + 200, radii, source.normal((12, 3)), flat=0.6)
    axes = torch.linalg.qr(source.normal((5, 3, 3)))[0]
    return cat(
        [cones, flat, ellipsoids(source.normal((5, 3)) * 600, axes, source.uniform((5, 3)) * 200 + 30)], "solids"
    )


def _implicit(solids: Solids, solid: Tensor, points: Tensor) -> Tensor:
    """Signed size of a point's excess over the hull of two spheres: least over spheres along the axis."""
    local = (solids.local_from_world[solid].double() @ (points - solids.base[solid].double())[..., None])[..., 0]
    h, first, second = (p[solid].double() for p in (solids.length, solids.first, solids.second))
    share = torch.linspace(0, 1, 400, dtype=torch.float64)
    middle = torch.zeros(*local.shape[:-1], 400, 3, dtype=torch.float64)
    middle[..., 2] = h[:, None] * share
    radius = first[:, None] + (second - first)[:, None] * share
    return (((local[:, None] - middle).norm(dim=-1) - radius) / first[:, None]).amin(-1)


def test_strikes_lie_on_the_surface_that_a_ray_meets_first() -> None:
    cameras = _camera()
    lenses = lenses_of(cameras, (96, 80))
    solids = _random_solids(0)
    found = strike(solids, lenses, torch.full((lenses.pixels,), 1e6))
    assert len(found.pixel.unique()) == len(found.pixel) > 300
    ray = lenses.direction[:, found.pixel].T.double()
    origin = cameras.centres[0]
    on = _implicit(solids, found.solid, origin + found.distance.double()[:, None] * ray)
    assert on.abs().max() < 0.01
    # Nothing lies before: every solid is left outside on the way.
    for share in (0.9, 0.97, 0.995):
        way = (origin + share * found.distance.double()[:, None] * ray)[::4]
        for solid in range(len(solids)):
            assert (_implicit(solids, torch.full_like(found.solid[::4], solid), way) > -1e-3).all()
    assert (found.normal.double() * ray).sum(-1).max() < 1e-2  # surfaces face the camera
    torch.testing.assert_close(found.normal.norm(dim=-1), torch.ones(len(found.pixel)), atol=1e-5, rtol=0)


def test_outlines_leave_no_pixel_out() -> None:
    """A solid tried in its box alone gives what it gives when the whole image is tried."""
    cameras = _camera((-0.25, 0.12, 0.001, -0.002, 0.0, 0.0, 0.0, 0.0), views=2)
    lenses = lenses_of(cameras, (96, 80))
    solids = _random_solids(1)
    limit = torch.full((lenses.pixels,), 1e6)
    boxed = strike(solids, lenses, limit)
    everywhere = strike(replace(solids, reach=torch.full_like(solids.reach, 1e5)), lenses, limit)
    assert torch.equal(boxed.pixel, everywhere.pixel[everywhere.pixel.argsort()][boxed.pixel.argsort().argsort()])
    assert boxed.pixel.shape == everywhere.pixel.shape


def test_joints_are_drawn_on_the_parts_they_belong_to() -> None:
    config = replace(SMALL, size=(256, 192), persons=(3, 3))
    source = _source(2)
    studio = _empty(build_studio(source, config))
    hits, total = torch.zeros(17), torch.zeros(17)
    for cast in sample_casts(source, studio, 4, config):
        for person in range(3):
            alone = _cast_of(cast, [person])
            solids = bodies(alone.xyz_world, alone.builds)
            found = strike(solids, studio.lenses, studio.backdrop.distance)
            mask = torch.zeros(studio.lenses.pixels, dtype=torch.bool)
            mask[found.pixel] = True
            xy, front = studio.cameras.project(alone.xyz_world[0].double())
            inside = studio.cameras.inside(xy) & front
            nearest = xy.round().long().clamp(min=0).minimum(torch.tensor([255, 191]))
            view = torch.arange(len(studio.cameras))[:, None]
            here = mask[(view * 192 + nearest[..., 1]) * 256 + nearest[..., 0]]
            hits += (here & inside).sum(0)
            total += inside.sum(0)
    assert (total > 20).all()
    share = hits / total
    limbs = COCO_17.indices(tuple(j for j in COCO_17.joints if j not in ("nose", "l_eye", "r_eye", "l_ear", "r_ear")))
    assert (share[limbs] > 0.995).all()
    # The nose is the tip of a nose two pixels wide: rounding to a pixel may miss it.
    assert share[COCO_17.index("nose")] > 0.85


def _two_in_line() -> tuple[Studio, Cast]:
    """Two people one behind the other before the camera, both facing it."""
    config = replace(SMALL, persons=(2, 2), size=(96, 80), views=(1, 1))
    source = _source(6)
    studio = build_studio(source, config)
    cameras = _camera()
    lenses = lenses_of(cameras, (96, 80))
    pixels = lenses.pixels
    backdrop = Backdrop(torch.full((pixels, 3), 0.5), torch.full((pixels,), 1e6), torch.full((pixels,), -1))
    studio = replace(studio, cameras=cameras, lenses=lenses, backdrop=backdrop)
    cast = sample_casts(source, studio, 1, config)[0]
    two = _cast_of(cast, [0, 0])
    xyz = two.xyz_world.clone()
    xyz[:, :, :2] -= xyz[:, 11:13, :2].mean(1, keepdim=True)
    xyz[1, :, 0] += 900.0
    # The one behind is seen at the same angles: they are larger about the camera's height.
    xyz[1, :, 1:] = (xyz[1, :, 1:] - torch.tensor([0.0, 1000.0])) * 1.25 + torch.tensor([0.0, 1000.0])
    return studio, replace(two, xyz_world=xyz)


def test_who_stands_behind_is_hidden_and_the_labels_say_so() -> None:
    studio, cast = _two_in_line()
    capture = film(_source(0), studio, cast)
    inside = capture.inside[0]
    assert inside.all()
    front, behind = capture.visible[0].double().mean(1)
    assert front > 0.5
    assert behind < 0.2
    # The same the other way round: order in the list does not matter.
    swapped = film(_source(0), studio, Cast(cast.xyz_world.flip(0), cast.builds, cast.outfits))
    torch.testing.assert_close(swapped.visible[0].flip(0), capture.visible[0])
    labels = as_labels(capture)
    hidden = capture.inside & ~capture.visible
    assert (labels.confidence[hidden] == HIDDEN_CONFIDENCE).all()
    assert (labels.confidence[capture.visible] == 1).all()


def test_a_wall_before_people_hides_them_and_they_do_not_shine_through() -> None:
    studio, cast = _two_in_line()
    near = Backdrop(studio.backdrop.colour, torch.full((studio.lenses.pixels,), 1500.0), studio.backdrop.cell)
    studio = replace(studio, backdrop=near, sensors=replace(studio.sensors, noise=0 * studio.sensors.noise))
    capture = film(_source(0), studio, cast)
    assert capture.inside.any() and not capture.visible.any()
    assert (capture.images.flatten(0, 2) == capture.images[0, 0, 0]).all()


def test_front_and_back_look_different_and_only_the_front_shows_the_nose() -> None:
    studio, cast = _two_in_line()
    alone = _cast_of(cast, [0])
    studio = replace(studio, sensors=replace(studio.sensors, noise=0 * studio.sensors.noise))
    noses, pictures = [], []
    for sign in (1.0, -1.0):
        turned = replace(alone, xyz_world=alone.xyz_world * torch.tensor([sign, sign, 1.0]))
        capture = film(_source(0), studio, turned)
        noses.append(bool(capture.visible[0, 0, PANOPTIC_15.index("nose")]))
        pictures.append(capture.images[0].float())
    assert sorted(noses) == [False, True]
    # Mirrored left to right the outlines are about alike: it is the face and the clothes that differ.
    assert ((pictures[0] - pictures[1].flip(1)).abs().amax(-1) > 40).sum() > 20


def test_pictures_and_labels_of_training_say_the_same_as_the_capture() -> None:
    capture = _captures(7, 1)[0]
    frame, labels = as_input(capture, 12), as_labels(capture)
    assert frame.number == 12
    mean, deviation = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_DEVIATION)
    back = frame.require_images().pixels.permute(0, 2, 3, 1) * deviation + mean
    torch.testing.assert_close(back * 255, capture.images.float(), atol=1e-3, rtol=0)
    assert frame.require_images().present.all()
    xy = project_points(
        capture.cameras.to_camera(capture.poses.xyz_world),
        capture.cameras.matrix[:, None, None], capture.cameras.distortion[:, None, None],
    )  # fmt: skip
    torch.testing.assert_close(labels.xy_image[capture.inside], xy[capture.inside])
    assert (labels.confidence[~capture.inside] == 0).all()
    assert torch.equal(labels.visible, capture.inside)
    assert (labels.poses.confidence == 1).all() and labels.poses.valid.all()
    assert labels.unmatched.valid.shape == (len(capture.cameras), 0)


def test_scale_cameras_see_the_old_picture_in_the_middle_of_the_new_one() -> None:
    cameras = _camera(size=(96, 80))
    scaled = scale_cameras(cameras, (192, 200))
    corners = torch.tensor([[-0.5, -0.5], [95.5, 79.5]], dtype=torch.float64)
    points = cameras.centres[:, None] + 1000 * cameras.directions(corners[None])
    xy, _ = scaled.project(points[0])
    expected = torch.tensor([[-0.5, 19.5], [191.5, 179.5]], dtype=torch.float64)
    torch.testing.assert_close(xy[0], expected, atol=1e-6, rtol=0)
