"""The released DiffPose of Holmquist and Wandt (2023): its sizes, its axes, its names and what it stores in vain."""

import re
from collections.abc import Mapping

from torch import Tensor

from dispose.models.diffpose_hypotheses.network import HypothesesConfig
from dispose.skeletons.catalog import H36M_17

MPII_16 = (
    "r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle", "mid_hip", "thorax", "upper_neck", "head_top",
    "r_wrist", "r_elbow", "r_shoulder", "l_shoulder", "l_elbow", "l_wrist",
)  # fmt: skip
"""The heat maps of its detector, in order."""

RELEASED_HYPOTHESES = HypothesesConfig(seen=MPII_16, joints=H36M_17.joints[1:], axes=(1.0, -1.0, -1.0))
"""Poses lack the pelvis, which is put between the hips; y and z are negated."""

_UNUSED = (
    re.compile(r"^denoise_fn\.res_pose\d\.bn\d\.(weight|bias|running_mean|running_var|num_batches_tracked)$"),
    re.compile(r"^condition_emb\.(conf_out\.(weight|bias)|pos_encoder\.centers)$"),
    re.compile(
        r"^(betas|alphas_cumprod(_prev)?|sqrt_(one_minus_)?alphas_cumprod|log_one_minus_alphas_cumprod"
        r"|sqrt_recip(m1)?_alphas_cumprod|posterior_(variance|log_variance_clipped|mean_coef[12])|p2_loss_weight)$"
    ),
)
"""Batch norms and a layer that are built and never called, and tables that follow from the number of steps."""

_WORDS = (
    (r"^condition\.project\.", "condition_emb.pos_proj."),
    (r"^condition\.joint\.", "condition_emb.joint_embedding."),
    (r"^condition\.transformer\.", "condition_emb.transformer."),
    (r"^condition\.flatten\.", "condition_emb.pos_out."),
    (r"^denoiser\.inward\.", "denoise_fn.upscale."),
    (r"^denoiser\.outward\.", "denoise_fn.pose."),
    (r"^denoiser\.blocks\.(\d)\.first\.", lambda m: f"denoise_fn.res_pose{int(m[1]) + 1}.l1."),
    (r"^denoiser\.blocks\.(\d)\.second\.", lambda m: f"denoise_fn.res_pose{int(m[1]) + 1}.l2."),
)


def hypotheses_entry(name: str) -> str:
    """What the release calls an entry of `HypothesesNetwork`."""
    for ours, theirs in _WORDS:
        name = re.sub(ours, theirs, name)
    return name


def used_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those that take part in what the release computes."""
    return {name: value for name, value in tensors.items() if not any(rule.match(name) for rule in _UNUSED)}
