"""Laws of every data set read from images, shown on one that the test makes: lazy, tolerant, and honest about it."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dispose.datasets.layouts.actors import CAMPUS, SHELF
from dispose.datasets.layouts.mm_or import MM_OR
from dispose.datasets.layouts.panoptic import PANOPTIC
from dispose.datasets.layouts.source import Block, FrameKey, Layout, Split, Traits, no_poses
from dispose.datasets.multiview import FrameLog, MultiViewDataset, good_samples
from dispose.errors import InputError
from dispose.geometry.image_affine import apply, letterbox
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import PANOPTIC_15

SIZE = (64, 48)
TRAITS = Traits("made", PANOPTIC_15, ("a", "b", "c"), SIZE, (32, 32), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), 0.2)


def of_source(source: Layout) -> MultiViewDataset:
    return MultiViewDataset(source, source.traits.input_size)


def rig() -> Cameras:
    matrix = torch.tensor([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]], dtype=torch.float64).expand(3, 3, 3)
    size = torch.tensor(SIZE, dtype=torch.float64).expand(3, 2)
    translation = torch.tensor([[0.0, 0, 900], [50, 0, 900], [0, 50, 900]], dtype=torch.float64)
    rotation = torch.eye(3, dtype=torch.float64).expand(3, 3, 3)
    return Cameras(("a", "b", "c"), size, matrix, torch.zeros(3, 8).double(), rotation, translation)


def image_path(folder: Path, key: FrameKey, camera: str) -> Path:
    return folder / camera / f"{key.number}.png"


def nobody(key: FrameKey) -> Poses:
    return no_poses(PANOPTIC_15)


@pytest.fixture
def made(tmp_path: Path) -> Layout:
    """Images written by the test; an image's grey value is 10 x number + view."""
    for view, name in enumerate("abc"):
        (tmp_path / name).mkdir()
        for number in range(1, 6):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), np.full(SIZE[::-1], 10 * number + view, np.uint8))
    keys = tuple(FrameKey("walk", number) for number in range(1, 6))
    return Layout(TRAITS, keys, {"walk": rig()}, partial(image_path, tmp_path), nobody)


def test_frames_are_what_lies_there(made: Layout) -> None:
    dataset = of_source(made)
    assert len(dataset) == 5
    frame, truth = dataset[2]
    assert frame.number == truth.number == 3 and truth.sequence == "walk"
    pixels = frame.require_images().pixels
    assert pixels.shape == (3, 3, 32, 32) and pixels.dtype == torch.float32
    assert bool(frame.require_images().present.all())
    for view in range(3):
        middle = (frame.require_images().pixels[view, :, 16, 16] * torch.tensor([0.229, 0.224, 0.225])) + torch.tensor(
            [0.485, 0.456, 0.406]
        )
        torch.testing.assert_close(255 * middle, torch.full((3,), 30.0 + view), atol=1e-3, rtol=0)
    # The corners of the image lie on the affine's corners, and the black margins are above and below.
    corners = frame.require_images().input_from_image[0] @ torch.tensor([[-0.5, 63.5], [-0.5, 47.5], [1, 1]]).double()
    torch.testing.assert_close(corners, torch.tensor([[-0.5, 31.5], [3.5, 27.5]]).double())
    assert (frame.require_images().pixels[0, :, 3] < frame.require_images().pixels[0, :, 4]).all()


def test_nothing_is_read_before_it_is_asked_for(made: Layout) -> None:
    dataset = of_source(made)
    made.image(made.keys[4], 0).write_text("broken")
    assert len(dataset) == 5 and dataset[0][0].number == 1
    with pytest.raises(InputError, match=r"a/5\.png.*camera a, frame 5 of walk"):
        dataset[4]


