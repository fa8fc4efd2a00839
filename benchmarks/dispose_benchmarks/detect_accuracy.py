"""People from videos and images alone, by the detector and `dispose predict`'s usual way: how good they are."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch

from dispose.evaluation.from_videos import (
    TrackAgreement,
    agreement_in_images,
    agreement_of_actor,
    count_people,
    frames_ahead,
    later,
    tracks_in_images,
    tracks_of,
)
from dispose.formats.folders import require_file
from dispose.inference.capture import read_capture, source_of
from dispose.inference.run import results_of
from dispose.options import Count, PathOption
from dispose.preparation.detecting import DetectOrder, detect
from dispose.preparation.detectors import detector_of
from dispose.scene.results import FrameResult
from dispose.zoo.checkpoints import load_associator
from dispose.zoo.triangulators import load_reconstruction
from dispose_benchmarks.report import write_figures

SCHEMA = "dispose.bench.detect_accuracy/1"


def people_in(place: Path, calibration: Path, detections: Path) -> Sequence[FrameResult]:
    """Everybody in every frame, as `dispose predict` finds them."""
    torch.set_num_threads(1)
    capture, associator = read_capture(place, calibration=calibration, detections=detections), load_associator()
    return results_of(source_of(capture), associator.associate, load_reconstruction(associator=associator))


def at_one_time(
    ours: Sequence[FrameResult], theirs: Sequence[FrameResult], actor: TrackAgreement
) -> tuple[list[int], TrackAgreement | None]:
    """By how many frames their keypoints are ahead of ours in every camera, and how the actor agrees when all are."""
    cameras = zip(tracks_in_images(ours, actor.person), tracks_in_images(theirs, actor.other), strict=True)
    ahead = [frames_ahead(our, their) for our, their in cameras]
    middle = int(median(ahead))
    moved = {person: later(track, middle) for person, track in tracks_of(ours).items()}
    return ahead, agreement_of_actor(moved, tracks_of(theirs))


@dataclass(frozen=True)
class DetectAccuracyBench:
    """Detect in the videos of Pose2Sim's two people and in Panoptic's stills, and say how good the people are in 3-D.

    Videos: the actor against the 3-D from the detections that come with the capture, frame by frame as these are
    numbered, and at the time at which they agree with the images (they are two frames ahead). Stills: distances of
    projected joints from the keypoints of their own images.
    """

    data: Path = Path("../shared/data")
    """Folder with raw/pose2sim_multi and raw/panoptic/images."""
    work: Path = Path("out/detect-accuracy")
    """Folder for the detections; a run that was stopped goes on there."""
    tiles: Count = 1
    """Parts of the image that are searched as well."""
    calibration: PathOption = None
    """Cameras of the videos in place of the capture's own, for instance as `dispose calibrate refine` writes them."""
    careful: bool = False
    """Everybody is looked at twice."""
    processes: Count = 1
    """Cameras that are worked on at once."""
    out: Path = Path("data/results/detect_accuracy.json")
    """Result file."""

    def run(self) -> int:
        """Detect, predict, compare, write."""
        path, raw = require_file(self.out), self.data / "raw"
        capture, stills = raw / "pose2sim_multi", raw / "panoptic" / "images"
        videos = self.detected(capture / "videos", "pose2sim_multi")
        images = self.detected(stills, "panoptic")
        calibration = self.calibration or capture / "calib" / "Calib_qualisys.toml"
        ours = people_in(capture, calibration, videos)
        theirs = people_in(capture, calibration, capture / "pose")
        people, actor = count_people(ours), agreement_of_actor(tracks_of(ours), tracks_of(theirs))
        seen = people_in(stills, stills / "camera_parameters.json", images)
        still_people, reprojection = count_people(seen), agreement_in_images(seen)
        print(f"Pose2Sim, two people, videos: {people}")
        print(f"  the actor: {actor}")
        ahead, in_time = at_one_time(ours, theirs, actor) if actor else ([], None)
        print(f"  the other detections are {', '.join(map(str, ahead))} frames ahead in the cameras")
        print(f"  the actor at one time: {in_time}")
        print(f"Panoptic, stills: {still_people}")
        print(f"  {reprojection}")
        figures = {
            "tiles": self.tiles,
            "careful": self.careful,
            "videos": {
                "people": asdict(people),
                "actor": None if actor is None else asdict(actor),
                "frames_ahead": ahead,
                "actor_at_one_time": None if in_time is None else asdict(in_time),
            },
            "stills": {"people": asdict(still_people), "reprojection": asdict(reprojection)},
        }
        write_figures(path, SCHEMA, figures)
        return 0

    def detected(self, images: Path, name: str) -> Path:
        """A folder of detections, as far as they are not there yet."""
        folder = self.work / name
        detect(
            DetectOrder(images, folder, processes=self.processes), detector_of(tiles=self.tiles, careful=self.careful)
        )
        return folder
