"""What both sides of a body have in common: their bones are equally long."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

LIMBS = (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))


def even_sides(
    xyz: Float[Tensor, "*people joints 3"], joints: Sequence[str], share: float
) -> Float[Tensor, "*people joints 3"]:
    """Poses whose left and right bones of arms and legs differ less: by ``1 - share`` of what they differed.

    Bones keep their directions; a limb's outer joints move along.

    Args:
        xyz: any unit.
        joints: their names, hips to ankles and shoulders to wrists among them.
        share: 0 = nothing is done, 1 = both sides are equally long.
    """
    if not share:
        return xyz
    moved = xyz.clone()
    for limb in LIMBS:
        for inner, outer in ((0, 1), (1, 2)):
            ends = [[joints.index(f"{side}_{limb[end]}") for side in "lr"] for end in (inner, outer)]
            bone = moved[..., ends[1], :] - moved[..., ends[0], :]
            length = torch.linalg.vector_norm(bone, dim=-1, keepdim=True)
            wanted = length.mean(-2, keepdim=True)
            shift = share * (wanted / length.clamp(min=1e-9) - 1) * bone
            for end in limb[outer:]:
                moved[..., [joints.index(f"{side}_{end}") for side in "lr"], :] += shift
    return moved
