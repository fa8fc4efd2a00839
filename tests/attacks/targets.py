"""Every reader of files that somebody else may have written, with a small valid file for each."""

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import scipy.io
import torch

from dispose.cli.main import main
from dispose.datasets.cmu_motion import read_motion
from dispose.formats.actors_mat import KEY, read_actors
from dispose.formats.arrays import open_arrays
from dispose.formats.body3d import read_body3d_files
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.calibration.read import read_calibration
from dispose.formats.detections.openpose import write_openpose
from dispose.formats.detections.read import open_detections
from dispose.formats.evidence import EVIDENCE, PREDICTIONS
from dispose.formats.evidence_keypoints import read_run_keypoints
from dispose.formats.images.series import open_image_series, read_image
from dispose.formats.plain_pickle import load_plain_array, load_plain_arrays, load_plain_pickle
from dispose.formats.pseudo_labels import LabelledFrame, read_pseudo_labels, write_pseudo_labels
from dispose.formats.saved_run import clips_of, open_run
from dispose.formats.seen import open_seen
from dispose.formats.tfjs import read_graph_weights
from dispose.formats.trc import read_trc_people, write_trc
from dispose.inference.capture import read_capture, read_frame
from dispose.models.rays.network import RayNetwork, RaysConfig
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Labels, Poses
from dispose.skeletons.catalog import COCO_17
from dispose.training.metrics_log import MetricsLog
from dispose.zoo.checkpoints import load_weights, save_weights
from dispose.zoo.importing import read_entries
from dispose_viz.charts.curves import read_curves
from dispose_workbench.results.open import read_results
from dispose_workbench.results.run_folders import read_run_folder
from tests.datasets.test_mm_or_layout import write_camera
from tests.formats.rigs_of_others import kalibr
from tests.formats.rigs_of_others import rig as small_rig
from tests.formats.test_asf_amc import FRAME, write_amc, write_asf
from tests.formats.test_calibration_damage import write_opencap
from tests.formats.test_calibration_dialects import XML
from tests.formats.test_calibrations import WRITERS, rig
from tests.formats.test_deeplabcut_files import sleap_h5, write_fixed_h5, write_h5
from tests.formats.written_calibrations import EACH, LAYOUTS, UNITS
from tests.formats.written_detections import DIALECTS, SIZE, some_people
from tests.formats.written_tfjs import written_graph
from tests.inference.conftest import FRAMES, detections_at
from tests.inference.conftest import rig as capture_rig


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        name: in reports.
        build: writes valid files into an empty folder.
        read: reads what is in the folder.
        damaged: pattern of the files that are damaged.
        forgiving: what is damaged is left out and counted, so that nothing needs to be refused.
    """

    name: str
    build: Callable[[Path], object]
    read: Callable[[Path], object]
    damaged: str = "**/*"
    forgiving: bool = False


def write_detections(folder: Path) -> None:
    """A capture of four cameras."""
    cameras = capture_rig()
    (folder / "calibration").mkdir()
    write_calibration_toml(folder / "calibration" / "Calib.toml", cameras)
    for frame in range(3):
        write_openpose(folder / "pose", frame, cameras.names, detections_at(cameras, frame))


def read_all_frames(folder: Path) -> object:
    """As `dispose predict` reads them."""
    capture = read_capture(folder)
    return [read_frame(capture, number) for number in capture.numbers[:20]]


def write_coco(folder: Path) -> None:
    """The same as result files of COCO's form."""
    cameras = capture_rig()
    write_calibration_toml(folder / "calib.toml", cameras)
    (folder / "detections").mkdir()
    for view, camera in enumerate(cameras.names):
        rows = []
        for frame in range(3):
            found = detections_at(cameras, frame)
            for person in range(2):
                points = torch.cat([found.xy_image[view, person], found.confidence[view, person][:, None]], -1)
                rows.append({"image_id": frame, "category_id": 1, "keypoints": points.flatten().tolist(), "score": 0.9})
        (folder / "detections" / f"{camera}.json").write_text(json.dumps(rows))


