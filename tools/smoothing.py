"""What `dispose smooth` takes for granted: how restless captured joints are, and how much of a claim lasts.

    python tools/smoothing.py [--data FOLDER]

Prints the spectral density of accelerations by joint of CMU's motion (needs FOLDER/cmu_motion), then, on synthetic
sequences of 25 frames a second whose detector's luck lasts, errors and held intervals for several shares that last.
"""

import argparse
from pathlib import Path

import torch

from dispose.association.packing import gather_groups
from dispose.datasets.cmu_motion import read_motion
from dispose.inference import smoothing
from dispose.models.rays.estimate import estimate_joints
from dispose.models.rays.sightings import Sightings
from dispose.scene.labels import association_of_identities
from dispose.skeletons.catalog import COCO_17
from dispose.training.rays import labelled_rows
from dispose.zoo.checkpoints import load_rays
from dispose_synthetic.motion import LANDMARKS, landmarks, tree_places
from dispose_synthetic.rigs import CORNERS, RING, sample_rigs
from dispose_synthetic.sequences import sample_sequence

ROOT = Path(__file__).resolve().parents[1]
FRAMES, PEOPLE, SEQUENCES, SEED, RATE_HZ = 100, 3, 8, 900, 25.0


def print_restlessness(folder: Path) -> None:
    """Root of the density q, mm/s^1.5: second differences over dt have the variance 2/3 q dt³."""
    motion = read_motion(folder)
    places, frames = tree_places(motion, motion.offsets[motion.skeleton], motion.rotations, motion.root)
    xyz, dt = landmarks(motion, places, frames), 1 / 20
    second = (xyz[2:] - 2 * xyz[1:-1] + xyz[:-2])[motion.clip[2:] == motion.clip[:-2]]
    density = second.square().mean((0, 2)) / (2 / 3 * dt**3)
    for name, value in zip(LANDMARKS, density.sqrt().tolist(), strict=True):
        print(f"{name:12s} {value:6.0f} mm/s^1.5")


def print_lasting() -> None:
    """Mean error (mm) and held intervals of single frames and of smoothed ones."""
    network, runs = load_rays(), []
    for number in range(SEQUENCES):
        generator = torch.Generator().manual_seed(SEED + number)
        rig = sample_rigs(generator, 1, 2 + number % 3, (RING, CORNERS))[0]
        scenes = sample_sequence(generator, FRAMES, PEOPLE, rig)
        associations = [association_of_identities(labels.identity) for _, labels in scenes]
        groups = gather_groups([frame for frame, _ in scenes], associations)
        found = estimate_joints(network, Sightings.of(groups))
        pairs = zip(associations, scenes, strict=True)
        who = torch.cat([labels.poses.id[labelled_rows(one, labels)] for one, (_, labels) in pairs])
        for person in range(PEOPLE):
            mine = who == person
            truth = torch.stack([scenes[int(k)][1].poses.xyz_world[person] for k in groups.frame[mine]])
            runs.append((found.xyz_world[mine], found.covariance[mine], groups.frame[mine] / RATE_HZ, truth))
    print("single frames", *figures([(xyz - truth, covariance) for xyz, covariance, _, truth in runs]))
    density = smoothing.sway(COCO_17.joints)
    for share in (0.0, 0.3, 0.5):
        smoothing.LASTING = share
        smoothed = []
        for xyz, covariance, seconds, truth in runs:
            known = torch.ones(xyz.shape[:2], dtype=torch.bool)
            one = smoothing.smooth_joints(xyz, covariance, known, seconds, density)
            smoothed.append((one.xyz_world - truth, one.covariance))
        print(f"{share:.0%} lasts", *figures(smoothed))


def figures(parts: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[str, str]:
    """Mean error and the shares that intervals of 50 and 90 % hold."""
    error = torch.cat([offset.norm(dim=-1).flatten() for offset, _ in parts])
    ratio = torch.cat(
        [(offset.abs() / torch.diagonal(wide, dim1=-2, dim2=-1).sqrt()).flatten() for offset, wide in parts]
    )
    held = [100 * float((ratio < edge).double().mean()) for edge in (0.67449, 1.64485)]
    return f"{float(error.mean()):.1f} mm", f"50 and 90 % hold {held[0]:.0f} and {held[1]:.0f} %"


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    folder = parser.parse_args().data / "cmu_motion"
    if folder.is_dir():
        print_restlessness(folder)
    print_lasting()


if __name__ == "__main__":
    main()
