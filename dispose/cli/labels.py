"""`dispose labels`: pseudo-label files, converted and looked at; and how uncertain 2-D joints are."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from dispose.datasets.joint_mixtures import mixtures_of_detectors, mixtures_of_maps, write_joint_mixtures
from dispose.errors import InputError
from dispose.formats.folders import require_file
from dispose.formats.pseudo_labels import PseudoLabelStore, read_pseudo_labels, write_pseudo_labels
from dispose.released.pseudo_labels import read_released_labels
from dispose.scene.labels import FEWEST_JOINTS
from dispose.skeletons.catalog import by_name

# How our adapters call the cameras that the pickles number, and the only recording of a data set that has one.
CAMERAS = {"shelf": "Camera{}", "campus": "Camera{}", "mm_or": "camera{:02d}"}
SEQUENCES = {"shelf": "Shelf", "campus": "Campus"}

InputArgument = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]


@dataclass(frozen=True)
class ConvertLabels:
    """Read labels that were released with the paper (a pickle) and write them as ours; nothing in it is executed."""

    file: InputArgument
    """The pickle, such as panoptic_…_pseudo_labels.pkl."""

    out: Path
    """The .npz to write."""

    dataset: Literal["panoptic", "shelf", "campus", "mm_or"] = "panoptic"
    """Whose labels they are: cameras and recordings get the names that our adapter of that data set knows."""

    rename: Annotated[tyro.conf.UseAppendAction[tuple[tuple[str, str], ...]], tyro.conf.arg(metavar="FROM TO")] = ()
    """A name of your own for a camera of the pickle; repeat the option for several."""

    def run(self) -> int:
        """Convert, and say what was read."""
        out = require_file(self.out)
        print(f"reading {self.file}: a large one takes a minute", flush=True)
        released = read_released_labels(self.file)
        for name, _ in self.rename:
            if name not in released.views:
                raise InputError(f"{self.file}: no camera {name!r} (there is {', '.join(released.views) or 'none'}).")
        names = dict(self.rename)
        if self.dataset in CAMERAS:
            ours = CAMERAS[self.dataset]
            names = {view: ours.format(int(view)) for view in released.views if view.isdigit()} | names
        views = [names.get(view, view) for view in released.views]
        if len(set(views)) != len(views):
            raise InputError(f"--rename gives two cameras the same name: {', '.join(views)}.")
        sequence = SEQUENCES.get(self.dataset)
        frames = (replace(frame, sequence=sequence or frame.sequence) for frame in released.frames)
        for oddity in released.oddities:
            print(f"note: {oddity}.")
        write_pseudo_labels(out, released.skeleton, views, frames, source=self.file.name)
        print(summary(read_pseudo_labels(out)))
        print(f"wrote {out}")
        return 0


@dataclass(frozen=True)
class ShowLabels:
    """Say what a pseudo-label file holds."""

    file: InputArgument
    """The .npz."""

    def run(self) -> int:
        """Read and check all of it, and print a summary."""
        print(summary(read_pseudo_labels(self.file)))
        return 0


@dataclass(frozen=True)
class UncertaintyLabels:
    """Say how uncertain 2-D joints are, as the Gaussian mixtures that DiffPose (Gong et al.) learns from.

    From the 2-D files of two or more detectors (data_2d_h36m_*.npz), or with `--skeleton` from one .npz of heat maps:
    arrays SUBJECT/ACTION/CAMERA (frames, joints, height, width), each with SUBJECT/ACTION/CAMERA/image_from_map
    (frames, 2, 3) beside it where the maps are of a part of the image.
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """The .npz files."""

    out: Path
    """The .npz to write: positions_2d[subject][action][camera], (frames, joints, kernels, 5)."""

    kernels: int = 1
    """Gaussians per joint."""

    skeleton: Annotated[str | None, tyro.conf.arg(help_behavior_hint="")] = None
    """The file holds heat maps of this skeleton's joints, such as h36m_17."""

    def run(self) -> int:
        """Fit, write, and say how wide the kernels are."""
        out = require_file(self.out)
        if not self.files:
            raise InputError("`dispose labels uncertainty` needs the files of at least two detectors, or heat maps.")
        if self.skeleton is not None:
            skeleton = by_name(self.skeleton)
            recordings = mixtures_of_maps(self.files[0], self.kernels, skeleton)
        else:
            recordings, skeleton = mixtures_of_detectors(self.files, self.kernels)
        write_joint_mixtures(out, recordings, skeleton)
        mixtures = [mixture for cameras in recordings.values() for mixture in cameras]
        wide = np.median(np.concatenate([mixture.scale[:, :, 0].flatten().numpy() for mixture in mixtures]))
        frames = sum(len(mixture.weight) for mixture in mixtures)
        print(f"{frames} pictures of {len(recordings)} recordings; the likeliest kernels are {wide:.1f} px wide")
        print(f"wrote {out}")
        return 0


@dataclass(frozen=True)
class LabelsCommand:
    """Labels for training: pseudo-labels of images, converted into our format or looked at; uncertainty of 2-D joints.

    The format of pseudo-labels is described in docs/pseudo_labels.md.
    """

    command: tyro.conf.OmitSubcommandPrefixes[
        Annotated[ConvertLabels, tyro.conf.subcommand("convert")]
        | Annotated[ShowLabels, tyro.conf.subcommand("show")]
        | Annotated[UncertaintyLabels, tyro.conf.subcommand("uncertainty")]
    ]

    def run(self) -> int:
        """Do what was asked."""
        return self.command.run()


def summary(store: PseudoLabelStore) -> str:
    """What is in a file, as a table of its sequences and some sums."""
    t = store.tables
    frames = np.bincount(t.frame_sequence, minlength=len(store.sequences))
    persons = np.bincount(t.frame_sequence[t.person_frame], minlength=len(store.sequences))
    strangers = t.sighting_person < 0
    alone = np.bincount(t.frame_sequence[t.sighting_frame[strangers]], minlength=len(store.sequences))
    width = max(map(len, ("sequence", *store.sequences)))
    lines = [f"{'sequence':<{width}}  {'frames':>8}{'people':>9}{'unmatched':>11}"]
    for row, name in enumerate(store.sequences):
        lines.append(f"{name:<{width}}  {frames[row]:>8}{persons[row]:>9}{alone[row]:>11}")
    joints = t.person_valid.sum(-1)
    lines += [
        f"{'all':<{width}}  {frames.sum():>8}{persons.sum():>9}{alone.sum():>11}",
        "",
        f"skeleton {store.skeleton.name}, cameras {', '.join(store.views) or 'none'}",
        f"3-D: {int((joints >= FEWEST_JOINTS).sum())} people with at least {FEWEST_JOINTS} joints, "
        f"{int(((joints > 0) & (joints < FEWEST_JOINTS)).sum())} with fewer, {int((joints == 0).sum())} in 2-D only",
        f"2-D: {len(t.sighting_view)} people in views, {int(strangers.sum())} of them unmatched",
    ]
    return "\n".join(lines)
