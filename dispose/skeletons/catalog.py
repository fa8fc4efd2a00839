"""The skeletons that data sets and detectors use, as named values, and their rest poses."""

from dataclasses import dataclass

from dispose.errors import InputError
from dispose.skeletons.skeleton import Skeleton

LIMB_BONES = (
    ("l_shoulder", "r_shoulder"), ("l_shoulder", "l_elbow"), ("l_elbow", "l_wrist"), ("r_shoulder", "r_elbow"),
    ("r_elbow", "r_wrist"), ("l_shoulder", "l_hip"), ("r_shoulder", "r_hip"), ("l_hip", "r_hip"),
    ("l_hip", "l_knee"), ("l_knee", "l_ankle"), ("r_hip", "r_knee"), ("r_knee", "r_ankle"),
)  # fmt: skip

FACE_BONES = (("nose", "l_eye"), ("nose", "r_eye"), ("l_eye", "l_ear"), ("r_eye", "r_ear"))

COCO_17 = Skeleton(
    name="coco_17",
    joints=(
        "nose", "l_eye", "r_eye", "l_ear", "r_ear", "l_shoulder", "r_shoulder", "l_elbow", "r_elbow",
        "l_wrist", "r_wrist", "l_hip", "r_hip", "l_knee", "r_knee", "l_ankle", "r_ankle",
    ),
    bones=(*FACE_BONES, ("l_ear", "l_shoulder"), ("r_ear", "r_shoulder"), *LIMB_BONES),
    root_of=("l_hip", "r_hip"),
)  # fmt: skip

FOOT_BONES = (
    ("l_ankle", "l_big_toe"), ("l_big_toe", "l_small_toe"), ("l_ankle", "l_heel"),
    ("r_ankle", "r_big_toe"), ("r_big_toe", "r_small_toe"), ("r_ankle", "r_heel"),
)  # fmt: skip

NECK_TREE = (
    ("mid_hip", "neck"), ("neck", "nose"),
    ("neck", "l_shoulder"), ("l_shoulder", "l_elbow"), ("l_elbow", "l_wrist"),
    ("neck", "r_shoulder"), ("r_shoulder", "r_elbow"), ("r_elbow", "r_wrist"),
    ("mid_hip", "l_hip"), ("l_hip", "l_knee"), ("l_knee", "l_ankle"),
    ("mid_hip", "r_hip"), ("r_hip", "r_knee"), ("r_knee", "r_ankle"),
)  # fmt: skip

BODY_25 = Skeleton(
    name="body_25",
    joints=(
        "nose", "neck", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist", "mid_hip",
        "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", "r_eye", "l_eye", "r_ear", "l_ear",
        "l_big_toe", "l_small_toe", "l_heel", "r_big_toe", "r_small_toe", "r_heel",
    ),
    bones=(*NECK_TREE, *FACE_BONES, *FOOT_BONES),
    root_of=("mid_hip",),
)  # fmt: skip

BODY_25B = Skeleton(
    name="body_25b",
    joints=(
        *COCO_17.joints, "upper_neck", "head_top",
        "l_big_toe", "l_small_toe", "l_heel", "r_big_toe", "r_small_toe", "r_heel",
    ),
    bones=(*COCO_17.bones, ("upper_neck", "head_top"), ("upper_neck", "nose"), *FOOT_BONES),
    root_of=("l_hip", "r_hip"),
)  # fmt: skip

HALPE_26 = Skeleton(
    name="halpe_26",
    joints=(
        *COCO_17.joints, "head_top", "neck", "mid_hip",
        "l_big_toe", "r_big_toe", "l_small_toe", "r_small_toe", "l_heel", "r_heel",
    ),
    bones=(*NECK_TREE, ("nose", "head_top"), *FACE_BONES, *FOOT_BONES),
    root_of=("mid_hip",),
)  # fmt: skip

