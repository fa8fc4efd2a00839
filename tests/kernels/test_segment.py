"""Laws of the segment reductions: every backend equals the definition, in values and gradients."""

import importlib.util

import pytest
import torch

from dispose_kernels.errors import BackendError
from dispose_kernels.segment import SegmentBackend, segment_backend, segment_max

NAMES = ("sum", "mean", "max", "softmax", "logsumexp")
SHAPES = [(0, (), 3), (1, (), 1), (7, (), 4), (40, (3,), 9), (33, (2, 5), 40), (64, (1,), 1)]


def run(backend: SegmentBackend, name: str, values, index, segments):
    values = values.clone().requires_grad_()
    out = {n: getattr(backend, n) for n in NAMES}[name](values, index, segments)
    weight = torch.linspace(-1, 2, out.numel(), dtype=out.dtype).reshape(out.shape)
    weight = torch.where(torch.isfinite(out), weight, 0.0)
    if out.grad_fn is None:  # no item, hence nothing to differentiate
        return out.detach(), torch.zeros_like(values)
    (torch.where(torch.isfinite(out), out, 0.0) * weight).sum().backward()
    return out.detach(), values.grad if values.grad is not None else torch.zeros_like(values)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("items", "chans", "segments"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_native_equals_the_definition(name, items, chans, segments, dtype):
    random = torch.Generator().manual_seed(items)
    values = torch.randn(items, *chans, generator=random, dtype=dtype)
    index = torch.randint(0, segments, (items,), generator=random)
    expected, expected_grad = run(segment_backend("reference"), name, values, index, segments)
    found, found_grad = run(segment_backend("native"), name, values, index, segments)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_grad, expected_grad)


@pytest.mark.parametrize("name", NAMES)
def test_torch_scatter_equals_the_definition_where_installed(name):
    pytest.importorskip("torch_scatter", reason="torch-scatter is optional and not installed")
    values = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    index = torch.randint(0, 50, (40,), generator=torch.Generator().manual_seed(1))
    expected, expected_grad = run(segment_backend("reference"), name, values, index, 50)
    found, found_grad = run(segment_backend("torch_scatter"), name, values, index, 50)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_grad, expected_grad)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_tied_maximum_shares_its_gradient_even_at_zero(backend):
    values = torch.zeros(4, requires_grad=True)
    segment_backend(backend).max(values, torch.zeros(4, dtype=torch.long), 2).sum().backward()
    torch.testing.assert_close(values.grad, torch.full((4,), 0.25))


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("name", NAMES)
def test_minus_infinity_and_empty_segments_give_no_nan(backend, name):
    values = torch.tensor([-torch.inf, -torch.inf, 1.0, -torch.inf])
    index = torch.tensor([0, 0, 2, 2])
    out, grad = run(segment_backend(backend), name, values, index, 4)
    assert not torch.isnan(out).any()
    if name in ("max", "softmax", "logsumexp"):
        assert not torch.isnan(grad).any()
    expected = {
        "max": [-torch.inf, 0, 1, 0],
        "softmax": [0, 0, 1, 0],
        "logsumexp": [-torch.inf, -torch.inf, 1, -torch.inf],
    }
    if name in expected:
        torch.testing.assert_close(out, torch.tensor(expected[name], dtype=torch.float32))


def test_softmax_survives_large_values_and_sums_to_one():
    values = torch.tensor([1e4, 1e4 + 1, -1e4, 3.0], dtype=torch.float64)
    soft = segment_backend("native").softmax(values, torch.tensor([1, 1, 0, 1]), 2)
    total = segment_backend("native").sum(soft, torch.tensor([1, 1, 0, 1]), 2)
    torch.testing.assert_close(total, torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("name", NAMES)
def test_gradcheck(name):
    values = torch.randn(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3), requires_grad=True)
    index = torch.tensor([0, 1, 1, 3, 3, 3, 0, 5, 5, 1, 0, 3])
    reduction = {n: getattr(segment_backend("native"), n) for n in NAMES}[name]

    def finite(v):
        out = reduction(v, index, 6)
        return torch.where(torch.isfinite(out), out, 0.0)

    assert torch.autograd.gradcheck(finite, (values,))


def test_an_unknown_or_missing_backend_raises_and_never_falls_back():
    with pytest.raises(BackendError, match="no segment backend 'cuda'"):
        segment_backend("cuda")
    if importlib.util.find_spec("torch_scatter") is None:
        with pytest.raises(BackendError, match="torch-scatter is not installed"):
            segment_backend("torch_scatter")


def test_no_items_at_all_is_legal():
    out = segment_max(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), 2)
    torch.testing.assert_close(out, torch.zeros(2, 3))
