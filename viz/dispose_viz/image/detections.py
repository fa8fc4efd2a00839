"""``python -m dispose_viz.image.detections IMAGES DETECTIONS OUT``: a detector's people painted into the images.

`dispose detect --overlay` calls it: the library itself draws nothing. A joint is the paler the lower its score.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from dispose.errors import DisposeError
from dispose.formats.detections.manifest import read_manifest
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.files import replacing_path
from dispose.formats.images.series import ImageSeries, open_image_series
from dispose.preparation.detection_files import CameraFiles
from dispose.skeletons.catalog import COCO_17
from dispose.skeletons.skeleton import Skeleton
from dispose_viz.image.paint import Canvas, paint_dot, paint_line, paint_words
from dispose_viz.style import LIGHT, blend, person_color

PER_CAMERA = 4
"""Images of a camera, from all over it."""

HEIGHT_PX = 540
"""An image of this height is painted with lines of one pixel and joints of two."""


def paint_detections(canvas: Canvas, people: Float[np.ndarray, "people joints 3"], skeleton: Skeleton) -> Canvas:
    """Everybody with their mean score, and every joint in a colour that is the paler the lower its score."""
    thick = max(1, round(canvas.shape[0] / HEIGHT_PX))
    for number, person in enumerate(people):
        color = person_color(number)
        xy, score = person[:, :2], person[:, 2]
        shades = [blend(color, LIGHT.paper, 1 - float(one)) for one in score.clip(0, 1)]
        for one, other in skeleton.bone_indices:
            if min(score[one], score[other]) > 0:
                paint_line(canvas, xy[one], xy[other], shades[one if score[one] < score[other] else other], thick)
        for joint in np.flatnonzero(score > 0).tolist():
            paint_dot(canvas, xy[joint], shades[joint], 2 * thick)
        head = xy[score > 0].min(0)
        paint_words(canvas, f"{number}: {score.mean():.2f}", head.tolist(), color, LIGHT, scale=0.5 * thick)
    return canvas


def overlays(series: ImageSeries, files: CameraFiles, folder: Path) -> list[Path]:
    """The overlays of one camera: of frames that are detected and can be decoded."""
    detected = [number for number in series.numbers if files.path(number).is_file()]
    written = []
    for number in detected[:: max(1, -(-len(detected) // PER_CAMERA))]:
        people = files.read(number)
        try:
            image = series.read(number)
        except DamagedFrameError:
            continue
        assert people is not None
        painted = paint_detections(np.ascontiguousarray(image), people.keypoints, files.skeleton)
        written.append(folder / f"{series.camera}_{number:06d}.png")
        with replacing_path(written[-1]) as temporary:
            cv2.imwrite(str(temporary), cv2.cvtColor(painted, cv2.COLOR_RGB2BGR))
    return written


def main() -> int:
    """Paint; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("images", "detections", "out"):
        parser.add_argument(name, type=Path)
    words = parser.parse_args()
    try:
        manifest = read_manifest(words.detections)
        skeleton = COCO_17 if manifest is None else manifest.skeleton
        for series in open_image_series(words.images):
            for path in overlays(series, CameraFiles(words.detections, series.camera, skeleton), words.out):
                print(f"wrote {path}")
    except DisposeError as error:
        print(f"dispose: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
