"""Data sets, released weights and labels: their licence, what may be fetched, and what to do about the rest.

None of the sources publishes sizes or checksums, so completeness is checked against what the server announces.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dispose.datasets.download.fetch import Item

PANOPTIC_SERVER = "http://domedb.perception.cs.cmu.edu/webdata/dataset"
CAMPAR = "https://www.campar.in.tum.de/public_datasets/2014_cvpr_belagiannis"
VOXELPOSE = "https://github.com/microsoft/voxelpose-pytorch/raw/main/data"
PANOPTIC_SEQUENCES = (
    "160422_ultimatum1", "160224_haggling1", "160226_haggling1", "161202_haggling1", "160906_ian1", "160906_ian2",
    "160906_ian3", "160906_band1", "160906_band2", "160906_pizza1", "160422_haggling1", "160906_ian5", "160906_band4",
)  # fmt: skip


@dataclass(frozen=True)
class Listing:
    """What there is to know about obtaining a data set.

    The citation is a key in docs/references.bib or the title of the work; the licence is what the source says may be
    done with it, shown before anything is fetched; `extent` says how much the items are, as far as it is known. Steps
    are exact instructions for the rest, in which ``{folder}`` stands for where the files lie.
    """

    name: str
    title: str
    citation: str
    licence: str
    items: tuple[Item, ...]
    extent: str
    steps: tuple[str, ...]


def panoptic_items(sequences: Sequence[str], nodes: Sequence[int]) -> tuple[Item, ...]:
    """Calibration, 3-D poses and, for every high-definition camera asked for, the video of some sequences."""
    items = []
    for name in sequences:
        files = [f"calibration_{name}.json", "hdPose3d_stage1_coco19.tar"]
        items += [Item(f"{PANOPTIC_SERVER}/{name}/{file}", f"{name}/{file}") for file in files]
        for node in nodes:
            file = f"hd_00_{node:02d}.mp4"
            url = f"{PANOPTIC_SERVER}/{name}/videos/hd_shared_crf20/{file}"
            items.append(Item(url, f"{name}/hdVideos/{file}"))
    return tuple(items)


def panoptic(sequences: Sequence[str] = PANOPTIC_SEQUENCES, nodes: Sequence[int] = ()) -> Listing:
    """CMU Panoptic; without nodes only calibrations and 3-D poses."""
    return Listing(
        "panoptic",
        "CMU Panoptic Studio",
        "joo2015panoptic",
        "Free for non-commercial and research purposes only, with a citation of one of the Panoptic Studio papers "
        "(http://domedb.perception.cs.cmu.edu).",
        panoptic_items(sequences, nodes),
        "sizes are not published; the videos of one sequence and one camera are several GB",
        (
            "videos: add --nodes 3 6 12 13 23 (the cameras CMU0), and --sequences for some of the recordings; or use "
            "`./scripts/getData.sh SEQUENCE 0 31` of "
            "https://github.com/CMU-Perceptual-Computing-Lab/panoptic-toolbox, which fetches all 31 HD cameras",
            "3-D poses, in every sequence: (cd {folder}/SEQUENCE && tar -xf hdPose3d_stage1_coco19.tar)",
            "images, for every sequence and camera: mkdir -p {folder}/SEQUENCE/hdImgs/00_03 && ffmpeg -i "
            "{folder}/SEQUENCE/hdVideos/hd_00_03.mp4 -q:v 1 -f image2 -start_number 0 "
            "{folder}/SEQUENCE/hdImgs/00_03/00_03_%08d.jpg",
            "if the server does not answer: http://vcl.snu.ac.kr/panoptic is a mirror with the same paths",
        ),
    )


def _actors(name: str, title: str, archive: str, extent: str) -> Listing:
    folder = archive.partition(".")[0]
    calibration = f"calibration_{name}.json"
    return Listing(
        name,
        title,
        "belagiannis2014shelf; calibration: tu2020voxelpose",
        "None is stated on the page of the data set (https://campar.in.tum.de/Chair/MultiHumanPose): use it for "
        "research and cite the paper. The calibration file is of VoxelPose's repository (MIT).",
        (
            Item(f"{CAMPAR}/{archive}", archive),
            Item(f"{VOXELPOSE}/{folder}/{calibration}", f"{folder}/{calibration}"),
        ),
        extent,
        (
            f"unpack: tar -xjf {{folder}}/{archive} -C {{folder}}",
            f"the adapter then reads {{folder}}/{folder} (Camera0/…, actorsGT.mat, {calibration})",
            "2-D and 3-D pseudo-labels for training: dispose download released_labels",
        ),
    )


SHELF = _actors("shelf", "Shelf", "Shelf.tar.bz2", "about 16 GB")
CAMPUS = _actors("campus", "Campus", "CampusSeq1.tar.bz2", "about 1 GB")

MM_OR = Listing(
    "mm_or",
    "MM-OR and MM-OR Pose",
    "ozsoy2025mmor; poses: wang2026dispose",
    "MM-OR is given to people who fill in its form and thereby accept its terms of use; no licence of the pose "
    "annotations is stated beside that of their repository (MIT).",
    (),
    "",
    (
        "images and calibrations: fill in https://forms.gle/kj47QXEcraQdGidg6, which gives access to the authors' "
        "download script (https://github.com/egeozsoy/MM-OR); it needs wget and unzip",
        "3-D poses of the test takes: uvx gdown 1s28d2BwULZHxlCVbEoF_H_q1i7sgizAL -O {folder}/annotations.zip && "
        "unzip {folder}/annotations.zip -d {folder}",
        "the adapter reads {folder}/TAKE/colorimage, {folder}/TAKE/camera01.json … and {folder}/TAKE/poses; the "
        "archive may put them below mm_or/: move the takes together",
    ),
)

RELEASED_WEIGHTS = Listing(
    "released_weights",
    "The checkpoints released with DisPOSE",
    "wang2026dispose",
    "The repository is under the MIT licence; none is stated for the archive itself.",
    (),
    "about 630 MB",
    (
        "uvx gdown 1KjDpvcUIbWdfx1sC6jrzLf2IbtXsv2mk -O {folder}/weights.zip && unzip {folder}/weights.zip -d {folder}",
        "into our form: dispose zoo import {folder}/pose/shelf.pt --dataset shelf (or panoptic, campus, mm_or)",
    ),
)

RELEASED_LABELS = Listing(
    "released_labels",
    "The pseudo-labels released with DisPOSE",
    "wang2026dispose",
    "The repository is under the MIT licence; none is stated for the archive itself, whose labels are of the pictures "
    "of CMU Panoptic, Shelf, Campus and MM-OR.",
    (),
    "about 140 MB",
    (
        "uvx gdown 1O8Un36ROUUGnLhYwbZ0OZ0TySj0YHaFR -O {folder}/labels.zip && unzip {folder}/labels.zip -d {folder}",
        "into our format: dispose labels convert {folder}/preparation/shelf/…_train/panoptic_…_pseudo_labels.pkl "
        "--dataset shelf --out {folder}/shelf.npz",
    ),
)

MVOR = Listing(
    "mvor",
    "MVOR",
    "srivastav2018mvor",
    "CC BY-NC-SA 4.0.",
    (),
    "",
    ("follow the README of https://github.com/CAMMA-public/MVOR, which names the archive and its checks",),
)

HUMAN36M = Listing(
    "human36m",
    "Human3.6M",
    "ionescu2014h36m; its forms: iskakov2019learnable, pavllo2019videopose3d, holmquist2023diffpose, gong2023diffpose, "
    "zhao2023contextpose",
    "Academic use only, no redistribution; the page of the data set has the terms. Weights trained on it may not ship.",
    (),
    "",
    (
        "register at http://vision.imar.ro/human3.6m and fetch the poses, and the videos where pictures are needed",
        "keypoints of four views: DATASETS.md of https://github.com/facebookresearch/VideoPose3D makes "
        "data_3d_h36m.npz and data_2d_h36m_gt.npz and links data_2d_h36m_cpn_ft_h36m_dbb.npz: all into {folder}",
        "mixtures: the README of https://github.com/GONGJIA0208/Diffpose links its npz: into {folder}",
        "heat maps (50 GB): data/preprocessing/H36M.py of https://github.com/bastianwandt/DiffPose makes "
        "{folder}/H36M_dataset_h36m_hrnet.h5; framelist_h36m_hard_subset beside it",
        "pickles: H36M-Toolbox of https://github.com/QitaoZhao/ContextAware-PoseFormer makes h36m_train.pkl and "
        "h36m_validation.pkl: into {folder}",
        "data/cards/human36m.md says what each of them holds",
    ),
)

HUMANEVA = Listing(
    "humaneva",
    "HumanEva-I",
    "sigal2010humaneva",
    "Research only, not to be redistributed; weights trained on it may not ship.",
    (),
    "",
    (
        "register at http://humaneva.is.tue.mpg.de; the joints and cameras used here are those in common use with "
        "lifting networks (https://github.com/qingchuanma/3Dpose)",
        "the adapter reads the converted tables {folder}/poses.npz, meta.json and cameras_S1.json (data/README.md)",
    ),
)

MPI_INF_3DHP = Listing(
    "mpi_inf_3dhp",
    "MPI-INF-3DHP",
    "mehta2017monocular",
    "Non-commercial research only; methods and models that make use of it for non-commercial purposes only; no "
    "redistribution. Weights trained on it may not ship.",
    (),
    "",
    (
        "fetch the scripts at https://vcai.mpi-inf.mpg.de/3dhp-dataset, accept the licence in conf.ig, then "
        "get_dataset.sh and get_testset.sh",
        "the adapter reads {folder}/S1/Seq1/annot.mat … and {folder}/TS1/annot_data.mat …; pictures are not needed",
    ),
)

LISTINGS = (
    panoptic(), SHELF, CAMPUS, MM_OR, MVOR, HUMAN36M, HUMANEVA, MPI_INF_3DHP, RELEASED_WEIGHTS, RELEASED_LABELS,
)  # fmt: skip