def write_results(folder: Path) -> None:
    """A finished run, evidence and TRC included."""
    write_detections(folder)
    status = main(["predict", str(folder), "--out", str(folder / "run")])
    assert status == 0, "the run that is to be damaged did not work"


def write_bodies(folder: Path) -> None:
    """Panoptic's people."""
    for frame in range(2):
        bodies = [{"id": one, "joints19": [1.0 + one, 2.0, 3.0, 0.5] * 19} for one in range(2)]
        text = json.dumps({"version": 0.7, "univTime": 1.5, "bodies": bodies})
        (folder / f"body3DScene_{frame:08d}.json").write_text(text)


def write_person(folder: Path) -> None:
    """TRC of one person."""
    xyz = torch.randn(3, 17, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1000
    xyz[1, 3] = torch.nan
    write_trc(folder / "walk_P1.trc", COCO_17.joints, [0, 1, 2], [xyz], 30.0)


def write_labels(folder: Path) -> None:
    """Pseudo-labels of two frames."""
    random = torch.Generator().manual_seed(1)
    xyz = 1000 * torch.rand(2, 17, 3, generator=random, dtype=torch.float64).float().double()
    known, score = torch.ones(2, 17, dtype=torch.bool), torch.ones(2, 17, dtype=torch.float64)
    poses = Poses(COCO_17, xyz, score, known, torch.tensor([0, 4]))
    seen = torch.ones(3, 2, 17, dtype=torch.bool)
    xy = torch.rand(3, 2, 17, 2, generator=random, dtype=torch.float64).float().double()
    nobody = Detections.from_lists(COCO_17, [[], [], []])
    labels = Labels.of_images(poses, xy, seen.double(), seen, nobody)
    write_pseudo_labels(
        folder / "labels.npz", COCO_17, ("a", "b", "c"), [LabelledFrame("take", n, labels) for n in (3, 4)]
    )


def read_labels(folder: Path) -> object:
    """One frame of them."""
    return read_pseudo_labels(folder / "labels.npz", skeleton=COCO_17).at("take", 3)


def write_pictures(folder: Path) -> None:
    """Images of several kinds, and a video."""
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    for ending in ("png", "jpg", "bmp", "tif", "webp"):
        cv2.imwrite(str(folder / f"0.{ending}"), image)


def read_pictures(folder: Path) -> object:
    """Every one of them."""
    return [read_image(path) for path in sorted(folder.iterdir())]


def write_video(folder: Path) -> None:
    """Eight frames."""
    stream = cv2.VideoWriter(str(folder / "cam1.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for value in range(8):
        stream.write(np.full((48, 64, 3), 30 * value, np.uint8))
    stream.release()


def read_video(folder: Path) -> object:
    """All frames that it says it has, of the first hundred."""
    (video,) = open_image_series(folder)
    return [video.read(number) for number in list(video.numbers)[:100]]


PLAIN = {"people": [{"id": 1, "xyz": np.arange(12.0).reshape(4, 3)}, None], "name": "take", ("S1", 2): (1.5, True)}


def write_pickle(folder: Path) -> None:
    """Plain values in two protocols."""
    for protocol in (3, 4):
        (folder / f"{protocol}.pkl").write_bytes(pickle.dumps(PLAIN, protocol=protocol))


def write_mat(folder: Path) -> None:
    """Shelf's truth, compressed."""
    table = np.empty((1, 2), object)
    for person in range(2):
        frames = np.empty((3, 1), object)
        for frame in range(3):
            frames[frame, 0] = np.arange(42.0).reshape(14, 3) + frame
        table[0, person] = frames
    scipy.io.savemat(folder / "plain.mat", {KEY: table})
    scipy.io.savemat(folder / "small.mat", {KEY: table}, do_compression=True)


def write_object_arrays(folder: Path) -> None:
    """NumPy's archive of objects."""
    np.savez(folder / "objects.npz", people=np.array(PLAIN["people"], object), numbers=np.arange(5.0))


def write_number_arrays(folder: Path) -> None:
    """NumPy's archive of numbers, compressed and not."""
    arrays = {"xyz": np.arange(60.0).reshape(5, 4, 3), "frame": np.arange(5), "names": np.array(["a", "b"])}
    np.savez(folder / "plain.npz", allow_pickle=False, **arrays)
    np.savez_compressed(folder / "small.npz", allow_pickle=False, **arrays)


def write_graph(folder: Path) -> None:
    """A graph model of TensorFlow.js."""
    arrays = {"a": np.zeros((3, 4), np.float32), "n": np.arange(3, dtype=np.int32), "b": np.ones(5, np.float32)}
    graph, files = written_graph(arrays)
    (folder / "graph.json").write_bytes(graph)
    (folder / "w.bin").write_bytes(files["w.bin"])


def read_graph(folder: Path) -> object:
    """As `dispose detector install` reads them."""
    files = {"w.bin": (folder / "w.bin").read_bytes()}
    return read_graph_weights((folder / "graph.json").read_bytes(), files, "graph.json")


def write_weights(folder: Path) -> None:
    """A small network."""
    torch.manual_seed(0)
    save_weights(folder / "rays.safetensors", RayNetwork(RaysConfig()))


def write_capture_motion(folder: Path) -> None:
    """CMU's original files."""
    write_asf(folder / "07.asf")
    write_amc(folder / "07_01.amc", ["1", *FRAME, "2", *FRAME])


def write_states(folder: Path) -> None:
    """What torch saves of a network."""
    torch.save({"layer.weight": torch.randn(3, 4), "layer.bias": torch.zeros(3)}, folder / "x.pt")


def write_mm_or(folder: Path) -> None:
    """A file per camera."""
    for number in (1, 2, 3):
        write_camera(folder / f"camera0{number}.json", number)


def write_table(folder: Path) -> None:
    """DeepLabCut's table in HDF5, in both ways of pandas, and SLEAP's tracks."""
    values = np.random.default_rng(0).uniform(0, 400, (3, 51))
    values[:, 2::3] = 0.9
    columns = [("DLC", joint, coord) for joint in COCO_17.joints for coord in ("x", "y", "likelihood")]
    for name, write in (("one", write_h5), ("two", write_fixed_h5)):
        (folder / name).mkdir()
        write(folder / name / "cam1.h5", columns, values, [4, 5, 6])
    (folder / "three").mkdir()
    sleap_h5(folder / "three" / "cam1.h5")


def read_tables(folder: Path) -> object:
    """All frames of all three."""
    views = [view for name in ("one", "two", "three") for view in open_detections(folder / name)]
    return [view.read(number, SIZE) for view in views for number in list(view.numbers)[:20]]


def write_point_arrays(folder: Path) -> None:
    """Keypoints of two cameras, with scores inside and beside them."""
    table = np.random.default_rng(0).uniform(5, 400, (3, 2, 17, 3))
    np.save(folder / "cam1.npy", table)
    np.savez_compressed(folder / "cam2.npz", keypoints=table[..., :2], scores=table[..., 2] / 400)


def read_point_arrays(folder: Path) -> object:
    """All frames of both."""
    views = [replace(view, skeleton=COCO_17) for view in open_detections(folder)]
    return [view.read(number, SIZE) for view in views for number in list(view.numbers)[:20]]


def write_array(folder: Path) -> None:
    """NumPy's file of one array."""
    np.save(folder / "numbers.npy", np.arange(60.0).reshape(5, 4, 3))
    np.save(folder / "objects.npy", np.array(PLAIN["people"], object))


def export_of(folder: Path) -> object:
    """What `dispose export` and `dispose smooth` read of a run."""
    run = folder / "run"
    with open_run(run) as saved, open_seen(run / EVIDENCE) as seen:
        clips = [clip.xyz_world for clip in clips_of(saved.table, 30.0)]
        return clips, list(seen.detections()), read_run_keypoints(run / EVIDENCE, run / PREDICTIONS)


def write_training(folder: Path) -> None:
    """A run of a training."""
    (folder / "run" / "csv").mkdir(parents=True)
    (folder / "run" / "recipe.json").write_text(json.dumps({"steps": 100, "rate": 0.001, "name": "x"}))
    (folder / "run" / "csv" / "metrics.csv").write_text("step,loss\n9,2.0\n19,1.5\n")


def read_training(folder: Path) -> object:
    """Its settings and curves."""
    run = read_run_folder(folder / "run")
    curves = [read_curves(path) for _, path in run.logs]
    return curves, MetricsLog(folder / "run" / "csv" / "metrics.csv").path.name


def _calibration(name: str) -> Target:
    def read(folder: Path) -> object:
        return read_calibration(folder / name, mm_per_unit=250.0 if name == "colmap" else None)

    return Target(f"calibration {name}", lambda folder: WRITERS[name](folder / name, rig()), read)


def each(read: Callable[[Path], object]) -> Callable[[Path], object]:
    """Every file of a folder."""
    return lambda folder: [read(path) for path in sorted(folder.iterdir())]


def _text_of_rig(name: str, text: Callable[[Cameras], str]) -> Target:
    def write(folder: Path) -> None:
        (folder / name).write_text(text(small_rig()))

    return Target(
        f"calibration {name}", write, lambda folder: read_calibration(folder / name, mm_per_unit=UNITS.get(name))
    )


def _camera_files(kind: str) -> Target:
    def write(folder: Path) -> None:
        EACH[kind](folder / "rig", small_rig())

    return Target(
        f"calibration {kind}", write, lambda folder: read_calibration(folder / "rig", mm_per_unit=UNITS.get(kind))
    )


def _detections(dialect: str) -> Target:
    def read(folder: Path) -> object:
        files = [path for path in folder.iterdir() if path.is_file()]
        views = open_detections(files[0] if dialect.startswith("COCO") else folder)
        return [
            replace(view, skeleton=COCO_17).read(number, SIZE) for view in views for number in list(view.numbers)[:20]
        ]

    return Target(f"detections {dialect}", lambda folder: DIALECTS[dialect](folder, some_people()), read)


TARGETS = (
    *(_text_of_rig(name, text) for name, text in ({"camchain.yaml": kalibr} | XML).items()),
    *(_detections(dialect) for dialect in DIALECTS),
    *(_calibration(name) for name in WRITERS),
    *(_text_of_rig(name, text) for name, text in LAYOUTS.items()),
    *(_camera_files(kind) for kind in EACH),
    Target("capture", write_detections, read_all_frames, "pose/**/*.json", forgiving=True),
    Target("COCO", write_coco, read_all_frames, "detections/*.json"),
    Target("results", write_results, lambda folder: read_results(folder / "run"), "run/*.*"),
    Target("TRC", write_person, lambda folder: read_trc_people(sorted(folder.glob("*.trc")))),
    Target("body3D", write_bodies, lambda folder: read_body3d_files(sorted(folder.glob("*.json")))),
    Target("pseudo-labels", write_labels, read_labels),
    Target("images", write_pictures, read_pictures),
    Target("video", write_video, read_video),
    Target("pickle", write_pickle, each(load_plain_pickle)),
    Target("MATLAB", write_mat, each(read_actors)),
    Target("arrays of objects", write_object_arrays, each(load_plain_arrays)),
    Target("arrays", write_number_arrays, each(lambda path: dict(open_arrays(path).columns))),
    Target("weights", write_weights, lambda folder: load_weights(folder / "rays.safetensors", RayNetwork)),
    Target("TensorFlow.js", write_graph, read_graph),
    Target(
        "calibration OpenCap",
        lambda folder: write_opencap(folder / "rig"),
        lambda folder: read_calibration(folder / "rig"),
    ),
    Target("calibration MM-OR", write_mm_or, lambda folder: read_calibration(folder)),
    Target("detections in HDF5", write_table, read_tables),
    Target("detections in arrays", write_point_arrays, read_point_arrays),
    Target("torch", write_states, each(read_entries)),
    Target("array", write_array, each(load_plain_array)),
    Target("export", write_results, export_of, "run/*.*"),
    Target("training", write_training, read_training),
    Target("captured motion", write_capture_motion, read_motion),
)
"""In the order in which they are attacked."""

assert FRAMES >= 3
