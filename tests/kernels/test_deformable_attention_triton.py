"""The Triton programs of deformable attention: interpreted on the CPU against the definition, and compiled.

Triton decides at its import whether it interprets, and reads the source of the programs, which the checks of shapes
would wrap: so this file runs itself in a process of its own.
"""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from dispose_kernels.deformable_attention import deformable_backend
from dispose_kernels.errors import BackendError

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed (it exists for Linux only)"
)
# queries, heads, chans, (width, height) of the levels, maps, points
SIZES = [
    (3, 2, 6, [(5, 3), (2, 2)], 2, 2),
    (2, 1, 5, [(4, 4)], 1, 1),
    (2, 4, 8, [(3, 5)], 2, 3),
    (0, 2, 4, [(3, 3)], 2, 2),
    (0, 2, 4, [(3, 3)], 0, 2),
]


def run_alone(what: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, __file__, what], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


@needs_triton
def test_interpreted_programs_equal_the_definition_in_values_and_all_gradients():
    run_alone("interpret", TRITON_INTERPRET="1")


@needs_triton
def test_the_programs_compile_for_gpus():
    run_alone("compile", TRITON_INTERPRET="0")


def test_the_pure_path_imports_no_triton():
    run_alone("pure")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device: the backend runs")
def test_the_backend_asked_for_by_name_raises_where_it_cannot_run():
    with pytest.raises(BackendError, match=r"not installed|no CUDA device"):
        deformable_backend("triton")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_programs_on_a_gpu_equal_the_definition():
    run_alone("gpu")


def check_against_the_definition(device: str) -> None:
    from test_deformable_attention import operands, values_and_gradients

    for size in SIZES:
        levels, map_of, location, weight = operands(*size, dtype=torch.float32)
        expected = values_and_gradients("reference", levels, map_of, location, weight)
        moved = [x.detach().to(device).requires_grad_() for x in (*levels, location, weight)]
        found = values_and_gradients("triton", moved[:-2], map_of.to(device), *moved[-2:])
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one.cpu(), other, rtol=1e-4, atol=1e-5)
    backend = deformable_backend("triton")
    far = torch.tensor([[torch.inf, 0.5], [torch.nan, 0.5], [1e30, -1e30]], device=device)[:, None, None, None]
    low = torch.randn(1, 4, 3, 5, device=device).bfloat16().requires_grad_()
    here = torch.zeros(3, dtype=torch.long, device=device)
    strength = torch.ones(3, 1, 1, 1, device=device)
    out = backend.attention([low], here, far, strength)
    assert out.dtype == torch.bfloat16 and float(out.detach().abs().max()) == 0
    near = backend.attention([low], here, 0 * far.nan_to_num(0, 0, 0) + 0.5, strength)
    torch.testing.assert_close(near[0], low.detach()[0, :, 1, 2])


def check_compilation() -> None:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    from dispose_kernels.deformable_attention import triton_kernels

    for values, capability in (("*fp32", 80), ("*bf16", 90)):
        types = {"map_of": "*i64", "rows": values, "total": values, "for_total": values}
        types |= dict.fromkeys(("height", "width", "heads", "groups"), "i32")
        for program, more in ((triton_kernels.forward, {}), (triton_kernels.backward, {"WITH_ROWS": True})):
            fixed = {"POINTS": 8, "CHANS": 32, "BLOCK": 32, **more}
            names = program.arg_names
            signature = {name: "constexpr" if name in fixed else types.get(name, "*fp32") for name in names}
            source = ASTSource(program, signature, {(names.index(name),): value for name, value in fixed.items()})
            assert compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]


if __name__ == "__main__":
    if sys.argv[1] == "pure":
        assert deformable_backend("native") and "triton" not in sys.modules
    elif sys.argv[1] == "compile":
        check_compilation()
    else:
        check_against_the_definition("cpu" if sys.argv[1] == "interpret" else "cuda")
