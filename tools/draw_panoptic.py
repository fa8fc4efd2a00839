"""Draw CMU Panoptic's calibrations and truth where they can be looked at.

`panoptic_pictures_NUMBER.png`: real images with the floor, the origin and the other cameras as the calibration places
them. `panoptic_truth_NUMBER.png`: the true people of another sequence in its own cameras, on blank images.

    python tools/draw_panoptic.py ../shared/data/raw/panoptic --out out/panoptic
"""

import argparse
from pathlib import Path

from dispose.datasets.layouts.panoptic import CMU0, annotated_frames, open_panoptic
from dispose.datasets.layouts.source import Block, Split
from dispose.formats.calibration.json_files import read_calibration_panoptic
from dispose.formats.images.series import read_image
from dispose_viz.image.calibration import draw_cameras, draw_floor
from dispose_viz.image.canvas import Name, draw_canvas, draw_names, draw_skeleton, name_of
from dispose_viz.style import label_of, new_figure, person_color

SEQUENCE = "160906_band1"
NUMBERS = (4500, 9348)


def draw_images(folder: Path, number: int, out: Path) -> None:
    """Every real image of an instant with what its calibration says must be seen there."""
    calibration = folder / "camera_parameters.json"
    cameras, everywhere = read_calibration_panoptic(calibration, CMU0), read_calibration_panoptic(calibration)
    figure = new_figure(24, 20)
    table = figure.subplots(3, 2)
    for view, axes in zip(range(len(cameras)), table.flat, strict=False):
        name = cameras.names[view]
        image = read_image(folder / name / f"{name}_{number:08d}.jpg") / 255.0
        draw_canvas(axes, cameras.size[view], f"{name}, frame {number}", image=image)
        draw_floor(axes, cameras, view, half_mm=2500.0, step_mm=500.0)
        draw_cameras(axes, cameras, view, everywhere)
    table.flat[-1].axis("off")
    figure.savefig(out / f"panoptic_pictures_{number}.png", dpi=60)


def draw_truth(root: Path, out: Path) -> None:
    """The true people of the first frame in its own cameras; joints out of sight are left out."""
    source = open_panoptic(root, Split("all", (Block(SEQUENCE),), annotated_frames))
    key = source.keys[0]
    cameras, poses = source.rigs[SEQUENCE], source.truth(key).poses
    xy, front = cameras.project(poses.xyz_world)
    seen = front & poses.valid & cameras.inside(xy)
    figure = new_figure(24, 20)
    table = figure.subplots(3, 2)
    for view, axes in zip(range(len(cameras)), table.flat, strict=False):
        draw_canvas(axes, cameras.size[view], f"{SEQUENCE}, {cameras.names[view]}, frame {key.number}")
        draw_floor(axes, cameras, view, half_mm=2500.0, step_mm=500.0)
        names: list[Name] = []
        for row, person in enumerate(poses.id.tolist()):
            color = person_color(person)
            draw_skeleton(axes, xy[view, row], seen[view, row], poses.skeleton, color)
            names += name_of(label_of(person), xy[view, row], seen[view, row], color)
        draw_names(axes, names)
    table.flat[-1].axis("off")
    figure.savefig(out / f"panoptic_truth_{key.number}.png", dpi=60)


def main() -> None:
    """Draw both into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help=f"holds {SEQUENCE}/ and images/")
    parser.add_argument("--out", type=Path, default=Path("out/panoptic"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number in NUMBERS:
        draw_images(arguments.folder / "images", number, arguments.out)
    draw_truth(arguments.folder, arguments.out)
    print(f"drawn into {arguments.out}")


if __name__ == "__main__":
    main()
