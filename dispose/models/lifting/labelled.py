"""People of data sets as lifters are told of them."""

import torch

from dispose.datasets.labelled_people import LabelledPeople
from dispose.models.lifting.sight import PeopleInView, told_noise
from dispose.models.lifting.view import confidence_of, view_people


def see_labelled(people: LabelledPeople) -> PeopleInView:
    """People with their keypoints, by the names that these have.

    A keypoint is told to be as uncertain as its file says; where that says nothing, as a detector's usually are. Of
    cameras whose place is not known, which have the world's axes for their own, it is not told which way is up.
    """
    width = people.cameras.size[:, 0]
    usual = told_noise(people.xy_image, people.seen.double(), people.seen, width)
    sigma = torch.where(people.sigma_px > 0, people.sigma_px, usual)
    confidence, joints = confidence_of(sigma, width[:, :1]), people.names.keypoints.joints
    rotation = people.cameras.rotation
    placed = not torch.equal(rotation, torch.eye(3).to(rotation).expand_as(rotation))
    view = view_people(joints, people.cameras, people.xy_image, confidence, people.seen, sigma, upright=placed)
    return PeopleInView(people.cameras, people.xy_image, view)
