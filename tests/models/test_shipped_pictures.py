"""What the shipped weights for images promise on the sample of images: the people, near where they are."""

from dataclasses import replace

import pytest
import torch

from dispose.datasets.samples import sample_folder
from dispose.evaluation.against_truth import score_people
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import image_source_of, read_image_capture, read_image_frame, select_frames
from dispose.inference.run import results_of
from dispose.models.dispose.model import TwoStages
from dispose.scene.frame import Images
from dispose.zoo.checkpoints import load_image_model


@pytest.fixture(scope="module")
def model():
    return load_image_model()


@pytest.fixture(scope="module")
def capture():
    return read_image_capture(sample_folder("studio"))


def test_people_are_found_and_keep_their_number(model, capture) -> None:
    stages, source = TwoStages(model), image_source_of(select_frames(capture, 3, 9), model.config.input_size)
    found = [one.prediction for one in results_of(source, stages.associate, stages.reconstruct, batch=4)]
    truth = read_predictions(sample_folder("studio") / "truth" / "predictions.jsonl").frames
    figures = score_people(found, truth)
    assert figures.found >= 75 and figures.nobody <= 35 and figures.mpjpe_mm <= 125
    people = torch.cat([one.poses.id for one in found])
    assert int(people.bincount().max()) >= 5


def test_a_missing_picture_is_as_if_its_camera_were_not_there(model, capture) -> None:
    whole = read_image_frame(capture, 6, model.config.input_size).frame
    present = torch.tensor([True, True, False, True])
    seen = whole.require_images()
    images = Images(seen.pixels * present[:, None, None, None], seen.input_from_image, present)
    three = model(replace(whole, images=images))
    assert bool((three.association.members[:, 2] == -1).all())
    rows = [0, 1, 3]
    without = model(replace(whole, images=images).select(views=rows))
    assert len(three.association) == len(without.association)
    torch.testing.assert_close(three.poses.xyz_world, without.poses.xyz_world, rtol=0, atol=0.5)


def test_deterministic(model, capture) -> None:
    seen = read_image_frame(capture, 0, model.config.input_size).frame
    one, two = model(seen), model(seen)
    torch.testing.assert_close(one.poses.xyz_world, two.poses.xyz_world, rtol=0, atol=0)
