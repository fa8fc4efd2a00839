"""Human3.6M's people in single views, by the name of a choice, from whichever of the files in circulation are there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dispose.datasets.human36m_choice import TRAINING_SUBJECTS, FrameChoice, Rigs
from dispose.datasets.labelled_people import LabelledPeople
from dispose.datasets.tables.human36m_h5 import read_human36m_h5
from dispose.datasets.tables.human36m_pickles import read_context_pickle
from dispose.datasets.tables.videopose3d import read_videopose3d_views
from dispose.errors import InputError

HARD_LIST = "framelist_h36m_hard_subset"
POSES = "data_3d_h36m.npz"


@dataclass(frozen=True)
class ViewFiles:
    """A form in which the data set circulates: what its files are called, and what reads one of them."""

    pattern: str
    read: Callable[[Path, Rigs, FrameChoice], LabelledPeople]


def _npz(path: Path, rigs: Rigs, choice: FrameChoice) -> LabelledPeople:
    listed = choice.with_list(path.parent / HARD_LIST)
    return read_videopose3d_views(path.parent / POSES, path, rigs, listed)


def _pickle(path: Path, rigs: Rigs, choice: FrameChoice) -> LabelledPeople:
    training = set(choice.subjects) <= set(TRAINING_SUBJECTS)
    return read_context_pickle(path.with_name("h36m_train.pkl") if training else path, choice).people


HEAT_MAPS = ViewFiles("H36M_dataset_*.h5", lambda path, rigs, choice: read_human36m_h5(path, rigs, choice).people)
MIXTURES = ViewFiles("data_2d_h36m_*gmm*.npz", _npz)
LABELS = ViewFiles("h36m_validation.pkl", _pickle)
DETECTIONS = ViewFiles("data_2d_h36m_cpn_ft_h36m_dbb.npz", _npz)
EXACT = ViewFiles("data_2d_h36m_gt.npz", _npz)

VIEW_FILES = (HEAT_MAPS, MIXTURES, LABELS, DETECTIONS, EXACT)


def read_human36m_views(
    folder: Path, rigs: Rigs, choice: FrameChoice, sources: Sequence[ViewFiles] = VIEW_FILES
) -> tuple[LabelledPeople, Path]:
    """The people of a choice, and the file that they are from: the first that is there, in the order of the sources.

    Raises:
        InputError: there is no such file, or it is not as it should be.
    """
    for source in sources:
        for path in sorted(folder.glob(source.pattern)):
            return source.read(path, rigs, choice), path
    raise InputError(f"{folder}: none of the files {', '.join(source.pattern for source in sources)} is there.")
