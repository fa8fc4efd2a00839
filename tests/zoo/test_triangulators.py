"""The table of triangulators: every row answers exactly on exact rays, and names and weights are checked."""

from pathlib import Path

import pytest
import torch

from dispose.association.packing import gather_groups
from dispose.errors import InputError
from dispose.scene.frame import Detections, Frame
from dispose.scene.results import Association
from dispose.skeletons.catalog import COCO_17
from dispose.zoo.checkpoints import shipped_associator_weights
from dispose.zoo.triangulators import DEFAULT_TRIANGULATOR, TRIANGULATORS, find_triangulator, load_triangulator
from dispose_benchmarks.studies.triangulation import ring_of

EXACT = ("dlt", "robust", "ransac", "algebraic", "hybrid")


@pytest.mark.parametrize("name", EXACT)
def test_exact_rays_give_the_joints(name: str, generator: torch.Generator) -> None:
    cameras = ring_of(4)
    xyz = 500 * torch.rand(17, 3, generator=generator, dtype=torch.float64)
    keypoints = torch.cat([cameras.project(xyz)[0], torch.full((4, 17, 1), 0.9, dtype=torch.float64)], -1)
    frame = Frame(0, cameras, Detections.from_lists(COCO_17, [[keypoints[v]] for v in range(4)]))
    groups = gather_groups([frame], [Association(torch.zeros(1, 4, dtype=torch.long), torch.ones(1).double())])
    poses = load_triangulator(name)(groups)
    assert poses.valid.all()
    torch.testing.assert_close(poses.xyz_world[0], xyz, atol=1e-5, rtol=0)


def test_names() -> None:
    assert find_triangulator(DEFAULT_TRIANGULATOR).name == DEFAULT_TRIANGULATOR
    assert len({one.name for one in TRIANGULATORS}) == len(TRIANGULATORS)
    with pytest.raises(InputError, match="no triangulator named 'tea'; known: dlt, robust, ransac"):
        find_triangulator("tea")
    with pytest.raises(InputError, match=r"mine.safetensors: the triangulator ransac has no weights"):
        load_triangulator("ransac", Path("mine.safetensors"))


@pytest.mark.parametrize("name", ["algebraic", "hybrid"])
def test_weights_of_another_network_are_refused(name: str) -> None:
    other = shipped_associator_weights()
    with pytest.raises(InputError, match=r"holds weights of Associator, those of DetectionWeights are needed"):
        load_triangulator(name, other)
