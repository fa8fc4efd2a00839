"""Simulated heat maps of one person before real cameras: where peaks stand, what is wrong, which rig it is."""

import pytest
import torch

from dispose.errors import InputError
from dispose.geometry.image_affine import apply, map_from_input
from dispose.skeletons.catalog import H36M_17
from dispose_synthetic.human36m_rig import NAMES, POSES, human36m_rig
from dispose_synthetic.joint_maps import STRIDE, JointMapConfig, JointMaps, draw_joint_maps, looked_at

SHARP = JointMapConfig(noise_px=0.0, height=(1.0, 1.0), sharp=(1.5, 1.5), clutter=0.0)


def drawn_with(wrong: int, config: JointMapConfig = SHARP, samples: int = 6) -> JointMaps:
    generator = torch.Generator().manual_seed(4)
    return draw_joint_maps(generator, [human36m_rig("S9")] * samples, torch.full((samples,), wrong), config)


def places(drawn: JointMaps) -> torch.Tensor:
    """Where the joints are in the maps."""
    xy, _ = drawn.cameras.project(drawn.xyz_world)
    return map_from_input(apply(drawn.input_from_image[:, :, None], xy), STRIDE)


def peaks(drawn: JointMaps) -> torch.Tensor:
    index = drawn.maps.flatten(-2).argmax(-1)
    return torch.stack([index % drawn.maps.shape[-1], index // drawn.maps.shape[-1]], -1).double()


def test_well_seen_joints_peak_where_they_are():
    drawn = drawn_with(0)
    assert not bool(drawn.wrong.any())
    assert float((peaks(drawn) - places(drawn)).abs().max()) <= 0.5 + 1e-6


def test_a_whole_person_is_in_every_map():
    drawn = drawn_with(0, JointMapConfig(size=(40, 56)))
    assert drawn.maps.shape == (6, 4, 17, 56, 40)
    assert bool((places(drawn) > 0).all()) and bool((places(drawn) < torch.tensor([39.0, 55.0])).all())


@pytest.mark.parametrize("wrong", [1, 2, 3])
def test_so_many_views_are_wrong_about_every_joint(wrong):
    drawn = drawn_with(wrong)
    assert bool((drawn.wrong.sum(1) == wrong).all())
    off = (peaks(drawn) - places(drawn)).norm(dim=-1)
    assert float(off[~drawn.wrong].max()) < 1
    # Some lie on the mirror joint, which may be near; most do not.
    assert float((off[drawn.wrong] > 1.5).double().mean()) > 0.8


def test_swapped_joints_peak_on_the_other_side_and_midline_joints_never_do():
    drawn = drawn_with(2, JointMapConfig(**{**vars(SHARP), "swapped": 1.0}))
    other = places(drawn)[:, :, H36M_17.mirror]
    sided = torch.tensor(H36M_17.mirror) != torch.arange(17)
    swapped = drawn.wrong & sided
    assert float((peaks(drawn) - other).norm(dim=-1)[swapped].max()) < 1
    assert float((peaks(drawn) - places(drawn)).norm(dim=-1)[drawn.wrong & ~sided].mean()) > 2


def test_the_rig_is_the_recorded_one():
    rig = human36m_rig("S9")
    assert rig.names == NAMES and len(POSES) == 7
    eye = torch.eye(3, dtype=torch.float64).expand(4, 3, 3)
    torch.testing.assert_close(rig.rotation @ rig.rotation.mT, eye)
    # The corners of a room of about 6 x 10 m, all looking at its middle.
    assert float((rig.centres[:, :2] - looked_at(rig)).norm(dim=-1).max()) < 6500
    assert float(rig.centres[:, 2].min()) > 1300 and float(rig.centres[:, 2].max()) < 1800
    with pytest.raises(InputError, match=r"no calibration of the subject 'S2' of Human3\.6M; known: S1, S5"):
        human36m_rig("S2")


def test_the_rig_agrees_with_the_table_of_the_real_data(shared_data):
    import json

    views = {one["name"]: one for one in json.loads((shared_data / "rigs" / "h36m.json").read_text())["views"]}
    for subject in POSES:
        rig = human36m_rig(subject)
        for view, name in enumerate(NAMES):
            told = views[f"{subject}_{name}"]
            centre = torch.tensor(told["C"], dtype=torch.float64)
            torch.testing.assert_close(rig.centres[view], centre, rtol=0, atol=1e-3)
            torch.testing.assert_close(
                rig.matrix[view], torch.tensor(told["K"], dtype=torch.float64), rtol=0, atol=1e-4
            )
            torch.testing.assert_close(
                rig.distortion[view], torch.tensor(told["dist"], dtype=torch.float64), rtol=0, atol=1e-7
            )
