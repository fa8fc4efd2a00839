"""Rays, ellipsoids and clouds in 3-D: where they are, how large, and what is hidden."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dispose_viz.scene.plotly_scene import new_scene
from dispose_viz.scene.uncertainty import (
    RADIUS_90,
    PlaceClaim,
    claim_of,
    draw_claims,
    draw_cloud,
    draw_cube,
    draw_trusted_rays,
    draw_truth,
    ellipsoid,
    look_closely,
    offer_choice,
)
from dispose_viz.style import PALETTE

CENTRE = torch.tensor([300.0, -200.0, 1100.0], dtype=torch.float64)


def turned(deviations: tuple[float, float, float]) -> torch.Tensor:
    """A covariance with these standard deviations along axes that lie askew."""
    generator = torch.Generator().manual_seed(3)
    axes, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    return axes @ torch.diag(torch.tensor(deviations, dtype=torch.float64) ** 2) @ axes.T


def traces(figure) -> list[Any]:
    return list(figure.data)


def called(figure, name: str) -> Any:
    (trace,) = [trace for trace in traces(figure) if trace.name == name]
    return trace


def places(trace) -> np.ndarray:
    return 1000 * np.stack([trace.x, trace.y, trace.z], -1).astype(float)


def test_an_ellipsoid_holds_nine_of_ten_points_of_its_gaussian() -> None:
    covariance = turned((10.0, 30.0, 200.0))
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(20_000, 3, generator=generator, dtype=torch.float64) @ torch.linalg.cholesky(covariance).T
    distance = torch.einsum("ni,ij,nj->n", drawn, torch.linalg.inv(covariance), drawn).sqrt()
    assert float((distance <= RADIUS_90).double().mean()) == pytest.approx(0.9, abs=0.01)
    corners = torch.from_numpy(ellipsoid(CENTRE, covariance).xyz) - CENTRE
    size = torch.einsum("ni,ij,nj->n", corners, torch.linalg.inv(covariance), corners).sqrt()
    torch.testing.assert_close(size, torch.full_like(size, RADIUS_90))


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_surface_of_an_ellipsoid_is_closed_and_looks_outwards(mirrored: bool) -> None:
    covariance = turned((20.0, 30.0, 60.0))
    if mirrored:
        covariance = torch.diag(torch.tensor([-1.0, 1, 1]).double()) @ covariance @ torch.diag(
            torch.tensor([-1.0, 1, 1]).double()
        )  # fmt: skip
    solid = ellipsoid(torch.zeros(3), covariance)
    a, b, c = (solid.xyz[solid.triangles[:, k]] for k in range(3))
    volume = float((np.cross(b - a, c - a) * a).sum() / 6)
    true = 4 / 3 * math.pi * RADIUS_90**3 * 20 * 30 * 60
    assert 0.93 * true < volume < true


def test_a_claim_is_a_point_and_an_ellipsoid_and_says_how_far_it_reaches() -> None:
    figure = draw_claims(new_scene(), [
        PlaceClaim("rays", CENTRE, turned((10.0, 20.0, 40.0)), 3), PlaceClaim("dlt", CENTRE + 10, None, 0),
        PlaceClaim("lost", CENTRE * torch.nan, None, 1),
    ])  # fmt: skip
    assert [trace.name for trace in traces(figure)] == ["shell of rays", "rays", "dlt"]
    np.testing.assert_allclose(places(called(figure, "rays"))[0], CENTRE, atol=1e-3)
    assert called(figure, "rays").text == ("rays: within 100 mm",)  # 40 mm times 2.5003
    assert called(figure, "dlt").text == ("dlt: does not say how sure",)
    assert called(figure, "shell of rays").color == called(figure, "rays").marker.color == PALETTE[3]
    assert called(figure, "shell of rays").legendgroup == "rays"


def test_rays_pass_through_their_pixels_and_are_as_thick_as_they_are_trusted(toy) -> None:
    cameras, point = toy.frame.cameras, toy.prediction.poses.xyz_world[0, 0]
    xy = cameras.project(point)[0]
    xy[3] = torch.nan
    trust = torch.tensor([1.0, 0.5, 0.0, 1.0])
    figure = draw_trusted_rays(new_scene(), cameras, xy, trust, point, half_mm=400.0)
    rays = [trace for trace in traces(figure) if trace.name.startswith("ray of")]
    assert [trace.name for trace in rays] == ["ray of cam01", "ray of cam02", "ray of cam03"]
    for view, trace in enumerate(rays):
        start, end = places(trace)[:2]
        np.testing.assert_allclose((start + end) / 2, point, atol=0.01)
        assert np.linalg.norm(end - start) == pytest.approx(800.0)
        away = cameras.centres[view].numpy() - point.numpy()
        assert (start - end) @ away == pytest.approx(800 * np.linalg.norm(away), rel=1e-5)
    assert [trace.line.width for trace in rays] == [8.0, 5.0, 2.0]
    assert [trace.line.dash for trace in rays] == ["solid", "solid", "dash"]
    assert rays[1].text == "cam02: trust 0.50"


def test_a_cloud_is_drawn_where_its_surfaces_are_and_no_further() -> None:
    line = torch.linspace(-1000, 1000, 21, dtype=torch.float64)
    xyz = torch.stack(torch.meshgrid(line, line + 500, line, indexing="ij"), -1)
    probability = 7 * torch.exp(-(xyz - torch.tensor([200.0, 500.0, -1000.0])).square().sum(-1) / (2 * 150.0**2))
    figure = draw_cloud(new_scene(), xyz, probability, "cloud", color="#123456", levels=(0.1, 0.4, 0.8))
    trace = called(figure, "cloud")
    assert (trace.isomin, trace.isomax, trace.surface.count) == (0.1, 0.8, 3)
    assert float(trace.value.max()) == 1.0, "shares of the largest"
    reach = math.sqrt(2 * math.log(10)) * 150
    x, z = places(trace)[:, 0], places(trace)[:, 2]
    assert 200 - reach - 200 < x.min() <= 200 - reach and 200 + reach <= x.max() < 200 + reach + 200
    assert z.min() == pytest.approx(-1000), "a cloud may touch the grid's edge"
    assert len(trace.value) == len(trace.x) and {stop[1] for stop in trace.colorscale} == {"#123456"}


def test_a_cube_has_twelve_edges_of_its_side_and_is_turned() -> None:
    edges = places(called(draw_cube(new_scene(), CENTRE, 2000.0, yaw=math.pi / 4), "cube")).reshape(12, 3, 3)
    np.testing.assert_allclose(np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1), 2000.0, rtol=1e-5)
    corners = edges[:, :2].reshape(-1, 3) - CENTRE.numpy()
    assert np.abs(corners[:, 0]).max() == pytest.approx(1000 * math.sqrt(2), rel=1e-5)
    assert np.abs(corners[:, 2]).max() == pytest.approx(1000)


def test_the_truth_has_its_bones_and_a_mark_at_the_joint(toy) -> None:
    poses = toy.prediction.poses.select(persons=[1])
    figure = draw_truth(new_scene(), poses, "l_wrist")
    np.testing.assert_allclose(
        places(called(figure, "true l_wrist"))[0], poses.xyz_world[0, poses.skeleton.index("l_wrist")], atol=1e-2
    )
    assert len(called(figure, "true body").x) == 3 * len(poses.skeleton.bones)


def test_what_is_said_of_a_joint_is_a_claim_and_nowhere_where_it_is_not_known(toy) -> None:
    poses = toy.prediction.poses
    covariance = torch.arange(17.0).double()[:, None, None] * torch.eye(3).double()
    told = replace(poses, covariance=covariance.expand(3, 17, 3, 3), valid=poses.valid.clone())
    told.valid[0, 3] = False
    at = poses.skeleton.index("l_wrist")
    said = claim_of("rays", told, "l_wrist", color=4)
    assert torch.equal(said.xyz_world, poses.xyz_world[0, at]) and said.color == 4
    assert said.covariance is not None and float(said.covariance[0, 0]) == at
    assert bool(claim_of("rays", told, poses.skeleton.joints[3], color=0).xyz_world.isnan().all())
    assert claim_of("dlt", poses, "l_wrist", color=0).covariance is None


def test_a_choice_shows_what_was_drawn_for_it_and_what_was_there_before() -> None:
    figure, firsts = draw_cube(new_scene(), CENTRE, 100.0), []
    for name in ("a", "b"):
        firsts.append(len(traces(figure)))
        draw_claims(figure, [PlaceClaim(name, CENTRE, torch.eye(3), 0)])
    drawn: Any = offer_choice(figure, ["no lie", "a lie"], firsts)
    (menu,) = drawn.layout.updatemenus
    assert [trace.visible for trace in traces(figure)] == [True, True, True, False, False]
    assert [button.label for button in menu.buttons] == ["no lie", "a lie"]
    assert menu.buttons[0].args[0]["visible"] == [True, True, True, False, False]
    assert menu.buttons[1].args[0]["visible"] == [True, False, False, True, True]
    drawn = offer_choice(figure, ["no lie", "a lie"], firsts, chosen=1)
    assert [trace.visible for trace in traces(figure)] == [True, False, False, True, True]
    assert drawn.layout.updatemenus[0].active == 1


def test_one_place_is_looked_at_in_metres() -> None:
    drawn: Any = look_closely(new_scene(), CENTRE, 500.0)
    scene = drawn.layout.scene
    assert scene.aspectmode == "cube"
    assert scene.xaxis.range == pytest.approx((-0.2, 0.8)) and scene.zaxis.range == pytest.approx((0.6, 1.6))
