"""Laws of frozen records: what is selected, padded, stacked and joined is the same along every field's named axis."""

from dataclasses import dataclass, field

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.frame import Detections, Frame, stack_rigs
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT, TensorStruct, along, cat, stack
from dispose_synthetic.scenes import SceneConfig, sample_scenes


@dataclass(frozen=True, eq=False)
class Inner(TensorStruct):
    value: Float[Tensor, "*batch views"]


@dataclass(frozen=True, eq=False)
class Outer(TensorStruct):
    names: tuple[str, ...] = field(metadata=along("views"))
    inner: Inner
    mass: Float[Tensor, "steps views"]
    index: Int[Tensor, " views"]
    scale: float = 2.0


def outer(views: int, start: float = 0.0) -> Outer:
    row = start + torch.arange(float(views))
    return Outer(tuple("abcdef"[:views]), Inner(row), torch.stack([row, 10 + row]), torch.arange(views))


def test_a_named_axis_is_selected_wherever_it_is_and_nowhere_else():
    found = outer(4).select(views=[3, 1])
    assert found.names == ("d", "b") and found.scale == 2.0
    assert found.inner.value.tolist() == [3, 1] and found.index.tolist() == [3, 1]
    assert found.mass.tolist() == [[3, 1], [13, 11]]
    assert outer(4).select(steps=[1]).mass.tolist() == [[10, 11, 12, 13]]
    masked = outer(4).select(views=torch.tensor([True, False, True, False]))
    assert masked.names == ("a", "c") and masked.mass[1].tolist() == [10, 12]
    with pytest.raises(ShapeError, match="Outer has no axis 'persons'"):
        outer(2).select(persons=[0])


def test_padding_is_absent_in_indices_and_zero_elsewhere():
    found = outer(2).pad(views=4)
    assert found.index.tolist() == [0, 1, ABSENT, ABSENT]
    assert found.mass.tolist() == [[0, 1, 0, 0], [10, 11, 0, 0]]
    assert outer(3).pad(views=3).index.tolist() == [0, 1, 2]


def test_joined_records_come_apart_again():
    one, two = outer(2), outer(3, start=7.0)
    both = cat([one, two], "views")
    for part, rows in ((one, slice(0, 2)), (two, slice(2, 5))):
        torch.testing.assert_close(both.mass[:, rows], part.mass)
        torch.testing.assert_close(both.inner.value[rows], part.inner.value)
    together = stack([one, outer(2, start=1.0)])
    assert together.mass.shape == (2, 2, 2)
    torch.testing.assert_close(together[1].mass, outer(2, start=1.0).mass)
    with pytest.raises(ShapeError, match=r"Outer\.names differs"):
        stack([one, two.select(views=[1, 2])])


def test_stacked_rigs_see_what_each_rig_sees(generator: torch.Generator):
    scenes = sample_scenes(generator, 6, SceneConfig())
    rigs = [frame.cameras for frame, _ in scenes]
    together = stack_rigs(rigs)
    sample = torch.tensor([4, 0, 2])
    xyz = 1000 * torch.randn(3, 5, 3, dtype=torch.float64, generator=generator)
    xy, front = together[sample].project(xyz)
    rays = together[sample].directions(xy)
    for row, number in enumerate(sample.tolist()):
        views = len(rigs[number])
        alone, ahead = rigs[number].project(xyz[row])
        torch.testing.assert_close(xy[row, :views], alone)
        torch.testing.assert_close(rays[row, :views], rigs[number].directions(alone))
        assert torch.equal(front[row, :views], ahead) and not front[row, views:].any()


def test_no_rig_and_no_point_are_projected_to_nothing(generator: torch.Generator):
    ((frame, _),) = sample_scenes(generator, 1, SceneConfig(views=(3, 3)))
    rig = frame.cameras
    none = stack([rig, rig])[:0]
    assert none.project(torch.zeros(0, 15, 3, dtype=torch.float64))[0].shape == (0, 3, 15, 2)
    assert rig.project(torch.zeros(0, 15, 3, dtype=torch.float64))[0].shape == (3, 0, 15, 2)


def test_a_frame_of_images_alone_detects_nobody(generator: torch.Generator):
    frame, _ = sample_scenes(generator, 1, SceneConfig())[0]
    with pytest.raises(ShapeError, match=f"frame {frame.number} has no images"):
        frame.require_images()
    with pytest.raises(ShapeError, match="1 in detections"):
        Frame(3, frame.cameras, Detections.from_lists(COCO_17, [[]]))


def test_detections_remember_where_they_stood_in_their_file():
    """Somebody who was left out keeps their place: the next one's number isn't theirs."""
    person = torch.ones(len(COCO_17), 3, dtype=torch.float64)
    found = Detections.from_lists(COCO_17, [[person], [], [person, person]], index=[[3], [], [0, 2]])
    assert found.index.tolist() == [[3, -1], [-1, -1], [0, 2]]
    assert found.valid.tolist() == [[True, False], [False, False], [True, True]]
    assert Detections.from_lists(COCO_17, [[person, person]]).index.tolist() == [[0, 1]]
