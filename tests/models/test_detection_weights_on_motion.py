"""The shipped weights of 2-D detections on people who really moved, before real cameras, never trained on."""

from pathlib import Path

import torch

from dispose.association.packing import gather_groups
from dispose.association.reconstruct import dlt, ransac
from dispose.datasets.tables.humaneva import read_humaneva
from dispose.evaluation.triangulators import LIMBS
from dispose.scene.results import Association
from dispose.skeletons.catalog import HUMANEVA_15
from dispose.zoo.triangulators import load_triangulator
from dispose_synthetic.detectors.points import PointNoise, detect_points


def test_learned_weights_beat_equal_ones_and_the_vote_of_the_rays(shared_data: Path, generator: torch.Generator):
    frames, truth = [], []
    for frame, labels in read_humaneva(shared_data / "humaneva", every=24):
        seen, _ = detect_points(frame, labels, PointNoise(), generator)
        frames.append(seen)
        truth.append(labels.poses.xyz_world[0])
    one = Association(torch.zeros(1, 3, dtype=torch.long), torch.ones(1, dtype=torch.float64))
    groups, limbs = gather_groups(frames, [one] * len(frames)), HUMANEVA_15.indices(LIMBS)
    mean, worst = {}, {}
    ways = {"dlt": dlt, "ransac": ransac, "algebraic": load_triangulator("algebraic")}
    for name, way in ways.items():
        poses = way(groups)
        error = (poses.xyz_world - torch.stack(truth)).norm(dim=-1)[:, limbs][poses.valid[:, limbs]]
        assert len(error) > 0.98 * len(frames) * len(limbs)
        mean[name], worst[name] = float(error.mean()), float(error.quantile(0.95))
    assert mean["algebraic"] < 0.85 * mean["ransac"] and mean["algebraic"] < 0.75 * mean["dlt"]
    assert worst["algebraic"] < 0.85 * worst["ransac"]
