"""Make data/samples/crossing: four people who walk through each other before five cameras, with the truth beside.

The folder is a capture in Pose2Sim's layout (``dispose predict data/samples/crossing`` takes it as it is). What is
known about it lies in ``truth/predictions.jsonl``, in the form of a prediction: where everybody is, and which
detection is whom. Running this again gives the same files.
"""

import argparse
import os
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from dispose.formats.predictions import write_predictions
from dispose.scene.frame import Frame, Labels
from dispose.scene.results import Association, Prediction
from dispose.tensors import ABSENT
from dispose_synthetic.rigs import RigArchetype, sample_rigs
from dispose_synthetic.sequences import SequenceConfig, sample_sequence, write_capture

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
RIG = RigArchetype(
    "seminar room", (5, 5), ((1280, 720),), (0.72, 0.85), (3400, 4300), (1900, 2700), (850, 1050), (0, 200), jitter=0.2
)
CONFIG = SequenceConfig(rate_hz=12.5, room_mm=1900.0, walkers=1.0)
RIG_SEED, SEED, FRAMES, PERSONS = 3, 16, 50, 4


def rounded(frame: Frame) -> Frame:
    """Hundredths of a pixel and thousandths of a score are all that a detector's file needs."""
    found = frame.detections
    xy = (100 * found.xy_image).round() / 100
    # A visible joint keeps a score above 0: in the file 0 means not seen.
    confidence = torch.where(found.visible, ((1000 * found.confidence).round() / 1000).clamp(min=0.001), 0.0)
    return replace(frame, detections=replace(found, xy_image=xy, confidence=confidence))


def truth_of(frame: Frame, labels: Labels) -> Prediction:
    """What is known about a frame, as a prediction whose members count positions in the detection files."""
    poses = labels.poses
    members = torch.full((len(poses.id), len(frame.cameras)), ABSENT, dtype=torch.long)
    for row, person in enumerate(poses.id.tolist()):
        for view in range(len(frame.cameras)):
            slots = (labels.identity[view] == person).nonzero()[:, 0]
            # Of a duplicate or of fragments, the one with the most joints stands for the person.
            if len(slots):
                best = slots[frame.detections.visible[view, slots].sum(-1).argmax()]
                members[row, view] = frame.detections.index[view, best]
    root = poses.xyz_world[:, poses.skeleton.indices(poses.skeleton.root_of)].mean(1)
    certain = torch.ones(len(poses.id), dtype=torch.float64)
    return Prediction(frame.number, Association(members, certain), poses, root)


def main() -> None:
    """Write the sample beside the old one, then put it in its place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=SAMPLES / "crossing")
    out: Path = parser.parse_args().out
    torch.set_num_threads(1)
    (cameras,) = sample_rigs(torch.Generator().manual_seed(RIG_SEED), 1, 5, (RIG,))
    drawn = sample_sequence(torch.Generator().manual_seed(SEED), FRAMES, PERSONS, cameras, CONFIG)
    frames = [rounded(frame) for frame, _ in drawn]
    work = out.with_name(f".{out.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    write_capture(work, frames)
    truth = [truth_of(frame, labels) for frame, (_, labels) in zip(frames, drawn, strict=True)]
    write_predictions(work / "truth" / "predictions.jsonl", truth[0].poses.skeleton, cameras.names, truth)
    shutil.rmtree(out, ignore_errors=True)
    os.replace(work, out)
    print(f"{out}: {len(frames)} frames, {len(cameras)} cameras, {PERSONS} people")


if __name__ == "__main__":
    main()
