"""Human3.6M's figures: what is averaged over what, and which recordings do not count where people are."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.datasets.layouts.human36m import DRIFTED, HUMAN36M
from dispose.datasets.layouts.source import FrameKey, Layout
from dispose.errors import InputError
from dispose.evaluation.one_person import human36m_figures, stored_answers
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import MPII_17

KEYS = (
    *(FrameKey("S9/Greeting-1", n) for n in range(3)), FrameKey("S9/Greeting-2", 0), FrameKey("S11/Greeting-2", 0),
    FrameKey("S11/Eating-1", 4),
)  # fmt: skip
TRUTH = {key: torch.from_numpy(np.random.default_rng(row).normal(0, 400, (17, 3))) for row, key in enumerate(KEYS)}


def people_of(key: FrameKey) -> Poses:
    known = torch.ones(1, 17, dtype=torch.bool)
    return Poses(MPII_17, TRUTH[key][None], known.double(), known, torch.zeros(1, dtype=torch.long))


@pytest.fixture
def layout() -> Layout:
    return Layout(HUMAN36M, KEYS, {}, lambda key, camera: Path(camera), people_of)


def test_actions_and_instants_are_averaged_apart_and_drifted_takes_are_left_out(layout: Layout):
    # Everybody is off by some way as a whole, and all joints but the pelvis by 17 mm more across.
    shift = dict(zip(KEYS, (10.0, 20.0, 30.0, 900.0, 60.0, 100.0), strict=True))
    answers = {}
    for key, truth in TRUTH.items():
        answers[key] = truth + torch.tensor([shift[key], 0.0, 0.0])
        answers[key][:, 1] += 17.0 * (torch.arange(17) != MPII_17.index("mid_hip"))
    assert ("S9", "Greeting-2") in DRIFTED
    figures = {figure.name: figure.value for figure in human36m_figures(layout, answers)}
    assert figures["relative_mm"] == pytest.approx(16.0) and figures["relative_frames_mm"] == pytest.approx(16.0)
    error = {key: (16 * (s**2 + 17**2) ** 0.5 + s) / 17 for key, s in shift.items()}
    greeting = [error[key] for key in KEYS if "Greeting" in key.sequence and key != KEYS[3]]
    assert figures["absolute_mm"] == pytest.approx((sum(greeting) / 4 + error[KEYS[5]]) / 2)
    assert figures["absolute_frames_mm"] == pytest.approx((sum(greeting) + error[KEYS[5]]) / 5)


def test_the_release_s_stored_joints_are_answers(layout: Layout, tmp_path: Path):
    order = [3, 0, 5, 1, 2, 4]
    stored = {"keypoints_3d": np.stack([TRUTH[KEYS[row]].numpy() for row in order]), "indexes": np.array(order)}
    (tmp_path / "val.pkl").write_bytes(pickle.dumps(stored))
    answers = stored_answers(tmp_path / "val.pkl", layout)
    assert all(torch.equal(answers[key], TRUTH[key]) for key in KEYS)
    assert all(figure.value == 0 for figure in human36m_figures(layout, answers))
    with pytest.raises(InputError, match="no answer for frame 4 of S11/Eating-1"):
        human36m_figures(layout, {key: answers[key] for key in KEYS[:5]})
