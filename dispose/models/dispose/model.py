"""DisPOSE on pictures: heat maps, who is who (Stage I), where every joint is (Stage II)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.association.roots import group_roots, map_pixel_of
from dispose.errors import ShapeError
from dispose.geometry.image_affine import apply, input_from_map, invert
from dispose.models.dispose.backbone import STRIDE, Backbone, BackboneConfig
from dispose.models.dispose.decoder import Decoder, DecoderConfig, LayerState, Refined
from dispose.models.dispose.root_associator import ImageAssociator, ImageAssociatorConfig
from dispose.models.dispose.sampling import SamplerConfig
from dispose.nn.features import Features
from dispose.nn.heatmaps import subpixel_peaks
from dispose.scene.cameras import Cameras
from dispose.scene.detections import Detections
from dispose.scene.frame import Frame, ImageBatch
from dispose.scene.poses import Poses
from dispose.scene.prediction import Association, Prediction
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT


@dataclass(frozen=True)
class DisPoseConfig:
    """Everything the weights depend on.

    Attributes:
        input_size: width and height of the pictures the weights were trained on.
        peaks: most root peaks looked at in one view.
        peak_threshold: least height of a root peak.
        backbone: sizes of the heat-map network.
        associator: of Stage I.
        decoder: of Stage II.
    """

    input_size: tuple[int, int] = (960, 512)
    peaks: int = 20
    peak_threshold: float = 0.2
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    associator: ImageAssociatorConfig = field(default_factory=ImageAssociatorConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)


@dataclass(frozen=True, eq=False)
class Proposals:
    """What Stage I hands to Stage II.

    Attributes:
        features: heat maps and feature maps of the pictures.
        batch: the frame as a batch of one.
        association: which root peaks are one person.
        roots: where the persons' roots are, mm.
    """

    features: Features
    batch: ImageBatch
    association: Association
    roots: Float[Tensor, "persons 3"]


class DisPose(nn.Module):
    """Pictures of one instant in, skeletons of all people out; any number of cameras and people."""

    skeleton: Skeleton = PANOPTIC_15

    def __init__(self, config: DisPoseConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone)
        self.associator = ImageAssociator(config.associator)
        self.decoder = Decoder(config.decoder)

    def see(self, batch: ImageBatch) -> Features:
        """Heat maps and features of all samples and views; those without a picture are 0 and cost nothing."""
        present = batch.images.present.flatten()
        pixels = batch.images.pixels.flatten(0, 1)[present]
        # Convolutions over the innermost axis are faster on every device we know.
        seen = self.backbone(pixels.contiguous(memory_format=torch.channels_last))
        if bool(present.all()):
            return seen

        def spread(values: Tensor) -> Tensor:
            everything = values.new_zeros(len(present), *values.shape[1:])
            return everything.index_copy(0, present.nonzero()[:, 0], values)

        return Features(spread(seen.heatmaps), spread(seen.fine), spread(seen.middle), spread(seen.coarse))

    @torch.no_grad()
    def detect(self, features: Features, batch: ImageBatch, frames: Sequence[Frame]) -> list[Frame]:
        """The root peaks of every sample as detections with one visible joint, best first."""
        root = self.skeleton.index(self.skeleton.root_of[0])
        peaks = subpixel_peaks(features.heatmaps[:, root : root + 1], self.config.peaks, self.config.peak_threshold)
        views = batch.images.present.shape[1]
        found = []
        for sample, frame in enumerate(frames):
            maps = slice(sample * views, sample * views + len(frame.cameras))
            image_from_input = invert(batch.images.input_from_image[sample, : len(frame.cameras)].double())
            xy_map = peaks.xy_map[maps, 0].double()
            xy = apply(image_from_input[:, None], input_from_map(xy_map, STRIDE)).cpu()
            valid = peaks.valid[maps, 0] & batch.images.present[sample, : len(frame.cameras), None]
            score = peaks.score[maps, 0].double().clamp(0, 1).cpu()
            found.append(Frame(frame.number, frame.cameras, root_detections(self.skeleton, xy, score, valid.cpu())))
        return found

    @torch.no_grad()
    def associate(
        self,
        frames: Sequence[Frame],
        features: Features,
        batch: ImageBatch,
        *,
        sampler: SamplerConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> list[Association]:
        """Who is who among the root peaks of every sample."""
        problems = self.associator.problems(frames, features, batch)
        decide = partial(self.associator.associate, sampler=sampler, generator=generator)
        return [decide(problem, len(frame.cameras)) for problem, frame in zip(problems, frames, strict=True)]

    @torch.no_grad()
    def forward(
        self,
        frame: Frame,
        *,
        sampler: SamplerConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> Prediction:
        """Everybody in one frame, which may lie on another device. `association` speaks of the root peaks of `detect`.

        Raises:
            ShapeError: the pictures have another size than the weights were trained on.
        """
        found = self.propose(frame, sampler=sampler, generator=generator)
        refined = self.refine(found.features, found.batch, [found.roots])
        return prediction_of(frame.number, self.skeleton, found.association, found.roots, refined)

    @torch.no_grad()
    def propose(
        self,
        frame: Frame,
        *,
        sampler: SamplerConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> Proposals:
        """Stage I of one frame: who is who among the root peaks, and where their roots are.

        Raises:
            ShapeError: the pictures have another size than the weights were trained on.
        """
        batch = ImageBatch.of([frame]).to(self.associator.look.weight.device)
        size = batch.images.input_size
        if size != tuple(self.config.input_size):
            raise ShapeError(
                f"frame {frame.number}: images of {size[0]} x {size[1]} pixels, "
                f"these weights take {self.config.input_size[0]} x {self.config.input_size[1]}"
            )
        features = self.see(batch)
        detected = self.detect(features, batch, [frame])
        association = self.associate(detected, features, batch, sampler=sampler, generator=generator)[0]
        roots = group_roots(
            detected[0], association.members, map_pixel_of(frame.require_images().input_from_image, STRIDE)
        )
        return Proposals(features, batch, association, roots)

    def refine(self, features: Features, batch: ImageBatch, roots: Sequence[Float[Tensor, "_ 3"]]) -> Refined:
        """Stage II from the roots of every sample's people."""
        return self.decoder(features, *self.packed(features, batch, roots), pictured=batch.images.present)

    def watch(
        self, features: Features, batch: ImageBatch, roots: Sequence[Float[Tensor, "_ 3"]]
    ) -> Iterator[LayerState]:
        """The layers of Stage II at work, as `refine` goes through them."""
        return self.decoder.watch(features, *self.packed(features, batch, roots), pictured=batch.images.present)

    def packed(
        self, features: Features, batch: ImageBatch, roots: Sequence[Float[Tensor, "_ 3"]]
    ) -> tuple[Cameras, Float[Tensor, "samples views 2 3"], tuple[int, int], Float[Tensor, "persons 3"], Tensor]:
        """Cameras, affines, input size, the roots of all samples one after the other, and whose they are."""
        device = features.fine.device
        sample = torch.cat([torch.full((len(r),), s, dtype=torch.long) for s, r in enumerate(roots)]).to(device)
        together = torch.cat(list(roots)).to(device)
        return batch.cameras, batch.images.input_from_image, batch.images.input_size, together, sample


