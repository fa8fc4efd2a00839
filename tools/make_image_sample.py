"""Make data/samples/studio: three people walk about a synthetic room before four cameras, with the truth beside.

The folder is a capture as ``dispose predict data/samples/studio`` takes it: ``calibration/Calib.toml`` and
``images/<camera>/``. Where everybody truly is lies in ``truth/predictions.jsonl``, in the form of a prediction.
Running this again on the same machine gives the same files.
"""

import argparse
import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import torch

from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.files import replacing_path
from dispose.formats.predictions import write_predictions
from dispose.scene.cameras import Cameras
from dispose.scene.results import Association, Prediction
from dispose.tensors import ABSENT
from dispose_synthetic.randomness import Noise
from dispose_synthetic.renderer.bodies import Builds, sample_outfits
from dispose_synthetic.renderer.captures import IMAGE_RIGS, Cast, RenderConfig, RenderedFrame, build_studio, film
from dispose_synthetic.sequences import SequenceConfig, sample_sequence

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
PICTURES = RenderConfig(
    size=(320, 240), views=(4, 4), persons=(3, 3), rigs=IMAGE_RIGS[:2], furniture=0.0, noise=(0.005, 0.008)
)
MOTION = SequenceConfig(rate_hz=25.0, room_mm=1500.0, walkers=1.0, seconds_per_crossing=3.0)
EVERY = 5
"""Of the motion's frames one in so many is filmed: paths are smooth over a dozen frames and would be stiff at 5 Hz."""
ROOM_SEED, MOTION_SEED, FRAMES, PERSONS, QUALITY = 11, 5, 12, 3, 90

README = """# studio

Three synthetic people walk about a synthetic room; {views} cameras take {frames} images of {width} x {height} pixels
each, {rate:g} a second. Made by `tools/make_image_sample.py`; nobody and nothing in it is real.

| file | what |
|---|---|
| `calibration/Calib.toml` | the cameras, exact; translations in metres |
| `images/CAMERA/CAMERA_NNNN.jpg` | what they see |
| `truth/predictions.jsonl` | where everybody is, in the form of a prediction (`panoptic_15`, mm); no model reads it |

Cameras, rooms and people are drawn as those that the shipped weights for images were trained on, with seeds of their
own: good figures here say that everything works together, and little about real images.
"""


def named(cameras: Cameras) -> Cameras:
    """Cameras called cam01, cam02, …"""
    return replace(cameras, names=tuple(f"cam{view + 1:02d}" for view in range(len(cameras))))


def shoot() -> list[RenderedFrame]:
    """The same dressed people in all frames of one room."""
    source = Noise(torch.Generator().manual_seed(ROOM_SEED))
    studio = build_studio(source, PICTURES)
    studio = replace(studio, cameras=named(studio.cameras))
    frames = EVERY * FRAMES
    motion = sample_sequence(torch.Generator().manual_seed(MOTION_SEED), frames, PERSONS, studio.cameras, MOTION)
    usual = torch.ones(PERSONS)
    builds = Builds(usual, usual, usual, 1.15 * usual, torch.tensor([0.0, 0.2, 0.0]))
    outfits = sample_outfits(source, PERSONS)
    bodies = [labels.poses.xyz_world.float() for _, labels in motion[::EVERY]]
    return [film(source, studio, Cast(xyz, builds, outfits)) for xyz in bodies]


def truth_of(capture: RenderedFrame, number: int) -> Prediction:
    """What is known about a frame, as a prediction; there are no detections that could be members."""
    poses = capture.poses
    members = torch.full((len(poses.id), len(capture.cameras)), ABSENT, dtype=torch.long)
    root = poses.xyz_world[:, poses.skeleton.indices(poses.skeleton.root_of)].mean(1)
    return Prediction(number, Association(members, torch.ones(len(poses.id), dtype=torch.float64)), poses, root)


def write_images(folder: Path, captures: list[RenderedFrame]) -> None:
    """``CAMERA/CAMERA_NNNN.jpg``."""
    for number, capture in enumerate(captures):
        for name, image in zip(capture.cameras.names, capture.images.numpy(), strict=True):
            (folder / name).mkdir(parents=True, exist_ok=True)
            with replacing_path(folder / name / f"{name}_{number:04d}.jpg") as path:
                encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
                path.write_bytes(encoded.tobytes())


def main() -> None:
    """Write the sample beside the old one, then put it in its place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=SAMPLES / "studio")
    out: Path = parser.parse_args().out
    torch.set_num_threads(1)
    captures = shoot()
    cameras = captures[0].cameras
    work = out.with_name(f".{out.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    write_calibration_toml(work / "calibration" / "Calib.toml", cameras)
    write_images(work / "images", captures)
    truth = [truth_of(capture, number) for number, capture in enumerate(captures)]
    write_predictions(work / "truth" / "predictions.jsonl", truth[0].poses.skeleton, cameras.names, truth)
    width, height = PICTURES.size
    words = README.format(views=len(cameras), frames=FRAMES, width=width, height=height, rate=MOTION.rate_hz / EVERY)
    (work / "README.md").write_text(words)
    shutil.rmtree(out, ignore_errors=True)
    os.replace(work, out)
    print(f"{out}: {FRAMES} frames, {len(cameras)} cameras, {PERSONS} people")


if __name__ == "__main__":
    main()
