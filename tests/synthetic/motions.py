"""A small captured motion made by hand: a body at rest that walks nowhere."""

import torch

from dispose.datasets.cmu_motion import Motion

TREE = (
    ("root", -1, (0.0, 0.0, 0.0)),
    ("l_hip", 0, (0.0, 90.0, 0.0)), ("l_knee", 1, (0.0, 0.0, -400.0)), ("l_ankle", 2, (0.0, 0.0, -400.0)),
    ("l_toe_base", 3, (120.0, 0.0, -30.0)), ("l_toe_tip", 4, (60.0, 0.0, 0.0)),
    ("r_hip", 0, (0.0, -90.0, 0.0)), ("r_knee", 6, (0.0, 0.0, -400.0)), ("r_ankle", 7, (0.0, 0.0, -400.0)),
    ("r_toe_base", 8, (120.0, 0.0, -30.0)), ("r_toe_tip", 9, (60.0, 0.0, 0.0)),
    ("lower_spine", 0, (0.0, 0.0, 120.0)), ("upper_spine", 11, (0.0, 0.0, 120.0)),
    ("neck_base", 12, (0.0, 0.0, 120.0)), ("neck", 13, (0.0, 0.0, 90.0)), ("skull_base", 14, (0.0, 0.0, 90.0)),
    ("head_top", 15, (0.0, 0.0, 95.0)),
    ("l_shoulder", 13, (0.0, 190.0, 50.0)), ("l_elbow", 17, (0.0, 280.0, 0.0)), ("l_wrist", 18, (0.0, 190.0, 0.0)),
    ("r_shoulder", 13, (0.0, -190.0, 50.0)), ("r_elbow", 20, (0.0, -280.0, 0.0)), ("r_wrist", 21, (0.0, -190.0, 0.0)),
)  # fmt: skip


def small_motion(frames: int) -> Motion:
    """People with their arms to the sides; arms and legs turn a little from frame to frame."""
    joints, parents, offsets = zip(*TREE, strict=True)
    turn = torch.arange(frames)[:, None, None] * torch.tensor([0.0, 0.1, 0.05])
    rotations = turn.expand(frames, len(joints), 3).clone()
    rotations[:, 0] = 0.0
    zero = torch.zeros(frames, dtype=torch.long)
    return Motion(joints, parents, torch.tensor([offsets]), zero, zero, torch.zeros(frames, 3), rotations)
