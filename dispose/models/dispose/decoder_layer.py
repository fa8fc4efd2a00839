"""One layer of the decoder: look, agree within and between views, move, triangulate, agree within the body."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dispose.models.dispose.decoder_geometry import (
    PIXEL_CENTRES,
    PersonInputs,
    PixelRules,
    Triangulate,
    nearest_to_rays,
)
from dispose.models.dispose.decoder_parts import (
    COUNT_CHANS,
    CountEmbedding,
    EdgeRows,
    FeedForward,
    GeometricFeedback,
    Members,
    OffsetNet,
    PackedPersons,
    ViewAggregation,
    count_embedding,
    own_members,
    own_rows,
    person_part_incidence,
    ray_encoder,
    view_joint_incidence,
    visible_softmax,
)
from dispose.models.dispose.heatmap_evidence import HeatmapEvidence
from dispose.nn.heatmaps import Features
from dispose.nn.hypergraph import HypergraphConv, Normalize
from dispose.nn.projective_attention import ProjectiveAttention
from dispose.tensors import TensorStruct


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes and options of the decoder; the defaults are ours for a laptop, `dispose.zoo` has the released ones.

    Attributes:
        chans: width of the features.
        feature_chans: channels of the feature maps.
        layers: identical layers, each refines the pose of the one before.
        heads: heads of the deformable attention.
        points: samples per head and level of it.
        hypergraph_heads: heads of the hypergraph convolutions.
        expansion: hidden width of the feed-forward blocks in units of `chans`.
        dropout: dropout rate.
        offset_limit: largest learned 2-D step of a layer, as a fraction of the longer side of the network input.
        instances: instance embeddings; 1 = all people are alike.
        room_centre: middle of the box that positions are normalised to, mm; None = relative to the person's root.
        room_size: sides of that box, or of the one about the root, mm.
        residual_unit: what a residual is divided by before its logarithm, which is cut at 1, goes into the features.
        windows: spacings of the heat-map windows in pixels of the heat map; none = no direct look at heat maps.
        window_size: points of a window's side.
        confidence: hidden width of the confidence head; 0 = none, confidences are then 1 where triangulated.
    """

    chans: int = 128
    feature_chans: int = 128
    layers: int = 4
    heads: int = 4
    points: int = 4
    hypergraph_heads: int = 4
    expansion: int = 4
    dropout: float = 0.1
    offset_limit: float = 0.15
    instances: int = 1
    room_centre: tuple[float, float, float] | None = None
    room_size: tuple[float, float, float] = (2500.0, 2500.0, 2500.0)
    residual_unit: float = 1000.0
    windows: tuple[float, ...] = (1.0, 2.5)
    window_size: int = 7
    confidence: int = 64


@dataclass(frozen=True)
class DecoderRules:
    """Choices that are algorithms; the defaults are ours, `dispose.zoo` holds those of the released weights.

    Attributes:
        pixels: where images end and how pixels become fractions.
        triangulate: from points in the views to points of space.
        rows: which embedding a hyperedge carries.
        members: which nodes belong to a hyperedge, from those that are visible.
        count: how the number of views of a joint is embedded.
    """

    pixels: PixelRules = PIXEL_CENTRES
    triangulate: Triangulate = nearest_to_rays
    rows: EdgeRows = own_rows
    members: Members = own_members
    count: CountEmbedding = count_embedding


@dataclass(frozen=True, eq=False)
class LayerInputs(TensorStruct):
    """What all layers share.

    Attributes:
        features: heat maps and feature maps.
        views: the cameras as the people see them.
        roots: where the people were proposed, mm.
        query: embedding of every joint of every person.
        first_edges: attributes of the view-joint hyperedges.
        second_edges: attributes of the person-part hyperedges.
        roster: who stands where in the batch.
        part_members: part and joint of every membership of a joint in a body part.
    """

    features: Features
    views: PersonInputs
    roots: Float[Tensor, "persons 3"]
    query: Float[Tensor, "persons joints chans"]
    first_edges: Float[Tensor, "persons first chans"]
    second_edges: Float[Tensor, "persons second chans"]
    roster: PackedPersons
    part_members: Int[Tensor, "members 2"]


@dataclass(frozen=True, eq=False)
class LayerUpdate(TensorStruct):
    """What a layer found.

    Attributes:
        xyz_world: joints, mm.
        xy_image: joints as the layer moved them in every view, original pixels.
        visible: in which views a joint was looked at.
        residual: how badly the rays meet.
        triangulated: joints with at least two views; the others stay where they were.
        weight: how much the layer trusts every view in the triangulation, sums to one over a joint's views.
    """

    xyz_world: Float[Tensor, "persons joints 3"]
    xy_image: Float[Tensor, "persons views joints 2"]
    visible: Bool[Tensor, "persons views joints"]
    residual: Float[Tensor, "persons joints"]
    triangulated: Bool[Tensor, "persons joints"]
    weight: Float[Tensor, "persons views joints"]