def test_a_missing_picture_leaves_its_view_out(made: Layout) -> None:
    made.image(made.keys[1], 2).unlink()
    frame, _ = of_source(made)[1]
    assert frame.require_images().present.tolist() == [True, True, False]
    assert bool((frame.require_images().pixels[2] == 0).all()) and len(frame.cameras) == 3
    # 0 is ImageNet's mean, not black.
    black, _ = of_source(made)[0]
    assert not bool((black.require_images().pixels[2, :, 0] == 0).any())


def test_a_wrong_size_is_named_with_both_sizes(made: Layout) -> None:
    cv2.imwrite(str(made.image(made.keys[0], 1)), np.zeros((24, 32), np.uint8))
    with pytest.raises(InputError, match=r"b/1\.png: camera b, frame 1 of walk.*32 x 24.*64 x 48"):
        of_source(made)[0]
    # An image turned on its side has as many pixels; it is as wrong.
    cv2.imwrite(str(made.image(made.keys[0], 1)), np.zeros((64, 48), np.uint8))
    with pytest.raises(InputError, match="48 x 64"):
        of_source(made)[0]


def test_no_picture_at_all_and_no_folder_are_errors(made: Layout) -> None:
    for view in range(3):
        made.image(made.keys[3], view).unlink()
    with pytest.raises(InputError, match=r"frame 4 of walk: none of the 3 cameras"):
        of_source(made)[3]
    elsewhere = replace(made, image_path=partial(image_path, Path("nowhere")))
    with pytest.raises(InputError, match="no such folder of pictures"):
        of_source(elsewhere)[0]


def test_a_run_outlives_bad_frames_and_counts_them(made: Layout) -> None:
    made.image(made.keys[0], 0).write_bytes(b"\xff\xd8 torn")
    made.image(made.keys[2], 1).unlink()
    cv2.imwrite(str(made.image(made.keys[4], 2)), np.zeros((10, 10), np.uint8))
    log = FrameLog()
    for _ in range(2):
        assert [frame.number for frame, _ in good_samples(of_source(made), log)] == [2, 3, 4]
    assert (log.frames, log.skipped, len(log.bad), log.absent["b"]) == (6, 4, 2, 2)
    text = log.summary()
    assert "6 frames read, 4 skipped" in text and "Camera b" in text and "1.png" in text and "10 x 10" in text


def test_blocks_count_what_is_there() -> None:
    numbers = [3, 1, 7, 20, 21, 40]
    assert Block("s").of(numbers) == [1, 3, 7, 20, 21, 40]
    assert Block("s", 3, 21).of(numbers) == [3, 7, 20, 21]
    assert Block("s", every=2).of(numbers) == [1, 7, 21] and Block("s", every=2, most=2).of(numbers) == [1, 7]
    assert Block("s").of([]) == []
    split = Split("all", (Block("s", 0, 1), Block("t"), Block("s", 5, 6)), lambda folder, views: [])
    assert split.sequences == ("s", "t") and split.only("s").blocks == (split.blocks[0], split.blocks[2])
    with pytest.raises(InputError, match="no sequence 'u'"):
        split.only("u")


@pytest.mark.parametrize(
    ("traits", "bars"),
    [(PANOPTIC, (24.9, 0.0)), (SHELF, (0.0, 3.2)), (CAMPUS, (0.0, 0.0)), (MM_OR, (0.0, 0.0))],
    ids=lambda value: value.name if isinstance(value, Traits) else "",
)
def test_black_bars_come_from_the_letter_box_and_from_nothing_else(traits: Traits, bars: tuple[float, float]) -> None:
    size = torch.tensor(traits.image_size, dtype=torch.float64)
    first = apply(letterbox(size, traits.input_size), torch.full((2,), -0.5, dtype=torch.float64)) + 0.5
    assert first.tolist() == pytest.approx(bars, abs=0.05)


def test_another_input_size_is_a_value(made: Layout) -> None:
    frame, _ = MultiViewDataset(made, (80, 24))[0]
    assert frame.require_images().pixels.shape == (3, 3, 24, 80)
