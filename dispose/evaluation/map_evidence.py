"""What a model's heat maps show, for methods that start from the same maps, and those methods."""

from collections.abc import Callable
from dataclasses import replace

import torch

from dispose.association.imputation import impute_joints
from dispose.association.roots import map_pixel_of
from dispose.baselines.heatmap_peaks import MAP_GATES, PeakGates, people_from_peaks, skeletons_from_roots
from dispose.errors import ShapeError
from dispose.evaluation.image_scenes import ImageAnswer, ImageMethod
from dispose.geometry.image_affine import apply, input_from_map, invert
from dispose.models.dispose.backbone import STRIDE
from dispose.models.dispose.model import DisPose
from dispose.nn.heatmaps import Peaks, subpixel_peaks
from dispose.scene.frame import Frame, ImageBatch
from dispose.scene.peaks import JointPeaks, root_detections
from dispose.scene.prediction import Association, Prediction
from dispose.skeletons.rest_poses import rest_pose
from dispose.skeletons.skeleton import Skeleton

JOINT_THRESHOLD = 0.15
"""Least height of a peak that the classic methods look at (the roots': the model's own threshold)."""


def in_pixels(peaks: Peaks, frame: Frame, skeleton: Skeleton) -> JointPeaks:
    """Peaks of heat maps in pixels of the original pictures; views without a picture have none.

    Raises `ShapeError` where maps and views differ in number.
    """
    images = frame.require_images()
    if peaks.valid.shape[0] != len(frame.cameras):
        raise ShapeError(f"frame {frame.number}: {len(frame.cameras)} views, {peaks.valid.shape[0]} heat maps")
    image_from_input = invert(images.input_from_image.double())[:, None, None]
    xy = apply(image_from_input, input_from_map(peaks.xy_map.double().cpu(), STRIDE))
    valid = peaks.valid.cpu() & images.present[:, None, None]
    spacing = map_pixel_of(images.input_from_image, STRIDE)
    return JointPeaks(skeleton, torch.where(valid[..., None], xy, 0.0), peaks.score.double().cpu(), valid, spacing)


class MapReader:
    """A model's heat maps and its own answer; a frame that several methods ask for in a row is looked at once."""

    def __init__(self, model: DisPose) -> None:
        self.model = model
        self._peaks: tuple[Frame, JointPeaks] | None = None
        self._answer: tuple[Frame, Prediction] | None = None

    @torch.no_grad()
    def peaks(self, frame: Frame) -> JointPeaks:
        """The peaks of all joints; those of the root are the model's own, in the same slots."""
        if self._peaks is None or self._peaks[0] is not frame:
            model, config = self.model, self.model.config
            heatmaps = model.see(ImageBatch.of([frame])).heatmaps.float()
            peaks = subpixel_peaks(heatmaps, config.peaks, min(JOINT_THRESHOLD, config.peak_threshold))
            least = torch.full((heatmaps.shape[1],), JOINT_THRESHOLD, device=peaks.score.device)
            least[model.skeleton.index(model.skeleton.root_of[0])] = config.peak_threshold
            peaks = replace(peaks, valid=peaks.valid & (peaks.score > least[:, None]))
            self._peaks = frame, in_pixels(peaks, frame, model.skeleton)
        return self._peaks[1]

    @torch.no_grad()
    def prediction(self, frame: Frame) -> Prediction:
        """The model's answer."""
        if self._answer is None or self._answer[0] is not frame:
            self._answer = frame, self.model(frame)
        return self._answer[1]


Finish = Callable[[Prediction, Frame, JointPeaks], Prediction]


def impute_missing(prediction: Prediction, frame: Frame, peaks: JointPeaks) -> Prediction:
    """Joints that are not known are placed limb by limb: whole skeletons, as the model gives them."""
    return impute_joints(prediction, frame.cameras, peaks)


def keep_triangulated(prediction: Prediction, frame: Frame, peaks: JointPeaks) -> Prediction:
    """The joints that were triangulated, no others."""
    return prediction


def use_rest_pose(prediction: Prediction, frame: Frame, peaks: JointPeaks) -> Prediction:
    """The rest pose at every root: what is known without looking for any other joint."""
    poses = prediction.poses
    rest = torch.tensor(rest_pose(poses.skeleton).xyz, dtype=torch.float64)
    root = poses.skeleton.index(str(poses.skeleton.root))
    known = poses.valid[:, root, None]
    xyz = torch.where(known[..., None], poses.xyz_world[:, [root]] + rest - rest[root], 0.0)
    return replace(prediction, poses=replace(poses, xyz_world=xyz, valid=known.expand_as(poses.valid).clone()))


def model_method(read: MapReader, name: str) -> ImageMethod:
    """The model itself."""

    def predict(frame: Frame) -> ImageAnswer:
        return _answer(read.prediction(frame), read.peaks(frame))

    return ImageMethod(name, predict)


Find = Callable[[Frame], Prediction]


def classic_people(read: MapReader, associate: Callable[[Frame], Association], *, gates: PeakGates = MAP_GATES) -> Find:
    """Roots by a classic associator, then joint by joint, from the model's heat maps; the last frame is remembered."""
    last: list[tuple[Frame, Prediction]] = []

    def find(frame: Frame) -> Prediction:
        if not last or last[0][0] is not frame:
            found = people_from_peaks(
                frame.cameras, read.peaks(frame), associate=associate, gates=gates, number=frame.number
            )
            last[:] = [(frame, found)]
        return last[0][1]

    return find


def classic_method(read: MapReader, name: str, find: Find, *, finish: Finish = impute_missing) -> ImageMethod:
    """What `classic_people` finds, finished in some way."""

    def predict(frame: Frame) -> ImageAnswer:
        peaks = read.peaks(frame)
        return _answer(finish(find(frame), frame, peaks), peaks)

    return ImageMethod(name, predict)


def without_stage_two(
    read: MapReader, name: str, *, finish: Finish = impute_missing, gates: PeakGates = MAP_GATES
) -> ImageMethod:
    """The model's own groups and roots, then joint by joint by classic means."""

    def predict(frame: Frame) -> ImageAnswer:
        mine, peaks = read.prediction(frame), read.peaks(frame)
        found = skeletons_from_roots(
            frame.cameras, peaks, mine.association, mine.root, gates=gates, number=frame.number
        )
        return _answer(finish(found, frame, peaks), peaks)

    return ImageMethod(name, predict)


def _answer(prediction: Prediction, peaks: JointPeaks) -> ImageAnswer:
    return ImageAnswer(prediction, root_detections(peaks), peaks.spacing_px)