@dataclass(frozen=True, eq=False)
class SamplingLocations(TensorStruct):
    """Where a layer reads the images before it moves anything.

    Attributes:
        xy_image: the joints as they stood, original pixels; meaningless where not visible.
        samples: every head's samples of every level about them, original pixels.
        weight: how much a sample counts; sums to one over a joint's samples in a view.
        level: the resolution that a sample reads, 0 = finest.
        visible: in which views a joint was looked at.
    """

    xy_image: Float[Tensor, "persons views joints 2"]
    samples: Float[Tensor, "persons views joints samples 2"]
    weight: Float[Tensor, "persons views joints samples"]
    level: Int[Tensor, " samples"]
    visible: Bool[Tensor, "persons views joints"]


class DecoderLayer(nn.Module):
    """From poses to better poses; `normalize` is what both hypergraph convolutions attend over."""

    def __init__(self, config: DecoderConfig, joints: int, rules: DecoderRules, normalize: Normalize) -> None:
        super().__init__()
        chans, dropout = config.chans, config.dropout
        self.config, self.rules, self.normalize = config, rules, normalize
        inward = None if config.feature_chans == chans else config.feature_chans
        self.reader_norm = nn.LayerNorm(chans)
        self.reader = ProjectiveAttention(chans, heads=config.heads, points=config.points, inward=inward)
        self.place = nn.Linear(3, chans)
        self.joint_type = nn.Linear(joints, chans)
        self.ray_encoder = ray_encoder(chans)
        self.evidence = None
        if config.windows:
            self.evidence = HeatmapEvidence(chans, spacings=config.windows, size=config.window_size)
        self.across_views_scale = nn.Parameter(torch.zeros(()))
        self.across_views = HypergraphConv(chans, chans, heads=config.hypergraph_heads, dropout=dropout)
        self.across_views_norm = nn.LayerNorm(chans)
        self.offset = OffsetNet(chans, dropout)
        self.view_weight = ViewAggregation(chans)
        self.within_person_scale = nn.Parameter(torch.zeros(()))
        self.within_person = HypergraphConv(chans, chans, heads=config.hypergraph_heads, dropout=dropout)
        self.within_person_norm = nn.LayerNorm(chans)
        self.refresh_norm = nn.LayerNorm(chans)
        self.feedback = GeometricFeedback(chans // 2)
        self.refresh = nn.Linear(chans + chans // 2, chans)
        self.feed_forward_norm = nn.LayerNorm(chans)
        self.feed_forward = FeedForward(chans, config.expansion * chans, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        target: Float[Tensor, "persons joints chans"],
        xyz_world: Float[Tensor, "persons joints 3"],
        scene: LayerInputs,
    ) -> tuple[Float[Tensor, "persons joints chans"], LayerUpdate]:
        """New features and poses."""
        xy_input, visible = scene.views.project(xyz_world)
        reference = scene.views.rules.reference(xy_input, scene.views.input_size)
        x = self.look(target, xyz_world, reference, visible, scene)
        heights = None
        if self.evidence is not None:
            heights = self.evidence.read(scene.features.heatmaps, scene.views.map_of, reference)
            x = x + self.evidence.feature(heights)
        x = x * visible[..., None]
        incident = view_joint_incidence(*self.rules.members(scene.roster, visible, visible))
        mixed = self.across_views(x.flatten(1, 2), scene.first_edges, incident, self.normalize)
        mixed = self.dropout(self.across_views_norm(mixed)).view_as(x) * visible[..., None]
        x = x + self.across_views_scale * mixed
        state, offset, trust = self.offset(x)
        offset = offset * (self.config.offset_limit * max(scene.views.input_size))
        if self.evidence is not None and heights is not None:
            step, credit = self.evidence.step(heights, state)
            stride = max(scene.views.input_size) / max(scene.features.heatmaps.shape[-2:])
            offset, trust = offset + stride * step, trust + credit
        weight = visible_softmax(trust, visible)
        found = self.move(xyz_world, xy_input + offset.to(xy_input.dtype), weight, visible, scene)
        x = x * trust.sigmoid()[..., None]
        return self.update(target, self.view_weight(x, weight, visible), found, scene), found

    def look(
        self,
        target: Float[Tensor, "persons joints chans"],
        xyz_world: Float[Tensor, "persons joints 3"],
        reference: Float[Tensor, "persons views joints 2"],
        visible: Bool[Tensor, "persons views joints"],
        scene: LayerInputs,
    ) -> Float[Tensor, "persons views joints chans"]:
        """What the images show at the joints, with what is known of joint and ray added."""
        x = target.new_zeros((*visible.shape, target.shape[-1]))
        person, view, joint = visible.nonzero(as_tuple=True)
        query = self.reader_norm(target + scene.query)[person, joint]
        map_of = scene.views.map_of[person, view]
        seen = self.reader(scene.features.pyramid, map_of, reference[visible], query)
        x = x.to(seen.dtype).index_put((person, view, joint), seen)
        position = self.place(self.normalized(xyz_world, scene).to(target.dtype))
        ray = self.ray_encoder(scene.views.to_joints(xyz_world).to(target.dtype))
        return x + (position + self.joint_type.weight.T + self.joint_type.bias)[:, None] + ray

    def gaze(
        self,
        target: Float[Tensor, "persons joints chans"],
        xyz_world: Float[Tensor, "persons joints 3"],
        scene: LayerInputs,
    ) -> SamplingLocations:
        """Where `look` reads: for pictures, the layer's own computations do not need it."""
        views, pyramid = scene.views, scene.features.pyramid
        xy_input, visible = views.project(xyz_world)
        reference = views.rules.reference(xy_input, views.input_size)
        person, view, joint = visible.nonzero(as_tuple=True)
        query = self.reader_norm(target + scene.query)[person, joint]
        place, share = self.reader.gaze(pyramid, views.map_of[person, view], reference[visible], query)
        # An image's width is one: moves of fractions are moves of that many pixels of the input.
        moved = (place - reference[visible][:, None, None, None]).flatten(1, 3) * place.new_tensor(views.input_size)
        samples = xy_input[..., None, :].repeat(1, 1, 1, moved.shape[1], 1)
        samples[visible] += moved.to(samples.dtype)
        weight = share.new_zeros(samples.shape[:-1])
        weight[visible] = share.flatten(1) / self.config.heads
        level = torch.arange(len(pyramid), device=place.device)[None, :, None].expand(share.shape[1:]).flatten()
        image = views.to_image(samples.flatten(2, 3)).view_as(samples)
        return SamplingLocations(views.to_image(xy_input), image, weight, level, visible)

    def normalized(
        self, xyz_world: Float[Tensor, "persons joints 3"], scene: LayerInputs
    ) -> Float[Tensor, "persons joints 3"]:
        """Positions in the room's box, or in one about the root, as fractions of it."""
        centre = scene.roots[:, None]
        if self.config.room_centre is not None:
            centre = xyz_world.new_tensor(self.config.room_centre)
        size = xyz_world.new_tensor(self.config.room_size)
        return ((xyz_world - centre) / size + 0.5).clamp(0, 1)

    def move(
        self,
        before: Float[Tensor, "persons joints 3"],
        xy_input: Float[Tensor, "persons views joints 2"],
        weight: Float[Tensor, "persons views joints"],
        visible: Bool[Tensor, "persons views joints"],
        scene: LayerInputs,
    ) -> LayerUpdate:
        """Triangulate the moved points; joints with fewer than two views stay."""
        xy_image = scene.views.to_image(xy_input)
        xyz, residual = self.rules.triangulate(scene.views, xy_image, weight.transpose(1, 2), before)
        enough = visible.sum(1) >= 2
        xyz = torch.where(enough[..., None], xyz, before)
        return LayerUpdate(xyz, xy_image, visible, residual * enough, enough, weight)

    def update(
        self,
        target: Float[Tensor, "persons joints chans"],
        x: Float[Tensor, "persons joints chans"],
        found: LayerUpdate,
        scene: LayerInputs,
    ) -> Float[Tensor, "persons joints chans"]:
        """Features of the joints after the body's parts agreed and the geometry answered."""
        seen_in = found.visible.sum(1)
        first, second = seen_in > 0, (seen_in > 0)[:, scene.part_members[:, 1]]
        first, second = self.rules.members(scene.roster, first, second)
        incident = person_part_incidence(scene.part_members, scene.second_edges.shape[1] - 1, first, second)
        mixed = self.within_person(x, scene.second_edges, incident, self.normalize)
        x = x + self.within_person_scale * self.dropout(self.within_person_norm(mixed))
        residual = torch.where(found.triangulated, found.residual / self.config.residual_unit, 1.0)
        position = self.normalized(found.xyz_world.detach(), scene)
        count = self.rules.count(seen_in, COUNT_CHANS)
        feedback = self.feedback(position.to(x.dtype), residual.to(x.dtype), count)
        change = self.refresh(torch.cat([self.refresh_norm(x), feedback], -1))
        target = target + self.dropout(change)
        return target + self.feed_forward(self.feed_forward_norm(target))


def embedding_rows(
    instance: Float[Tensor, "instances chans"],
    kinds: Float[Tensor, "kinds chans"],
    rows: Int[Tensor, "persons edges"],
) -> Float[Tensor, "persons edges chans"]:
    """Attributes of hyperedges from rows of both tables, the instances first."""
    return torch.cat([instance, kinds])[rows]
