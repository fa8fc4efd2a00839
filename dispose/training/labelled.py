"""Real pictures with pseudo-labels as something to train from."""

from dataclasses import replace

import torch

from dispose.datasets.augmentation.images import AugmentationConfig, augment
from dispose.datasets.multiview import MultiViewDataset
from dispose.errors import InputError
from dispose.formats.pseudo_labels import PseudoLabelStore
from dispose.geometry.image_affine import letterbox
from dispose.scene.frame import Frame, Labels


class LabelledImages:
    """The frames of a data set that have pseudo-labels, as an `ImageSource`; true poses are never read.

    Raises:
        InputError: no frame of the data set has labels.
    """

    def __init__(self, dataset: MultiViewDataset, labels: PseudoLabelStore, augmentation: AugmentationConfig) -> None:
        self._dataset, self._augmentation = dataset, augmentation
        known = set(labels.keys)
        keys = dataset.source.keys
        self._rows = [row for row, key in enumerate(keys) if (key.sequence, key.number) in known]
        if not self._rows:
            first = f", such as frame {keys[0].number} of {keys[0].sequence}" if keys else ""
            raise InputError(f"{labels.path}: has labels for none of the {len(keys)} training frames{first}.")
        names = dataset.source.cameras(keys[self._rows[0]].sequence).names
        self._labels = labels.select(names)

    def __len__(self) -> int:
        return len(self._rows)

    def views(self, row: int) -> int:
        """Number of cameras, present or not."""
        return len(self._dataset.source.cameras(self._dataset.source.keys[self._rows[row]].sequence))

    def copies(self, row: int, count: int, generator: torch.Generator) -> list[tuple[Frame, Labels]]:
        """The frame as it is, then varied copies; labels are in original pixels and shared by all.

        Raises:
            InputError: a picture cannot be read, or none is there.
        """
        key = self._dataset.source.keys[self._rows[row]]
        raw = self._dataset.raw(self._rows[row])
        labels = self._labels.at(key.sequence, key.number)
        size = self._dataset.input_size
        versions = augment(
            raw.images,
            letterbox(raw.cameras.size, size),
            size,
            (labels.xy_image, labels.visible),
            replace(self._augmentation, copies=count),
            generator,
        )
        return [(Frame.of_images(key.number, raw.cameras, images), labels) for images in versions]
