"""DisPOSE on images: heat maps, who is who (Stage I), where every joint is (Stage II)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.association.roots import group_roots, map_pixel_of
from dispose.errors import ShapeError
from dispose.geometry.image_affine import apply, input_from_map, invert
from dispose.models.dispose.decoder import Decoder, DecoderConfig, LayerState, Refined
from dispose.models.dispose.root_associator import ImageAssociator, ImageAssociatorConfig
from dispose.models.dispose.sampling import SamplerConfig
from dispose.nn.backbones import STRIDE, Backbone, BackboneConfig
from dispose.nn.heatmaps import Features, subpixel_peaks
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, ImageBatch, Poses
from dispose.scene.peaks import root_detections
from dispose.scene.results import Association, AssociationResult, Prediction
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.skeletons.skeleton import Skeleton


@dataclass(frozen=True)
class DisPoseConfig:
    """Everything the weights depend on.

    Attributes:
        input_size: width and height of the images the weights were trained on.
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
        features: heat maps and feature maps of the images.
        batch: the images of all frames.
        results: which root peaks of every frame are one person; `frame` has these peaks as detections.
        roots: where every frame's persons' roots are, mm.
    """

    features: Features
    batch: ImageBatch
    results: list[AssociationResult]
    roots: list[Float[Tensor, "_ 3"]]


class DisPose(nn.Module):
    """Images of one instant in, skeletons of all people out; any number of cameras and people."""

    skeleton: Skeleton = PANOPTIC_15

    def __init__(self, config: DisPoseConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone)
        self.associator = ImageAssociator(config.associator)
        self.decoder = Decoder(config.decoder)

    def see(self, batch: ImageBatch) -> Features:
        """Heat maps and features of all samples and views; those without an image are 0 and cost nothing."""
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
    ) -> list[AssociationResult]:
        """Who is who among the root peaks of every sample, and what was weighed."""
        problems = self.associator.problems(frames, features, batch)
        decide = partial(self.associator.weigh, sampler=sampler, generator=generator)
        found = [decide(problem, len(frame.cameras)) for problem, frame in zip(problems, frames, strict=True)]
        return [replace(one, frame=frame) for one, frame in zip(found, frames, strict=True)]

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
            ShapeError: the images have another size than the weights were trained on.
        """
        found = self.propose([frame], sampler=sampler, generator=generator)
        return self.place(found)[0]

    @torch.no_grad()
    def propose(
        self,
        frames: Sequence[Frame],
        *,
        sampler: SamplerConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> Proposals:
        """Stage I of some frames, one at least: who is who among the root peaks, and where their roots are.

        Raises:
            ShapeError: the images have another size than the weights were trained on.
        """
        batch = ImageBatch.of(frames).to(self.associator.look.weight.device)
        size = batch.images.input_size
        if size != tuple(self.config.input_size):
            raise ShapeError(
                f"frame {frames[0].number}: images of {size[0]} x {size[1]} pixels, "
                f"these weights take {self.config.input_size[0]} x {self.config.input_size[1]}"
            )
        features = self.see(batch)
        detected = self.detect(features, batch, frames)
        results = self.associate(detected, features, batch, sampler=sampler, generator=generator)
        spacing = [map_pixel_of(frame.require_images().input_from_image, STRIDE) for frame in frames]
        roots = [
            group_roots(peaks, one.association.members, map_pixel)
            for peaks, one, map_pixel in zip(detected, results, spacing, strict=True)
        ]
        return Proposals(features, batch, results, roots)

    @torch.no_grad()
    def place(self, found: Proposals) -> list[Prediction]:
        """Stage II of some frames: everybody's joints."""
        refined = self.refine(found.features, found.batch, found.roots)
        xyz = refined.xyz_world[-1].detach().double().cpu()
        person = refined.person_confidence.detach().double().cpu()
        joint = refined.joint_confidence.detach().double().cpu()
        people = [len(roots) for roots in found.roots]
        parts = zip(
            found.results, found.roots, xyz.split(people), joint.split(people), person.split(people), strict=True
        )
        return [prediction_of(self.skeleton, *part) for part in parts]

    def refine(self, features: Features, batch: ImageBatch, roots: Sequence[Float[Tensor, "_ 3"]]) -> Refined:
        """Stage II from the roots of every sample's people."""
        return self.decoder(features, *self.packed(features, batch, roots), has_image=batch.images.present)

    def watch(
        self, features: Features, batch: ImageBatch, roots: Sequence[Float[Tensor, "_ 3"]]
    ) -> Iterator[LayerState]:
        """The layers of Stage II at work, as `refine` goes through them."""
        return self.decoder.watch(features, *self.packed(features, batch, roots), has_image=batch.images.present)

    def packed(
        self, features: Features, batch: ImageBatch, roots: Sequence[Float[Tensor, "_ 3"]]
    ) -> tuple[Cameras, Float[Tensor, "samples views 2 3"], tuple[int, int], Float[Tensor, "persons 3"], Tensor]:
        """Cameras, affines, input size, the roots of all samples one after the other, and whose they are."""
        device = features.fine.device
        sample = torch.cat([torch.full((len(r),), s, dtype=torch.long) for s, r in enumerate(roots)]).to(device)
        together = torch.cat(list(roots)).to(device)
        return batch.cameras, batch.images.input_from_image, batch.images.input_size, together, sample


def prediction_of(
    skeleton: Skeleton,
    found: AssociationResult,
    roots: Float[Tensor, "persons 3"],
    xyz_world: Float[Tensor, "persons joints 3"],
    joint: Float[Tensor, "persons joints"],
    person: Float[Tensor, " persons"],
) -> Prediction:
    """The skeletons of one frame; how sure one is of a person is the mean of who they are and where (geometric)."""
    assert found.frame is not None
    sure = (found.association.confidence * person).clamp(0, 1).sqrt()
    poses = Poses(skeleton, xyz_world, joint, torch.isfinite(xyz_world).all(-1), torch.arange(len(sure)))
    return Prediction(found.frame.number, Association(found.association.members, sure), poses, roots)


class TwoStages:
    """A `DisPose` as the two steps of a run: what the first saw is kept for the second.

    Frames with fewer than two images are not looked at: one alone places nobody.
    """

    def __init__(self, model: DisPose, sampler: SamplerConfig | None = None) -> None:
        self.model, self.sampler = model, sampler
        self.seen: Proposals | None = None

    def associate(self, frames: Sequence[Frame]) -> list[AssociationResult]:
        """Who is who among the root peaks of every frame, and what was weighed."""
        asked = [frame for frame in frames if worth_a_look(frame)]
        self.seen = self.model.propose(asked, sampler=self.sampler) if asked else None
        found = iter(self.seen.results if self.seen is not None else ())
        return [
            next(found) if worth_a_look(frame) else nobody_among_peaks(self.model.skeleton, frame) for frame in frames
        ]

    def reconstruct(self, frames: Sequence[Frame], associations: Sequence[Association]) -> list[Prediction]:
        """Where every joint is, in the frames that were associated last."""
        found = iter(self.model.place(self.seen) if self.seen is not None else ())
        return [next(found) if worth_a_look(frame) else nobody(self.model.skeleton, frame) for frame in frames]


class FrameByFrame:
    """A model that answers about one frame's images in one go, as the two steps of a run."""

    def __init__(self, see: Callable[[Frame], Prediction], skeleton: Skeleton) -> None:
        self.see, self.skeleton = see, skeleton
        self.answers: list[Prediction] = []

    def associate(self, frames: Sequence[Frame]) -> list[AssociationResult]:
        """Who is who; nothing is said of what was weighed."""
        self.answers = [self.see(one) if worth_a_look(one) else nobody(self.skeleton, one) for one in frames]
        return [AssociationResult(answer.association) for answer in self.answers]

    def reconstruct(self, frames: Sequence[Frame], associations: Sequence[Association]) -> list[Prediction]:
        """Where every joint is, in the frames that were associated last."""
        return self.answers


def worth_a_look(frame: Frame) -> bool:
    """Whether there are two images at least."""
    return int(frame.require_images().present.sum()) > 1


def nobody_among_peaks(skeleton: Skeleton, frame: Frame) -> AssociationResult:
    """No peak, and nobody."""
    empty = Detections.from_lists(skeleton, [[]] * len(frame.cameras))
    return AssociationResult(nobody(skeleton, frame).association, None, Frame(frame.number, frame.cameras, empty))


def nobody(skeleton: Skeleton, frame: Frame) -> Prediction:
    """A frame without people."""
    none = torch.zeros(0, len(skeleton), 3, dtype=torch.float64)
    poses = Poses(skeleton, none, none[..., 0], none[..., 0] > 0, torch.zeros(0, dtype=torch.long))
    members = torch.zeros(0, len(frame.cameras), dtype=torch.long)
    return Prediction(frame.number, Association(members, none[:, 0, 0]), poses, none[:, 0])
