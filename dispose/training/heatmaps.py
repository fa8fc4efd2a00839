"""The task of the heat-map backbone."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.losses.curation import curate, pack_labels
from dispose.losses.heatmaps import asymmetric_mse, heatmap_targets
from dispose.losses.objective import Term
from dispose.models.dispose.backbone import STRIDE
from dispose.models.dispose.model import DisPose
from dispose.scene.frame import ImageBatch
from dispose.training.config import BackboneTraining
from dispose.training.frames import ExampleBatch, ImageExample, Skipped
from dispose.training.task import Task


class BackboneTask(Task):
    """Fit the heat maps to labelled joints."""

    name = "backbone"

    def __init__(self, model: DisPose, settings: BackboneTraining) -> None:
        super().__init__()
        self.settings, self.network, self.skipped = settings, model.backbone, Skipped()
        # Not a child: its other parts are not trained here.
        self._model = [model]

    def forward(self, batch: ExampleBatch) -> tuple[Term, ...]:
        """Asymmetric squared error of all maps that show a labelled joint."""
        self.skipped.add(batch.skipped)
        examples = batch.examples
        if self.settings.copies and len(examples) > 1:
            # The plain image is for consistency between copies, which heat maps have none of.
            examples = tuple(example for example in examples if example.copy > 0)
        device = next(self.network.parameters()).device
        return (Term("heatmap", self.loss(examples, device) if examples else torch.zeros((), device=device)),)

    def loss(self, examples: Sequence[ImageExample], device: torch.device) -> Float[Tensor, ""]:
        """Of some examples with equally many views."""
        batch = ImageBatch.of([example.frame for example in examples]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            features = self._model[0].see(batch)
        height, width = features.heatmaps.shape[-2:]
        labels = [example.labels.to(device) for example in examples]
        targets = curate(pack_labels(labels, batch.images.present.shape[1]), batch.cameras)
        unmatched = [row.unmatched for row in labels] if self.settings.supervise_unmatched else []
        maps = heatmap_targets(
            targets,
            unmatched,
            batch.images.input_from_image,
            size=(width, height),
            stride=STRIDE,
            sigma=self.settings.sigma_map_px,
        )
        supervised = maps.supervised & batch.images.present.flatten()[:, None]
        if self.settings.complete_labels:
            supervised = batch.images.present.flatten()[:, None].expand_as(maps.supervised)
        target = maps.heatmaps.to(features.heatmaps.dtype)
        return asymmetric_mse(
            features.heatmaps,
            target,
            supervised,
            excess=self.settings.background,
            weight=1 + self.settings.peak * target,
        )
