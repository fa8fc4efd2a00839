"""Write docs/gallery from the notebooks as they stand, and the gallery of README.md between its markers.

Each picture is one that a notebook writes when it is run as it is shipped; nothing is drawn for the gallery alone.
`--check` runs nothing and fails where README.md or the folder differs from the list below.
"""

import argparse
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2

from dispose_workbench.notebooks.page import export_figures
from dispose_workbench.notebooks.run import notebook_path, run_notebook

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "gallery"
OPEN, CLOSE = "<!-- gallery -->\n", "<!-- /gallery -->"
WIDTH = 1000
"""Pixels: twice the width at which README shows a picture."""


@dataclass(frozen=True)
class Shown:
    """A picture of the gallery: the notebook that writes it, its file there, and what one sees."""

    notebook: str
    file: str
    caption: str

    @property
    def name(self) -> str:
        """Its file in docs/gallery."""
        return f"{self.notebook.partition('_')[0] if self.notebook[0].isdigit() else self.notebook}_{self.file}"


GALLERY = (
    Shown(
        "07_reverse_diffusion",
        "noise_to_match.gif",
        "From noise to match: mass between the detections of five cameras.",
    ),
    Shown("09_skeletons_in_3d", "rays.png", "People by Open3D, without a display; the rays that found a wrist."),
    Shown("05_toy_diffusion", "state.png", "A diffusion trained live, half-way inside Birkhoff's polytope."),
    Shown("11_failure_cases", "worst-1.png", "Why a frame failed: who was mixed up, what competed."),
    Shown("06_candidates_and_cues", "incidence.png", "Detections and candidate tuples: the hypergraph as incidence."),
    Shown("01_cameras_and_rays", "matrix.png", "Which camera is wrong? The one whose column stands out."),
    Shown("10_reprojections", "view.png", "Back in the image: what does not fit, in pixels."),
    Shown("08_hypergraph_decoder", "gaze_last.png", "Where the decoder looks before it moves a joint."),
    Shown("learnable_triangulation", "lie.png", "One camera takes left for right: who notices, and what they claim."),
    Shown("multi_hypothesis", "fan.png", "One image leaves depth open: two hundred poses that fit, beside the truth."),
    Shown("views_agree", "meeting.png", "What every camera says alone of a wrist, and where they meet."),
    Shown("context_features", "looks.png", "Where a lifter looks in the image before it places a wrist."),
)


def text() -> str:
    """The gallery of README.md: two pictures a row, each with its notebook."""
    lines = ["<table>"]
    for start in range(0, len(GALLERY), 2):
        lines.append("<tr>")
        for shown in GALLERY[start : start + 2]:
            image = f'<img src="docs/gallery/{shown.name}" width="420" alt="{shown.caption}">'
            lines.append(f'<td valign="top">{image}<br>{shown.caption} <code>{shown.notebook}</code></td>')
        lines.append("</tr>")
    return "\n".join([*lines, "</table>", ""])


def readme_with(gallery: str) -> str:
    """README.md with this gallery between its markers."""
    before, _, rest = (ROOT / "README.md").read_text().partition(OPEN)
    _, _, after = rest.partition(CLOSE)
    if not after:
        raise SystemExit("README.md has no gallery markers")
    return f"{before}{OPEN}{gallery}{CLOSE}{after}"


def take(shown: Shown, run: Path) -> None:
    """Copy a picture of a run into the gallery, no wider than it needs to be."""
    source, target = run / shown.file, FOLDER / shown.name
    if not source.is_file():
        raise SystemExit(f"{shown.notebook} wrote no {shown.file}")
    temporary = target.with_name(f".{target.name}")
    image = cv2.imread(str(source)) if source.suffix == ".png" else None
    if image is not None and image.shape[1] > WIDTH:
        height = round(image.shape[0] * WIDTH / image.shape[1])
        small = cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA)
        temporary.write_bytes(cv2.imencode(".png", small, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
    else:
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)
    print(f"docs/gallery/{target.name}  {target.stat().st_size / 1000:.0f} kB", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="run nothing, fail on a difference")
    parser.add_argument("--only", nargs="*", help="the notebooks to run; default: all of the gallery")
    options = parser.parse_args()
    readme = readme_with(text())
    if options.check:
        there = {path.name for path in FOLDER.glob("*")}
        fits = readme == (ROOT / "README.md").read_text() and there == {shown.name for shown in GALLERY}
        if not fits:
            print("the gallery differs from tools/gallery.py: make figures", file=sys.stderr)
        return 0 if fits else 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(shown.notebook for shown in GALLERY):
        if options.only and name not in options.only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            done = run_notebook(notebook_path(name), [], Path(folder) / name, finish=export_figures)
            for shown in GALLERY:
                if shown.notebook == name:
                    take(shown, done.folder)
    for old in {path.name for path in FOLDER.glob("*")} - {shown.name for shown in GALLERY}:
        (FOLDER / old).unlink()
    (ROOT / "README.md").write_text(readme)
    return 0


if __name__ == "__main__":
    sys.exit(main())
