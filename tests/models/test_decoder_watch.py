"""The decoder can be watched: every layer's poses are those it returns, and it looks where the joints stand."""

import pytest
import torch
from torch.testing import assert_close

from dispose.geometry.image_affine import letterbox
from dispose.models.dispose.decoder import Decoder, LayerState, Refined
from dispose.models.dispose.decoder_layer import DecoderConfig
from dispose.nn.heatmaps import Features
from dispose.scene.cameras import Cameras
from dispose.scene.frame import stack_rigs

INPUT = (128, 96)
CONFIG = DecoderConfig(chans=16, feature_chans=8, layers=2, heads=2, points=2, confidence=8, dropout=0.0)
ROOTS = torch.tensor([[300.0, -200.0, 900.0], [-600.0, 500.0, 950.0], [0.0, 900.0, 850.0]], dtype=torch.float64)


def two_cameras() -> Cameras:
    """One looks along +y, one along -x; both stand level."""
    forward = torch.tensor([[0.0, 1, 0], [-1.0, 0, 0]], dtype=torch.float64)
    right = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]], dtype=torch.float64)
    rotation = torch.stack([right, torch.tensor([[0.0, 0, -1]] * 2, dtype=torch.float64), forward], 1)
    centre = torch.tensor([[0.0, -5000, 900], [5000.0, 0, 900]], dtype=torch.float64)
    matrix = torch.tensor([[520.0, 0, 319], [0, 520, 239], [0, 0, 1]], dtype=torch.float64).expand(2, 3, 3)
    size = torch.tensor([[640.0, 480.0]], dtype=torch.float64).expand(2, 2)
    translation = -(rotation @ centre[..., None])[..., 0]
    return Cameras(("a", "b"), size, matrix, torch.zeros(2, 8, dtype=torch.float64), rotation, translation)


@pytest.fixture(scope="module")
def watched() -> tuple[Refined, list[LayerState]]:
    torch.manual_seed(1)
    module = Decoder(CONFIG).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    random = torch.Generator().manual_seed(0)
    shapes = [(15, 24, 32), *((8, 24 // k, 32 // k) for k in (1, 2, 4))]
    features = Features(*(torch.randn(2, *shape, generator=random) for shape in shapes))
    rigs = stack_rigs([two_cameras()])
    given = (features, rigs, letterbox(rigs.size, INPUT), INPUT, ROOTS, torch.zeros(3, dtype=torch.long))
    with torch.no_grad():
        return module(*given), list(module.watch(*given))


def test_what_is_watched_is_what_is_returned(watched) -> None:
    refined, moments = watched
    assert_close(moments[0].xyz_world, refined.prior, rtol=0, atol=0)
    assert_close(torch.stack([m.step.xyz_world for m in moments]), refined.xyz_world, rtol=0, atol=0)
    assert_close(moments[1].xyz_world, moments[0].step.xyz_world, rtol=0, atol=0)


def test_trust_in_the_views_of_a_joint_sums_to_one(watched) -> None:
    _, moments = watched
    for moment in moments:
        total = moment.step.weight.sum(1)
        assert_close(total, moment.step.visible.any(1).to(total.dtype))


def test_samples_lie_about_the_joints_and_their_weights_sum_to_one(watched) -> None:
    _, moments = watched
    for moment in moments:
        gaze = moment.gaze()
        seen, front = two_cameras().project(moment.xyz_world)
        assert gaze.samples.shape[3] == CONFIG.heads * CONFIG.points * 3 and gaze.level.unique().tolist() == [0, 1, 2]
        assert bool(gaze.visible.any()) and bool(front.any())
        assert_close(gaze.xy_image[gaze.visible], seen.transpose(0, 1)[gaze.visible])
        assert_close(gaze.weight.sum(-1), gaze.visible.to(gaze.weight.dtype))
        assert float(gaze.weight.detach().min()) >= 0


def test_without_learned_offsets_the_samples_form_a_compass(watched) -> None:
    _, moments = watched
    moment = moments[0]
    attention = moment.layer.reader
    with torch.no_grad():
        attention.sampling_offsets.weight.zero_()
        attention.sampling_offsets.bias.fill_(1.0)
        gaze = moment.gaze()
    # One pixel of a level at stride 4, 8, 16 of an input that is a fifth of the picture.
    step = gaze.samples - gaze.xy_image[..., None, :]
    wanted = 5.0 * 4.0 * 2.0 ** gaze.level.double()
    assert_close(step[gaze.visible], wanted[:, None].expand(-1, 2).expand(int(gaze.visible.sum()), -1, -1),
                 rtol=1e-4, atol=1e-2)  # fmt: skip
