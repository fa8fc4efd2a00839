"""Laws of deformable attention: every backend equals the definition in values and gradients, and grid_sample."""

import pytest
import torch
from torch.nn import functional

from dispose_kernels.deformable_attention import deformable_backend
from dispose_kernels.deformable_attention.native import dots, sum_rows, sum_rows_in_pieces, table_gradient
from dispose_kernels.errors import BackendError, OperandError

BACKENDS = ["native", "reference"]
# queries, heads, chans, (width, height) of the levels, maps, points
SIZES = [
    (7, 2, 6, [(9, 5), (5, 3), (2, 2)], 3, 4),
    (1, 1, 1, [(1, 1)], 1, 1),
    (5, 4, 8, [(13, 4)], 2, 3),
    (3, 8, 24, [(4, 11), (1, 6)], 5, 8),
    (0, 2, 4, [(3, 3)], 2, 2),
    (0, 2, 4, [(3, 3), (2, 1)], 0, 2),
]


def operands(queries, heads, chans, sizes, maps, points, dtype=torch.float64):
    """Random maps, and locations of which many lie outside."""
    random = torch.Generator().manual_seed(queries + heads)
    levels = [torch.randn(maps, chans, h, w, generator=random, dtype=dtype).requires_grad_() for w, h in sizes]
    map_of = torch.randint(0, max(maps, 1), (queries,), generator=random)
    location = torch.rand(queries, heads, len(sizes), points, 2, generator=random, dtype=dtype) * 1.8 - 0.4
    weight = torch.randn(queries, heads, len(sizes), points, generator=random, dtype=dtype)
    return levels, map_of, location.requires_grad_(), weight.requires_grad_()


def values_and_gradients(name, levels, map_of, location, weight):
    backend = deformable_backend(name)
    out = backend.attention(levels, map_of, location, weight)
    every, coverage = backend.gather(levels, map_of, location, weight)
    loss = out.sin().sum() + (every * torch.linspace(-1, 2, every.shape[-1])).sum() + coverage.square().sum()
    return [out, every, coverage, *torch.autograd.grad(loss, [*levels, location, weight])]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_native_equals_the_definition_in_values_and_all_gradients(size, dtype):
    expected = values_and_gradients("reference", *operands(*size, dtype=dtype))
    found = values_and_gradients("native", *operands(*size, dtype=dtype))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_are_those_of_finite_differences(backend):
    levels, map_of, location, weight = operands(3, 2, 4, [(5, 3), (2, 4)], 2, 3)

    def both(first, second, location, weight):
        chosen = deformable_backend(backend)
        out = chosen.attention([first, second], map_of, location, weight)
        return out, *chosen.gather([first, second], map_of, location, weight)

    assert torch.autograd.gradcheck(both, (*levels, location, weight))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", SIZES[:4], ids=str)