def root_detections(
    skeleton: Skeleton, xy_image: Float[Tensor, "views slots 2"], score: Float[Tensor, "views slots"], valid: Tensor
) -> Detections:
    """Root points as people of whom one joint is visible."""
    views, slots = valid.shape
    root = skeleton.index(skeleton.root_of[0])
    xy = torch.zeros(views, slots, len(skeleton), 2, dtype=torch.float64)
    xy[:, :, root] = torch.where(valid[..., None], xy_image, 0.0)
    visible = torch.zeros(views, slots, len(skeleton), dtype=torch.bool)
    visible[:, :, root] = valid
    score = torch.where(valid, score, 0.0)
    confidence = torch.where(visible, score[..., None], 0.0)
    index = torch.where(valid, torch.arange(slots).expand(views, slots), ABSENT)
    return Detections(skeleton, xy, confidence, visible, score, valid, index)


def prediction_of(
    number: int, skeleton: Skeleton, association: Association, roots: Float[Tensor, "persons 3"], refined: Refined
) -> Prediction:
    """Last layer's skeletons; how sure one is of a person is the mean of who he is and where he is (geometric)."""
    xyz = refined.xyz_world[-1].detach().double().cpu()
    person = refined.person_confidence.detach().double().cpu()
    sure = (association.confidence * person).clamp(0, 1).sqrt()
    poses = Poses(
        skeleton,
        xyz,
        refined.joint_confidence.detach().double().cpu(),
        torch.isfinite(xyz).all(-1),
        torch.arange(len(association)),
    )
    return Prediction(number, Association(association.members, sure), poses, roots)
