"""Deformable attention as Triton programs, for CUDA: no gathered rows in memory, one launch a level and direction.

The programs are tested with Triton's interpreter on a CPU and compiled for GPUs that were not there. They have not
been run or timed on a GPU, so nothing chooses them by itself: they are asked for by name. Sums are in float32
whatever the dtype of the operands; gradients of the maps are added atomically, hence in no fixed order.
"""

from types import ModuleType

import torch
from torch import Tensor

from dispose_kernels.deformable_attention.native import table
from dispose_kernels.errors import BackendError


def library() -> ModuleType:
    """The device programs, or `BackendError`."""
    try:
        from triton import knobs  # type: ignore[import-not-found]
    except ImportError as error:
        raise BackendError(
            "deformable backend 'triton' was asked for, but the package triton is not installed; "
            "install it (Linux, with the version that belongs to the installed torch) or use 'native'"
        ) from error
    if not torch.cuda.is_available() and not knobs.runtime.interpret:
        raise BackendError(
            "deformable backend 'triton' was asked for, but there is no CUDA device; use 'native', "
            "or set TRITON_INTERPRET=1 to have the programs interpreted, slowly, on the CPU"
        )
    from dispose_kernels.deformable_attention import triton_kernels

    return triton_kernels


class _ReadLevelTriton(torch.autograd.Function):
    """Weighted bilinear samples of one level, and the weight inside it."""

    @staticmethod
    def forward(ctx, level: Tensor, map_of: Tensor, location: Tensor, weight: Tensor, groups: int):
        programs = library()
        map_of, location, weight = (operand.contiguous() for operand in (map_of, location, weight))
        _, chans, height, width = level.shape
        rows = table(level).reshape(-1, chans // groups).contiguous()
        queries, heads, points = weight.shape
        total = level.new_empty((queries, heads, chans // groups))
        coverage = torch.empty((queries, heads), dtype=weight.dtype, device=weight.device)
        if queries:
            programs.forward[(queries * heads,)](
                rows, map_of, location, weight, total, coverage,
                height, width, heads, groups,
                POINTS=points, CHANS=chans // groups, **_launch(chans // groups),
            )  # fmt: skip
        ctx.save_for_backward(rows, map_of, location, weight)
        ctx.shape, ctx.groups = level.shape, groups
        return total, coverage

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, total: Tensor, coverage: Tensor):
        rows, map_of, location, weight = ctx.saved_tensors
        maps, chans, height, width = ctx.shape
        queries, heads, points = weight.shape
        for_location, for_weight = torch.empty_like(location), torch.empty_like(weight)
        with_rows = ctx.needs_input_grad[0]
        for_rows = torch.zeros(rows.shape if with_rows else (1,), dtype=torch.float32, device=rows.device)
        if queries:
            library().backward[(queries * heads,)](
                rows, map_of, location, weight, total.contiguous(), coverage.contiguous(),
                for_location, for_weight, for_rows,
                height, width, heads, ctx.groups,
                POINTS=points, CHANS=rows.shape[1], WITH_ROWS=with_rows, **_launch(rows.shape[1]),
            )  # fmt: skip
        for_level = None
        if with_rows:
            for_level = for_rows.to(rows.dtype).reshape(maps, height, width, chans).permute(0, 3, 1, 2)
        return for_level, None, for_location, for_weight, None


def _launch(chans: int) -> dict[str, int]:
    """Smallest power of two that holds the channels, for Triton's vectors have such lengths; 4 channels a thread."""
    block = 1 << (chans - 1).bit_length()
    return {"BLOCK": block, "num_warps": max(1, block // 128)}


read_level = _ReadLevelTriton.apply