PANOPTIC_15 = Skeleton(
    name="panoptic_15",
    joints=(
        "neck", "nose", "mid_hip", "l_shoulder", "l_elbow", "l_wrist", "l_hip", "l_knee", "l_ankle",
        "r_shoulder", "r_elbow", "r_wrist", "r_hip", "r_knee", "r_ankle",
    ),
    bones=NECK_TREE,
    root_of=("mid_hip",),
)  # fmt: skip

PANOPTIC_19 = Skeleton(
    name="panoptic_19",
    joints=(*PANOPTIC_15.joints, "l_eye", "l_ear", "r_eye", "r_ear"),
    bones=(*NECK_TREE, *FACE_BONES),
    root_of=("mid_hip",),
)

SHELF_14 = Skeleton(
    name="shelf_14",
    joints=(
        "r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle", "r_wrist", "r_elbow", "r_shoulder",
        "l_shoulder", "l_elbow", "l_wrist", "bottom_head", "top_head",
    ),
    bones=(*LIMB_BONES, ("bottom_head", "top_head")),
    root_of=("l_hip", "r_hip"),
)  # fmt: skip

H36M_17 = Skeleton(
    name="h36m_17",
    joints=(
        "mid_hip", "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", "spine", "neck", "nose",
        "head_top", "l_shoulder", "l_elbow", "l_wrist", "r_shoulder", "r_elbow", "r_wrist",
    ),
    bones=(
        ("mid_hip", "spine"), ("spine", "neck"), *(b for b in NECK_TREE if b != ("mid_hip", "neck")),
        ("nose", "head_top"),
    ),
    root_of=("mid_hip",),
)  # fmt: skip

MPII_17 = Skeleton(
    name="mpii_17",
    joints=(
        "r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle", "mid_hip", "spine", "neck", "head_top",
        "r_wrist", "r_elbow", "r_shoulder", "l_shoulder", "l_elbow", "l_wrist", "nose",
    ),
    bones=H36M_17.bones,
    root_of=("mid_hip",),
)  # fmt: skip
"""MPII's sixteen joints and the nose: those of `H36M_17` in Learnable Triangulation's order (iskakov2019learnable)."""

# Index 7, which some code calls the spine, is the thorax: the neck of the others, between the shoulders.
MPII_16 = Skeleton(
    name="mpii_16",
    joints=(
        "r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle", "mid_hip", "neck", "upper_neck", "head_top",
        "r_wrist", "r_elbow", "r_shoulder", "l_shoulder", "l_elbow", "l_wrist",
    ),
    bones=(*(b for b in NECK_TREE if "nose" not in b), ("neck", "upper_neck"), ("upper_neck", "head_top")),
    root_of=("mid_hip",),
)  # fmt: skip

MPI_INF_3DHP_17 = Skeleton(
    name="mpi_inf_3dhp_17",
    joints=(
        "head_top", "neck", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist", "r_hip", "r_knee",
        "r_ankle", "l_hip", "l_knee", "l_ankle", "mid_hip", "spine", "head",
    ),
    bones=(
        ("mid_hip", "spine"), ("spine", "neck"), ("neck", "head"), ("head", "head_top"),
        *(b for b in NECK_TREE if b not in (("mid_hip", "neck"), ("neck", "nose"))),
    ),
    root_of=("mid_hip",),
)  # fmt: skip

MVOR_10 = Skeleton(
    name="mvor_10",
    joints=(
        "head", "neck", "l_shoulder", "r_shoulder", "l_hip", "r_hip", "l_elbow", "r_elbow", "l_wrist", "r_wrist",
    ),
    bones=(
        ("head", "neck"), ("neck", "l_shoulder"), ("neck", "r_shoulder"), ("l_shoulder", "l_hip"),
        ("r_shoulder", "r_hip"), ("l_shoulder", "l_elbow"), ("r_shoulder", "r_elbow"),
        ("l_elbow", "l_wrist"), ("r_elbow", "r_wrist"),
    ),
    root_of=("l_hip", "r_hip"),
)  # fmt: skip

