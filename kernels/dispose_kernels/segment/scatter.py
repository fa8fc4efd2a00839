"""The segment reductions on torch-scatter, for those who have compiled it."""

from types import ModuleType

import torch

from dispose_kernels.errors import BackendError
from dispose_kernels.segment.reference import Index, Items, Segments


def library() -> ModuleType:
    """The module `torch_scatter`, or `BackendError`."""
    try:
        import torch_scatter  # type: ignore[import-not-found]
    except ImportError as error:
        raise BackendError(
            "segment backend 'torch_scatter' was asked for, but the package torch-scatter is not installed; "
            "install it (it compiles against the installed torch) or use 'native'"
        ) from error
    return torch_scatter


def segment_sum(values: Items, index: Index, segments: int) -> Segments:
    """Sum of the items of every segment; 0 for an empty one."""
    return library().scatter_add(values, index, dim=0, dim_size=segments)


def segment_mean(values: Items, index: Index, segments: int) -> Segments:
    """Mean of the items of every segment; 0 for an empty one."""
    return library().scatter_mean(values, index, dim=0, dim_size=segments)


def segment_max(values: Items, index: Index, segments: int) -> Segments:
    """Largest item of every segment, 0 for an empty one; one of several equal items has the whole gradient."""
    return library().scatter_max(values, index, dim=0, dim_size=segments)[0]


def segment_logsumexp(values: Items, index: Index, segments: int) -> Segments:
    """``log sum exp`` of the items of every segment; minus infinity for an empty one."""
    shift = library().scatter_max(values.detach(), index, dim=0, dim_size=segments)[0]
    shift = torch.where(torch.isfinite(shift), shift, 0.0)
    total = segment_sum(torch.exp(values - shift[index]), index, segments)
    alive = total > 0
    return torch.where(alive, torch.where(alive, total, 1.0).log() + shift, -torch.inf)


def segment_softmax(values: Items, index: Index, segments: int) -> Items:
    """``exp(value)`` divided by its segment's sum of them; 0 where every item of the segment is minus infinity."""
    shift = library().scatter_max(values.detach(), index, dim=0, dim_size=segments)[0]
    weight = torch.exp(values - torch.where(torch.isfinite(shift), shift, 0.0)[index])
    total = segment_sum(weight, index, segments)
    return weight / torch.where(total > 0, total, 1.0)[index]
