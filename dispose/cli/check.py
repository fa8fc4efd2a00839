"""`dispose check`: look at a capture before any model does."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from dispose.cli.captures import CaptureOptions
from dispose.inference.capture import Capture, read_frame
from dispose.inference.check.diagnosis import diagnose
from dispose.inference.check.report import table, write_check
from dispose.inference.readings import Summary
from dispose.options import PathOption, require_folder
from dispose.scene.frame import Detections

PAIRS_TO_LOOK_AT = 1200
FEWEST_FRAMES, MOST_FRAMES = 8, 60


@dataclass(frozen=True)
class CheckCommand(CaptureOptions):
    """Look at the cameras of a capture through its detections, before any model does.

    Prints the reprojection error of every camera and pair of cameras, warns where units (m, cm, mm), axes or the
    direction of the extrinsics look wrong and says the likely cause, and draws the cameras from above.
    Exit status 0: usable; 1: not usable as it stands; 2: cannot be read.
    """

    out: PathOption = None
    """Folder for check.json and cameras.svg (default: out/NAME of the capture)."""

    def run(self) -> int:
        """Read some frames, check, print, write."""
        # Frames are thousands of small operations: more threads only wait for each other.
        torch.set_num_threads(1)
        capture = self.open_detections()
        name = capture.source.resolve().name
        folder = require_folder(self.out or Path("out") / name)
        for note in capture.notes:
            print(note)
        frames, summary = sample_frames(capture)
        for sentence in summary.sentences():
            print(sentence)
        diagnosis = diagnose(frames, capture.cameras)
        print(f"\n{table(capture.cameras, diagnosis.consistency)}\n")
        for finding in diagnosis.findings:
            print(f"warning ({finding.topic}): {finding.sentence}")
        print(diagnosis.verdict)
        for path in write_check(folder, f"{name}: cameras from above", capture.cameras, diagnosis, summary):
            print(f"wrote {path}")
        return 0 if diagnosis.usable else 1


def sample_frames(capture: Capture) -> tuple[list[Detections], Summary]:
    """Frames from all over the capture, fewer where there are many pairs of cameras."""
    views = len(capture.cameras)
    count = min(max(PAIRS_TO_LOOK_AT // (views * (views - 1) // 2), FEWEST_FRAMES), MOST_FRAMES)
    step = max(len(capture.numbers) / count, 1.0)
    chosen = [capture.numbers[int(k * step)] for k in range(min(count, len(capture.numbers)))]
    frames, summary = [], Summary()
    for number in tqdm(chosen, unit="frame", desc="read", delay=2.0, mininterval=0.5):
        reading = read_frame(capture, number)
        summary = summary.plus(reading)
        frames.append(reading.frame.detections)
    return frames, summary