# By markers: its pelvis lies 50 mm behind the middle of the hips, its thorax 44 mm from that of the shoulders.
HUMANEVA_15 = Skeleton(
    name="humaneva_15",
    joints=(
        "pelvis", "thorax", "l_shoulder", "l_elbow", "l_wrist", "r_shoulder", "r_elbow", "r_wrist",
        "l_hip", "l_knee", "l_ankle", "r_hip", "r_knee", "r_ankle", "head",
    ),
    bones=(
        ("pelvis", "thorax"), ("thorax", "l_shoulder"), ("l_shoulder", "l_elbow"), ("l_elbow", "l_wrist"),
        ("thorax", "r_shoulder"), ("r_shoulder", "r_elbow"), ("r_elbow", "r_wrist"), ("pelvis", "l_hip"),
        ("l_hip", "l_knee"), ("l_knee", "l_ankle"), ("pelvis", "r_hip"), ("r_hip", "r_knee"), ("r_knee", "r_ankle"),
        ("thorax", "head"),
    ),
    root_of=("l_hip", "r_hip"),
)  # fmt: skip

# The body of COCO-WholeBody: COCO's joints and the feet.
COCO_23 = Skeleton(
    name="coco_23",
    joints=(*COCO_17.joints, "l_big_toe", "l_small_toe", "l_heel", "r_big_toe", "r_small_toe", "r_heel"),
    bones=(*COCO_17.bones, *FOOT_BONES),
    root_of=("l_hip", "r_hip"),
)

CROWDPOSE_14 = Skeleton(
    name="crowdpose_14",
    joints=(
        "l_shoulder", "r_shoulder", "l_elbow", "r_elbow", "l_wrist", "r_wrist", "l_hip", "r_hip",
        "l_knee", "r_knee", "l_ankle", "r_ankle", "head_top", "neck",
    ),
    bones=(*LIMB_BONES, ("neck", "head_top"), ("neck", "l_shoulder"), ("neck", "r_shoulder")),
    root_of=("l_hip", "r_hip"),
)  # fmt: skip

# AI Challenger's.
AIC_14 = Skeleton(
    name="aic_14",
    joints=(
        "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist", "r_hip", "r_knee", "r_ankle",
        "l_hip", "l_knee", "l_ankle", "head_top", "neck",
    ),
    bones=CROWDPOSE_14.bones,
    root_of=CROWDPOSE_14.root_of,
)  # fmt: skip

# OpenPose's older model, "COCO" there: COCO's joints in an order of its own, and a neck.
OPENPOSE_18 = Skeleton(
    name="openpose_18",
    joints=(
        "nose", "neck", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist",
        "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", "r_eye", "l_eye", "r_ear", "l_ear",
    ),
    bones=(("neck", "nose"), ("neck", "l_shoulder"), ("neck", "r_shoulder"), *FACE_BONES, *LIMB_BONES),
    root_of=("l_hip", "r_hip"),
)  # fmt: skip

# OpenPose's model of MPII ("MPI" there): its neck is MPII's upper neck, its chest the middle between thorax and pelvis.
OPENPOSE_15 = Skeleton(
    name="openpose_15",
    joints=(
        "head_top", "upper_neck", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist",
        "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", "spine",
    ),
    bones=(("spine", "upper_neck"), ("upper_neck", "head_top"), ("spine", "l_hip"), ("spine", "r_hip"), *LIMB_BONES),
    root_of=("l_hip", "r_hip"),
)  # fmt: skip

# The body of MediaPipe's (BlazePose's) landmarks; its foot index is the tip of the foot.
MEDIAPIPE_21 = Skeleton(
    name="mediapipe_21",
    joints=(*COCO_17.joints, "l_heel", "r_heel", "l_big_toe", "r_big_toe"),
    bones=(*COCO_17.bones, *(bone for bone in FOOT_BONES if not bone[1].endswith("small_toe"))),
    root_of=("l_hip", "r_hip"),
)

