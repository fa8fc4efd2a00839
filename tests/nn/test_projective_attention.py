"""Projective deformable attention: sampling before projecting is the same as projecting before sampling."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import grid_sample
from torch.testing import assert_close

from dispose.nn.projective_attention import REACH, ProjectiveAttention, compass
from dispose_kernels.deformable_attention import deformable_attention


def pyramid(chans: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    return [torch.randn(3, chans, h, w, generator=random) for h, w in ((11, 17), (6, 9), (3, 4))]


def module(inward: int | None) -> ProjectiveAttention:
    torch.manual_seed(0)
    made = ProjectiveAttention(24, heads=4, points=3, inward=inward)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return made


def queries() -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    reference = torch.rand(13, 2, generator=random) * 1.4 - 0.2
    return torch.arange(13) % 3, reference, torch.randn(13, 24, generator=random)


def spelled_out(made: ProjectiveAttention, levels: list[Tensor], map_of: Tensor, reference: Tensor, query: Tensor):
    """The definition: everything is projected first, everywhere."""
    if made.feature_proj is not None:
        levels = [made.feature_proj(level) for level in levels]
    grid = (2 * reference - 1).clamp(-1 - 2 * REACH, 1 + 2 * REACH)
    seen = [grid_sample(level[map_of], grid[:, None, None], align_corners=False)[..., 0, 0] for level in levels]
    states = [one + query for one in seen]
    offsets = torch.stack([made.sampling_offsets(state).view(-1, 4, 3, 2) for state in states], 2)
    weights = torch.stack([made.attention_weights(state).view(-1, 4, 3) for state in states], 2)
    weights = weights.flatten(2).softmax(-1).view_as(weights)
    size = torch.tensor([[level.shape[-1], level.shape[-2]] for level in levels])
    location = reference[:, None, None, None] + offsets / size[:, None]
    values = [made.value_proj(level.movedim(1, -1)).movedim(-1, 1) for level in levels]
    return made.output_proj(deformable_attention(values, map_of, location, weights))


@pytest.mark.parametrize("inward", [None, 10])
def test_it_is_the_definition_in_value_and_gradient(inward):
    made, (map_of, reference, query) = module(inward), queries()
    levels = [level.requires_grad_() for level in pyramid(inward or 24)]
    reference.requires_grad_()
    ours, theirs = made(levels, map_of, reference, query), spelled_out(made, levels, map_of, reference, query)
    assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    wanted = [reference, *levels, *made.parameters()]
    cotangent = torch.arange(ours.numel()).view_as(ours).cos()
    for one, other in zip(
        torch.autograd.grad((ours * cotangent).sum(), wanted), torch.autograd.grad((theirs * cotangent).sum(), wanted)
    ):
        assert_close(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))


def test_no_query_is_a_query_of_zeros_and_nobody_is_nothing():
    made, (map_of, reference, query) = module(10), queries()
    levels = pyramid(10)
    assert_close(made(levels, map_of, reference), made(levels, map_of, reference, 0 * query))
    assert made(levels, map_of[:0], reference[:0]).shape == (0, 24)


def test_half_precision_maps_are_read_at_full_precision_places():
    made, (map_of, reference, query) = module(None), queries()
    exact = made(pyramid(24), map_of, reference, query).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = made([level.bfloat16() for level in pyramid(24)], map_of, reference.double(), query)
    assert float((rough.detach().float() - exact).norm() / exact.norm()) < 0.1


def test_heads_start_by_looking_all_around():
    offsets = compass(8, 3)
    assert_close(offsets.sum(0), torch.zeros(3, 2), atol=1e-5, rtol=0)
    assert_close(offsets.abs().amax(-1), torch.tensor([1.0, 2.0, 3.0]).expand(8, 3))