def test_samples_are_those_of_grid_sample(backend, size):
    levels, map_of, location, weight = operands(*size)
    found, _ = deformable_backend(backend).gather(levels, map_of, location, weight)
    expected = torch.zeros_like(found)
    for number, level in enumerate(levels):
        grid = 2 * location[:, :, number] - 1
        sampled = functional.grid_sample(level[map_of], grid, align_corners=False)
        expected = expected + torch.einsum("qchp,qhp->qhc", sampled, weight[:, :, number])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_head_of_attention_reads_its_own_channels_of_what_gather_reads(backend):
    levels, map_of, location, weight = operands(6, 4, 8, [(9, 5), (4, 3)], 2, 5)
    chosen = deformable_backend(backend)
    out = chosen.attention(levels, map_of, location, weight).reshape(6, 4, 2)
    every, _ = chosen.gather(levels, map_of, location, weight)
    for head in range(4):
        torch.testing.assert_close(out[:, head], every[:, head, 2 * head : 2 * head + 2])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_value_projection_after_sampling_equals_one_before(backend):
    levels, map_of, location, weight = operands(6, 2, 4, [(9, 5), (4, 3)], 3, 5)
    linear = torch.nn.Linear(4, 6, dtype=torch.float64)
    chosen = deformable_backend(backend)
    projected = [linear(level.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for level in levels]
    before = chosen.attention(projected, map_of, location, weight)
    every, coverage = chosen.gather(levels, map_of, location, weight)
    matrix, bias = linear.weight.reshape(2, 3, 4), linear.bias.reshape(2, 3)
    after = torch.einsum("qhc,hoc->qho", every, matrix) + bias * coverage[..., None]
    torch.testing.assert_close(after.flatten(1), before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_coverage_is_the_whole_weight_inside_half_on_the_edge_and_none_outside(backend):
    at = torch.tensor([[0.5, 0.5], [0.0, 0.5], [1.0, 0.5], [0.0, 1.0], [-0.2, 0.5], [0.5, 7.0]], dtype=torch.float64)
    level = torch.ones(1, 2, 4, 6, dtype=torch.float64)
    location = at[:, None, None, None].contiguous()
    weight = torch.full((6, 1, 1, 1), 2.0, dtype=torch.float64)
    every, coverage = deformable_backend(backend).gather([level], torch.zeros(6, dtype=torch.long), location, weight)
    torch.testing.assert_close(coverage[:, 0], torch.tensor([2, 1, 1, 0.5, 0, 0], dtype=torch.float64))
    torch.testing.assert_close(every, coverage[..., None].expand(-1, -1, 2))


@pytest.mark.parametrize("backend", BACKENDS)
def test_pixel_centres_are_read_exactly(backend):
    level = torch.arange(12, dtype=torch.float64).reshape(1, 1, 3, 4)
    y, x = torch.meshgrid(torch.arange(3.0), torch.arange(4.0), indexing="ij")
    at = torch.stack([(x + 0.5) / 4, (y + 0.5) / 3], -1).reshape(12, 1, 1, 1, 2).double()
    one = torch.ones(12, 1, 1, 1, dtype=torch.float64)
    out = deformable_backend(backend).attention([level], torch.zeros(12, dtype=torch.long), at, one)
    torch.testing.assert_close(out.reshape(-1), level.reshape(-1))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_query_is_the_same_alone_and_among_others(backend):
    levels, map_of, location, weight = operands(6, 2, 4, [(9, 5), (4, 3)], 3, 5)
    attention = deformable_backend(backend).attention
    together = attention(levels, map_of, location, weight)
    for k in range(6):
        own = [level[map_of[k], None] for level in levels]
        alone = attention(own, torch.zeros(1, dtype=torch.long), location[k : k + 1], weight[k : k + 1])
        torch.testing.assert_close(alone[0], together[k], rtol=1e-12, atol=1e-12)


def test_points_at_infinity_read_nothing_and_give_no_nan():
    levels, map_of, location, weight = operands(4, 1, 2, [(5, 3)], 1, 1, dtype=torch.float32)
    far = torch.tensor([[torch.inf, 0.5], [-torch.inf, 0.5], [torch.nan, 0.5], [1e30, -1e30]])
    location = far[:, None, None, None].contiguous().requires_grad_()
    out, every, coverage, *gradients = values_and_gradients("native", levels, map_of, location, weight)
    assert out.abs().max() == 0 and every.abs().max() == 0 and coverage.abs().max() == 0
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_maps_in_bfloat16_are_read_in_any_memory_layout(memory):
    levels, map_of, location, weight = operands(6, 2, 8, [(9, 5), (4, 3)], 3, 5, dtype=torch.float32)
    low = [level.detach().bfloat16().contiguous(memory_format=memory).requires_grad_() for level in levels]
    expected = deformable_backend("reference").attention([map.float() for map in low], map_of, location, weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = deformable_backend("native").attention(low, map_of, location, weight)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)
    found.float().sum().backward()
    assert low[0].grad is not None and low[0].grad.abs().max() > 0


def test_operands_that_disagree_are_refused_with_their_sizes():
    levels, map_of, location, weight = operands(*SIZES[0])
    attention = deformable_backend("native").attention
    with pytest.raises(OperandError, match="none"):
        attention([], map_of, location, weight)
    with pytest.raises(OperandError, match="level 1"):
        attention([levels[0], levels[1][:, :4], levels[2]], map_of, location, weight)
    with pytest.raises(OperandError, match="2 levels"):
        attention(levels[:2], map_of, location, weight)
    with pytest.raises(OperandError, match="4 channels"):
        three = location[:, :1].expand(-1, 3, -1, -1, -1), weight[:, :1].expand(-1, 3, -1, -1)
        attention([level[:, :4] for level in levels], map_of, *three)


def test_a_backend_by_name_runs_or_raises():
    with pytest.raises(BackendError, match="native"):
        deformable_backend("cuda")


def test_bags_summed_in_pieces_equal_those_of_torch():
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(50, 2**14, generator=random)  # wide rows: a few bags a piece
    index = torch.randint(0, 50, (5, 3, 8), generator=random)
    share = torch.randn(5, 3, 8, generator=random).requires_grad_()
    table = rows.clone().requires_grad_()
    expected = sum_rows(table, index, share)
    torch.testing.assert_close(sum_rows_in_pieces(rows, index, share.detach()), expected, rtol=1e-5, atol=1e-5)
    gradient = torch.randn(expected.shape, generator=random)
    by_table, by_share = torch.autograd.grad(expected, [table, share], gradient)
    torch.testing.assert_close(dots(rows, index, gradient), by_share, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(table_gradient(rows, index, share.detach(), gradient), by_table, rtol=1e-5, atol=1e-5)