CATALOG = (
    COCO_17, BODY_25, BODY_25B, HALPE_26, PANOPTIC_15, PANOPTIC_19, SHELF_14, H36M_17, MPII_17, MVOR_10, HUMANEVA_15,
    MPII_16, MPI_INF_3DHP_17, COCO_23, CROWDPOSE_14, AIC_14, OPENPOSE_15, OPENPOSE_18, MEDIAPIPE_21,
)  # fmt: skip

_FACE = tuple(f"face_{number}" for number in range(68))
_HANDS = tuple(f"{side}_hand_{number}" for side in "lr" for number in range(21))

COCO_WHOLEBODY_133 = Skeleton(
    "coco_wholebody_133", (*COCO_23.joints, *_FACE, *_HANDS), COCO_23.bones, COCO_23.root_of
)  # fmt: skip

HALPE_136 = Skeleton("halpe_136", (*HALPE_26.joints, *_FACE, *_HANDS), HALPE_26.bones, HALPE_26.root_of)

MEDIAPIPE_33 = Skeleton(
    name="mediapipe_33",
    joints=(
        "nose", "l_eye_inner", "l_eye", "l_eye_outer", "r_eye_inner", "r_eye", "r_eye_outer", "l_ear", "r_ear",
        "l_mouth", "r_mouth", "l_shoulder", "r_shoulder", "l_elbow", "r_elbow", "l_wrist", "r_wrist",
        "l_pinky", "r_pinky", "l_index", "r_index", "l_thumb", "r_thumb", "l_hip", "r_hip", "l_knee", "r_knee",
        "l_ankle", "r_ankle", "l_heel", "r_heel", "l_big_toe", "r_big_toe",
    ),
    bones=MEDIAPIPE_21.bones,
    root_of=MEDIAPIPE_21.root_of,
)  # fmt: skip

# Sapiens' (Goliath's): a hand ends with its wrist, behind the neck are points of face, ears and mouth.
SAPIENS_308 = Skeleton(
    "sapiens_308",
    (
        *(joint for joint in COCO_23.joints if "wrist" not in joint),
        *_HANDS[21:41], "r_wrist", *_HANDS[:20], "l_wrist",
        "l_olecranon", "r_olecranon", "l_cubital_fossa", "r_cubital_fossa", "l_acromion", "r_acromion", "neck",
        *(f"face_{number}" for number in range(238)),
    ),
    COCO_23.bones,
    COCO_23.root_of,
)  # fmt: skip

# MediaPipe's body, then hands and face in any order, as FreeMoCap has them: with or without the irises.
MEDIAPIPE_543, MEDIAPIPE_553 = (
    Skeleton(
        f"mediapipe_{count}",
        (*MEDIAPIPE_33.joints, *(f"other_{number}" for number in range(count - 33))),
        MEDIAPIPE_21.bones,
        MEDIAPIPE_21.root_of,
    )
    for count in (543, 553)
)

WHOLE_BODIES = (
    (COCO_WHOLEBODY_133, COCO_23), (HALPE_136, HALPE_26), (MEDIAPIPE_33, MEDIAPIPE_21), (SAPIENS_308, COCO_23),
    (MEDIAPIPE_543, MEDIAPIPE_21), (MEDIAPIPE_553, MEDIAPIPE_21),
)  # fmt: skip
"""Skeletons of detectors that also see faces and hands, and the body that is read of them: joints of the same names."""


def body_of(skeleton: Skeleton) -> Skeleton:
    """The body that is read of a detector's skeleton: of most of them all joints."""
    return dict(WHOLE_BODIES).get(skeleton, skeleton)


def by_name(name: str) -> Skeleton:
    """The skeleton with this name, of the catalogue or of `WHOLE_BODIES`; `InputError` lists the names for another."""
    known = (*CATALOG, *(whole for whole, _ in WHOLE_BODIES))
    for skeleton in known:
        if skeleton.name == name:
            return skeleton
    raise InputError(f"no skeleton named {name!r}; known: {', '.join(s.name for s in known)}")


@dataclass(frozen=True)
class RestPose:
    """A person at rest, placed at a root before anything else is known: a point per joint, mm, +Z up, root at 0."""

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
