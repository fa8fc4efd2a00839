"""Rest poses: the body that is placed at a root before anything else is known of the person."""

from dataclasses import dataclass

from dispose.errors import InputError
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.skeletons.skeleton import Skeleton


@dataclass(frozen=True)
class RestPose:
    """Joints of a person at rest, mm, +Z up, with the root at the origin.

    Attributes:
        skeleton: whose joints these are.
        xyz: one point per joint.
    """

    skeleton: Skeleton
    xyz: tuple[tuple[float, float, float], ...]

    def __post_init__(self) -> None:
        if len(self.xyz) != len(self.skeleton):
            raise ValueError(f"{self.skeleton.name} has {len(self.skeleton)} joints, the rest pose {len(self.xyz)}")


# The pose that the authors ship: a mean over people who face all ways, hence thin like a pole.
PANOPTIC_15_REST = RestPose(
    PANOPTIC_15,
    (
        (1.5783421, -2.025869, 493.05954), (2.897234, -23.014757, 653.2658), (0.0, 0.0, 0.0),
        (23.586555, -0.8333204, 492.63232), (26.978474, -3.0712838, 255.21837), (21.550673, -12.902305, 186.04529),
        (12.988327, -0.14375943, 3.5553942), (14.706007, -14.481533, -318.45813), (3.895357, 1.8557451, -668.3092),
        (-19.879791, -2.4351506, 493.72964), (-28.683311, -12.070858, 270.13495), (-17.305542, -29.01309, 201.328),
        (-12.248991, -0.43929037, 2.5391521), (-19.095747, -5.6630683, -313.2835), (-19.489494, 1.0204926, -657.20416),
    ),
)  # fmt: skip

REST_POSES = (PANOPTIC_15_REST,)


def rest_pose(skeleton: Skeleton) -> RestPose:
    """The rest pose of a skeleton; `InputError` where none is known."""
    for pose in REST_POSES:
        if pose.skeleton == skeleton:
            return pose
    known = ", ".join(pose.skeleton.name for pose in REST_POSES)
    raise InputError(f"no rest pose is known for the skeleton {skeleton.name!r}; known: {known}")
