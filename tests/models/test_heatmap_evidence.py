"""Windows of heat maps: bilinear reads of the right map, and steps towards peaks."""

import torch
from torch.nn.functional import grid_sample
from torch.testing import assert_close

from dispose.models.dispose.heatmap_evidence import HeatmapEvidence


def test_windows_are_bilinear_reads_of_the_joints_own_map_in_value_and_gradient():
    random = torch.Generator().manual_seed(0)
    evidence = HeatmapEvidence(8, spacings=(1.0, 2.5), size=5)
    heatmaps = torch.rand(4, 3, 9, 13, generator=random, requires_grad=True)
    map_of = torch.tensor([[0, 1], [2, 3], [1, 0]])
    reference = (torch.rand(3, 2, 3, 2, generator=random) * 1.4 - 0.2).requires_grad_()
    heights = evidence.read(heatmaps, map_of, reference)
    size = torch.tensor([13.0, 9.0])
    places = 2 * (reference[..., None, None, :] + evidence.grid / size) - 1
    own = heatmaps[map_of].flatten(0, 2)[:, None]
    expected = grid_sample(own, places.flatten(0, 2), align_corners=False)[:, 0].view_as(heights)
    assert_close(heights, expected, rtol=1e-4, atol=1e-5)
    cotangent = torch.arange(heights.numel()).view_as(heights).cos()
    ours = torch.autograd.grad((heights * cotangent).sum(), [heatmaps, reference])
    theirs = torch.autograd.grad((expected * cotangent).sum(), [heatmaps, reference])
    for one, other in zip(ours, theirs):
        assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_an_untrained_step_goes_to_a_peak_in_the_window_and_nowhere_on_an_empty_map():
    evidence = HeatmapEvidence(8, spacings=(1.0, 2.5), size=7)
    x, y = torch.arange(24.0), torch.arange(20.0)[:, None]
    peak = torch.exp(-0.5 * ((x - 13) ** 2 + (y - 8) ** 2) / 1.5**2)[None, None]
    reference = (torch.tensor([11.0, 9.0]) + 0.5)[None, None, None] / torch.tensor([24.0, 20.0])
    state = torch.zeros(1, 1, 1, 8)
    step, credit = evidence.step(evidence.read(peak, torch.zeros(1, 1).long(), reference), state)
    # Two windows of three places to go are followed at the start, the third is to stay.
    assert_close(step.flatten().detach(), torch.tensor([2.0, -1.0]) * 2 / 3, rtol=0, atol=0.5)
    assert float(credit.detach()) > 0.5
    step, credit = evidence.step(evidence.read(0 * peak, torch.zeros(1, 1).long(), reference), state)
    assert float(step.detach().abs().max()) < 1e-3 and float(credit.detach()) == 0
