"""Stage II: where every joint of every proposed person is, from the images and the cameras."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dispose.losses.confidence import JOINT_THRESHOLD_MM, PERSON_THRESHOLD_MM, logit_below
from dispose.models.dispose.decoder_geometry import PersonInputs
from dispose.models.dispose.decoder_layer import (
    DecoderConfig,
    DecoderLayer,
    DecoderRules,
    LayerInputs,
    LayerUpdate,
    SamplingLocations,
    embedding_rows,
)
from dispose.models.dispose.decoder_parts import PackedPersons, part_members
from dispose.nn.heatmaps import Features
from dispose.nn.hypergraph import over_edges, over_nodes
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import PANOPTIC_15_REST, RestPose
from dispose.tensors import TensorStruct

LOG_JOINT = math.log(JOINT_THRESHOLD_MM)
LOG_PERSON = math.log(PERSON_THRESHOLD_MM)


@dataclass(frozen=True, eq=False)
class ErrorModel(TensorStruct):
    """Predicted log-logistic distributions of errors in mm (`dispose.losses.confidence`).

    Attributes:
        joint_log_scale: logarithm of the median error of a joint.
        joint_log_shape: logarithm of the shape: larger = surer of the scale.
        person_log_scale: the same of a person's mean error over joints.
        person_log_shape: the same of a person.
    """

    joint_log_scale: Float[Tensor, "persons joints"]
    joint_log_shape: Float[Tensor, "persons joints"]
    person_log_scale: Float[Tensor, " persons"]
    person_log_shape: Float[Tensor, " persons"]


@dataclass(frozen=True, eq=False)
class Refined(TensorStruct):
    """Poses after every layer.

    Attributes:
        prior: the rest pose at the root, mm.
        xyz_world: joints after every layer, mm.
        xy_image: joints as a layer moved them in the views, original pixels; meaningless where not visible.
        visible: in which views a layer looked at a joint.
        residual: how badly the rays of a joint meet (mm for ours); 0 where not triangulated.
        triangulated: joints that a layer saw in two views or more; the others stay where they were.
        joint_confidence: P(the joint's error is below 50 mm) after the last layer.
        person_confidence: P(the person exists and their mean error is below 100 mm).
        errors: the distributions behind the confidences; None for a decoder without that head.
    """

    prior: Float[Tensor, "persons joints 3"]
    xyz_world: Float[Tensor, "layers persons joints 3"]
    xy_image: Float[Tensor, "layers persons views joints 2"]
    visible: Bool[Tensor, "layers persons views joints"]
    residual: Float[Tensor, "layers persons joints"]
    triangulated: Bool[Tensor, "layers persons joints"]
    joint_confidence: Float[Tensor, "persons joints"]
    person_confidence: Float[Tensor, " persons"]
    errors: ErrorModel | None

    @property
    def last(self) -> Float[Tensor, "persons joints 3"]:
        """The final poses, mm."""
        return self.xyz_world[-1]


class LayerState(NamedTuple):
    """One layer at work.

    Attributes:
        layer: which.
        scene: what all layers share.
        before: the joints' features that it got.
        xyz_world: where the joints stood, mm.
        step: what it found.
        after: the joints' features that it hands on.
    """

    layer: DecoderLayer
    scene: LayerInputs
    before: Float[Tensor, "persons joints chans"]
    xyz_world: Float[Tensor, "persons joints 3"]
    step: LayerUpdate
    after: Float[Tensor, "persons joints chans"]

    def gaze(self) -> SamplingLocations:
        """Where the layer read the images."""
        return self.layer.gaze(self.before, self.xyz_world, self.scene)


@dataclass(frozen=True)
class Body:
    """A skeleton's rest pose and its parts.

    Attributes:
        rest: the rest pose.
        parts: joint names of every part; a part is one hyperedge.
    """

    rest: RestPose = PANOPTIC_15_REST
    parts: tuple[tuple[str, ...], ...] = field(
        default=(
            ("neck", "mid_hip"),
            ("nose",),
            ("l_shoulder", "l_elbow", "l_wrist"),
            ("r_shoulder", "r_elbow", "r_wrist"),
            ("l_hip", "l_knee", "l_ankle"),
            ("r_hip", "r_knee", "r_ankle"),
        )
    )


class ConfidenceHead(nn.Module):
    """Error distributions from the joints' final features."""

    def __init__(self, chans: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(chans)
        self.joint = nn.Sequential(nn.Linear(chans, hidden), nn.GELU(), nn.Linear(hidden, 2))
        self.person = nn.Sequential(nn.Linear(2 * chans + 1, hidden), nn.GELU(), nn.Linear(hidden, 2))

    def forward(self, target: Float[Tensor, "persons joints chans"]) -> ErrorModel:
        """Scales between 1 mm and 3 m, shapes between 0.3 and 12."""
        x = self.norm(target)
        scale, shape = bound_step(self.joint(x))
        pooled = torch.cat([x.mean(1), x.amax(1), scale.mean(1, keepdim=True) - 4.0], -1)
        person_scale, person_shape = bound_step(self.person(pooled))
        return ErrorModel(scale, shape, person_scale, person_shape)


def channels_last(features: Features) -> Features:
    """The same maps with a position's channels side by side: all layers read them where they are."""
    fine, middle, coarse = (level.contiguous(memory_format=torch.channels_last) for level in features.pyramid)
    return Features(features.heatmaps, fine, middle, coarse)


def bound_step(
    raw: Float[Tensor, "*items 2"],
) -> tuple[Float[Tensor, "*items"], Float[Tensor, "*items"]]:
    """Logarithms of scale and shape that start at 55 mm and 2."""
    scale, shape = raw.unbind(-1)
    return 4.0 + 4.0 * (scale / 4.0).tanh(), 0.7 + 1.8 * (shape / 1.8).tanh()


class Decoder(nn.Module):
    """Refines rest poses at root proposals, layer by layer; any number of cameras and people, independent of the rest.

    Gradients reach the roots through the places where the first layer looks.
    """

    rest: Tensor
    part_members: Tensor

    def __init__(self, config: DecoderConfig, body: Body | None = None, rules: DecoderRules | None = None) -> None:
        super().__init__()
        body, rules = body or Body(), rules or DecoderRules()
        self.config, self.rules = config, rules
        skeleton, chans = body.rest.skeleton, config.chans
        joints = len(skeleton)
        parts = tuple(tuple(skeleton.indices(part)) for part in body.parts)
        self.register_buffer("rest", torch.tensor(body.rest.xyz, dtype=torch.float64), persistent=False)
        self.register_buffer("part_members", part_members(parts), persistent=False)
        self.joint_embedding = nn.Embedding(joints, 2 * chans)
        self.instance_embedding = nn.Embedding(config.instances, 2 * chans)
        self.part_embedding = nn.Embedding(len(parts), 2 * chans)
        for table in (self.joint_embedding, self.instance_embedding, self.part_embedding):
            nn.init.normal_(table.weight, std=0.5)
        self.layers = nn.ModuleList(
            DecoderLayer(config, joints, rules, over_edges if number % 2 else over_nodes)
            for number in range(config.layers)
        )
        self.confidence = ConfidenceHead(chans, config.confidence) if config.confidence else None

    def forward(
        self,
        features: Features,
        rigs: Cameras,
        input_from_image: Float[Tensor, "samples views 2 3"],
        input_size: tuple[int, int],
        roots: Float[Tensor, "persons 3"],
        sample: Int[Tensor, " persons"],
        *,
        has_image: Bool[Tensor, "samples views"] | None = None,
    ) -> Refined:
        """Poses of packed people.

        Args:
            features: heat maps and feature maps of ``samples * views`` images.
            rigs: the cameras; geometry is computed in their dtype.
            input_from_image: affine from original pixels to the network input.
            input_size: width and height of the network input.
            roots: proposed root joints, mm.
            sample: whose people they are; people of one sample in the order of their slots.
            has_image: views that have an image; all, unless said otherwise.
        """
        moments = list(self.watch(features, rigs, input_from_image, input_size, roots, sample, has_image=has_image))
        return self.result(moments[0].xyz_world, [m.step for m in moments], moments[-1].after)

    def watch(
        self,
        features: Features,
        rigs: Cameras,
        input_from_image: Float[Tensor, "samples views 2 3"],
        input_size: tuple[int, int],
        roots: Float[Tensor, "persons 3"],
        sample: Int[Tensor, " persons"],
        *,
        has_image: Bool[Tensor, "samples views"] | None = None,
    ) -> Iterator[LayerState]:
        """The layers at work, one after another; what `forward` goes through, with the same arguments."""
        features = channels_last(features)
        if has_image is None:
            has_image = torch.ones_like(input_from_image[..., 0, 0], dtype=torch.bool)
        views = PersonInputs.of(rigs, sample, has_image, input_from_image, input_size, self.rules.pixels)
        roots = roots.to(rigs.matrix.dtype)
        scene, target = self.scene(features, views, roots, len(rigs.size))
        xyz = roots[:, None] + self.rest.to(roots.dtype)
        for layer in self.layers:
            after, step = layer(target, xyz, scene)
            yield LayerState(cast(DecoderLayer, layer), scene, target, xyz, step, after)
            target, xyz = after, step.xyz_world.detach()

    def scene(
        self, features: Features, views: PersonInputs, roots: Float[Tensor, "persons 3"], samples: int
    ) -> tuple[LayerInputs, Float[Tensor, "persons joints chans"]]:
        """What the layers share, and the joints' first features."""
        roster = PackedPersons.of(views.sample, samples)
        instances = self.config.instances
        joint, joint_edge = self.joint_embedding.weight, self.joint_embedding.weight.chunk(2, -1)[1]
        person, person_edge = self.instance_embedding.weight, self.instance_embedding.weight.chunk(2, -1)[1]
        query, target = (joint + person[roster.slot % instances][:, None]).chunk(2, -1)
        part_edge = self.part_embedding.weight.chunk(2, -1)[1]
        first = self.rules.rows(roster, views.usable.shape[1], len(joint), instances)
        second = self.rules.rows(roster, 1, len(part_edge), instances)
        scene = LayerInputs(
            features,
            views,
            roots,
            query,
            embedding_rows(person_edge, joint_edge, first),
            embedding_rows(person_edge, part_edge, second),
            roster,
            self.part_members,
        )
        return scene, target

    def result(
        self,
        prior: Float[Tensor, "persons joints 3"],
        steps: list[LayerUpdate],
        target: Float[Tensor, "persons joints chans"],
    ) -> Refined:
        """The steps stacked, with confidences from the last features."""
        triangulated = torch.stack([step.triangulated for step in steps])
        joint, person = triangulated[-1].to(target.dtype), torch.ones_like(target[:, 0, 0])
        errors = None
        if self.confidence is not None:
            errors = self.confidence(target)
            joint = logit_below(errors.joint_log_scale, errors.joint_log_shape, LOG_JOINT).sigmoid()
            person = logit_below(errors.person_log_scale, errors.person_log_shape, LOG_PERSON).sigmoid()
        return Refined(
            prior,
            torch.stack([step.xyz_world for step in steps]),
            torch.stack([step.xy_image for step in steps]),
            torch.stack([step.visible for step in steps]),
            torch.stack([step.residual for step in steps]),
            triangulated,
            joint,
            person,
            errors,
        )
