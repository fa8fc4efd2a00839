"""How good the weights of a model for images are on a validation split: what the best weights are selected by."""

import torch

from dispose.datasets.multiview import MultiViewDataset
from dispose.errors import InputError
from dispose.formats.pseudo_labels import PseudoLabelStore
from dispose.metrics.detection import AP_THRESHOLDS_MM, average_precision_one_to_one, pair_errors
from dispose.models.dispose.model import DisPose
from dispose.scene.convert import campus_poses, convert_poses
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import SHELF_14
from dispose.training.config import LabelRules
from dispose.training.frames import apply_rules


class ValidationFrames:
    """The frames of a validation split of which people are known: measured, or else from pseudo-labels.

    Raises:
        InputError: no frame's people are known.
    """

    def __init__(self, dataset: MultiViewDataset, labels: PseudoLabelStore, rules: LabelRules) -> None:
        self._dataset, self._truth = dataset, dict[int, Poses]()
        source, known = dataset.source, set(labels.keys)
        for row, key in enumerate(source.keys):
            truth = source.truth(key)
            if truth.annotated:
                self._truth[row] = truth.poses
            elif (key.sequence, key.number) in known:
                self._truth[row] = apply_rules(labels.at(key.sequence, key.number), rules).poses
        if not self._truth:
            raise InputError(f"of none of the {len(source.keys)} validation frames the people are known.")

    def score(self, model: DisPose) -> float:
        """Mean average precision of the skeletons, percent; frames that cannot be read are left out."""
        frames = []
        for row, truth in self._truth.items():
            try:
                frame, _ = self._dataset[row]
            except InputError:
                continue
            answer = model(frame)
            heads = truth.skeleton == SHELF_14
            people = campus_poses(answer.poses) if heads else convert_poses(answer.poses, truth.skeleton)
            frames.append(pair_errors(people, answer.association.confidence, truth))
        precision = [average_precision_one_to_one(frames, threshold_mm=mm) for mm in AP_THRESHOLDS_MM]
        return 100 * float(torch.tensor(precision).nan_to_num().mean())
