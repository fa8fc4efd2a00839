"""Readers of what we keep ourselves between two commands, and of data sets, with a small valid file for each."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from papermill.iorw import load_notebook_node

from dispose.association.reconstruct import reconstruct_frame
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.datasets.human36m_choice import choice_of
from dispose.datasets.tables.human36m_h5 import read_human36m_h5
from dispose.datasets.tables.human36m_pickles import read_context_pickle
from dispose.datasets.tables.mpi_inf_3dhp import read_3dhp_npz, read_3dhp_test, read_3dhp_training
from dispose.datasets.tables.mvor import read_mvor
from dispose.formats.human36m import read_human36m_labels
from dispose.formats.lifted import (
    LiftedCamera,
    LiftedFrame,
    LiftedHeader,
    frame_text,
    header_text,
    image_text,
    read_lifted,
)
from dispose.inference.capture import read_capture, source_of
from dispose.inference.readings import Source
from dispose.inference.results_folder import ResultsFolder, RunFiles, results_folder
from dispose.inference.run import run
from dispose.preparation.areas import read_areas, write_areas
from dispose.scene.lifted import Lifted, Placed
from dispose.scene.results import Results, associate_each, reconstruct_each
from dispose.skeletons.catalog import H36M_17
from dispose_synthetic.human36m_rig import human36m_rig
from dispose_viz.inspector.interactive import Mark, open_marks, write_marks
from dispose_workbench.notebooks.parameters import parameters_of
from tests.attacks.targets import Target, each, write_detections
from tests.datasets.lifting_files import context_entries, h5_rows, pickled, recordings
from tests.datasets.test_lifting_files import write_h5
from tests.datasets.test_mpi_inf_3dhp import LENSES, npz, person, test_folder, training_folder
from tests.formats.test_calibrations import write_calibration_json
from tests.formats.test_human36m_files import labels_file, saved
from tests.inference.conftest import rig
from tests.notebooks.test_notebook_run import write_book

BOOK = ("steps: int = 3  # how often\nrate: float = 0.1", "print(steps)")
ALL = choice_of("test_all")


def write_lifted(folder: Path) -> None:
    """Two people of an image, and of two frames of a video."""
    drawn = torch.Generator().manual_seed(0)
    xyz = torch.randn(2, 3, 17, 3, generator=drawn, dtype=torch.float64) * 500
    placed = Placed(Lifted(H36M_17, xyz), torch.full((2, 3, 3), 3000.0, dtype=torch.float64))
    seen = torch.ones(2, 17, dtype=torch.bool)
    frame = LiftedFrame(0, torch.arange(2), torch.rand(2, 17, 2, generator=drawn) * 900, seen.double(), seen, placed)
    matrix = ((1100.0, 0.0, 960.0), (0.0, 1100.0, 540.0), (0.0, 0.0, 1.0))
    camera = LiftedCamera("cam1", (1920, 1080), matrix, (0.0,) * 8, "a calibration")
    header = LiftedHeader("mean", "none", "a.jpg", "a.json", camera, H36M_17, 3, 0, "a test")
    (folder / "lifted.json").write_text(image_text(header, frame))
    (folder / "lifted.jsonl").write_text(header_text(header, 2) + 2 * frame_text(frame))


def lifted(path: Path) -> object:
    header, frames = read_lifted(path)
    return header, list(frames)


FILES = RunFiles("take", "greedy")


def write_unfinished(folder: Path) -> None:
    """A run that ended after two of three frames."""
    write_detections(folder)
    whole = source_of(read_capture(folder))
    cut = Source(whole.numbers[:2], whole.read)
    with results_folder(folder / "out", FILES) as sink:
        sink.finish = lambda progress: None  # type: ignore[method-assign]
        run(cut, associate_each(greedy_agglomerative), reconstruct_each(reconstruct_frame), sink, batch=1)


def unfinished(folder: Path) -> object:
    """As the next run reads it; what is not whole would be removed, so that this is done with a copy."""
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(folder / "out", Path(place) / "out")
        return ResultsFolder(Path(place) / "out", FILES).resume()


def write_human36m(folder: Path) -> None:
    """Labels, heat maps and a pickle of entries."""
    saved(folder / "labels.npy", labels_file())
    write_h5(folder / "x.h5", h5_rows(recordings()[:1]))
    pickled(folder / "entries.pkl", context_entries(recordings()[:1]))


def human36m(folder: Path) -> object:
    return (
        read_human36m_labels(folder / "labels.npy"),
        read_human36m_h5(folder / "x.h5", human36m_rig, ALL),
        read_context_pickle(folder / "entries.pkl", ALL),
    )


def write_3dhp(folder: Path) -> None:
    """In all three forms."""
    training_folder(folder)
    test_folder(folder)
    xy, xyz = person(17, 1, LENSES["8"])
    view = {"data_2d": xy, "data_3d": xyz}
    npz(folder / "data_train_3dhp.npz", {"S2 Seq1": [{"8": view, "0": view}, 25]})


def mpi_inf_3dhp(folder: Path) -> object:
    return (
        read_3dhp_training(folder, ["S1 Seq2"]),
        read_3dhp_test(folder, ["TS5"]),
        read_3dhp_npz(folder / "data_train_3dhp.npz"),
    )


def write_mvor(folder: Path) -> None:
    """Two frames of three cameras with one person each."""
    drawn = np.random.default_rng(0)
    write_calibration_json(folder / "cameras.json", rig(("a", "b", "c")))
    frame, view = np.repeat(np.arange(2), 3), np.tile(np.arange(3), 2)
    np.savez(folder / "frames.npz", day=np.array([1, 2]))
    np.savez(folder / "gt2d.npz", frame=frame, view=view, person_id=frame * 0, person_id_v2=frame * 0,
             bbox=np.tile([100.0, 100, 300, 500], (6, 1)), kpts=drawn.uniform(100, 400, (6, 10, 3)))  # fmt: skip
    np.savez(folder / "gt3d.npz", frame=np.arange(2), person_id=np.zeros(2, int), kpts=drawn.normal(size=(2, 10, 4)))
    np.savez(folder / "detections_openpose.npz", frame=frame, view=view, score=np.full(6, 0.9),
             kpts=drawn.uniform(0.2, 1.0, (6, 17, 3)) * (400, 400, 1))  # fmt: skip


def notebook(folder: Path) -> object:
    """As `dispose notebook run` reads it."""
    path = str(folder / "a.ipynb")
    return parameters_of(Path(path)), load_notebook_node(path)


AREAS = {"cam_01": [np.array([[10.0, 10], [500, 10], [500, 700]])]}
RESULTS = Results("take", "greedy", H36M_17, ())

MORE_TARGETS = (
    Target("lifted", write_lifted, each(lifted)),
    Target("unfinished run", write_unfinished, unfinished, "out/.partial/[ps]*"),
    Target("Human3.6M", write_human36m, human36m),
    Target("MPI-INF-3DHP", write_3dhp, mpi_inf_3dhp),
    Target("MVOR", write_mvor, lambda folder: list(read_mvor(folder, "openpose"))),
    Target("notebook", lambda folder: write_book(folder / "a.ipynb", BOOK), notebook),
    Target(
        "areas",
        lambda folder: write_areas(folder / "areas.json", AREAS),
        lambda folder: read_areas(folder / "areas.json", rig()),
    ),
    Target(
        "marks",
        lambda folder: write_marks(open_marks(folder, RESULTS), RESULTS, [Mark(3, "odd", "two are one")]),
        lambda folder: open_marks(folder, RESULTS),
        "*.json",
    ),
)
"""In the order in which they are attacked."""
