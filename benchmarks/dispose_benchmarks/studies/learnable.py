"""The study of learned triangulation, behind `dispose evaluate learnable`: geometry, trust in views, cubes.

It proves the mechanism on synthetic heat maps of one person before real cameras, not the accuracy on a data set. Every
line that it is to hold is measured, and written down whether it holds or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from dispose.models.triangulation.cube import Cubes, log_sum, unproject
from dispose.workers import worker_pool
from dispose_benchmarks.report import require_numbers
from dispose_benchmarks.studies.cube_study import CUBE, score_cube, train_cube
from dispose_benchmarks.studies.promises import Promise, StudyLine, write_study
from dispose_benchmarks.studies.view_trust import StudyPlan, mean_error, score_trust, train_trust
from dispose_synthetic.human36m_rig import TEST_SUBJECTS, human36m_rig
from dispose_synthetic.joint_maps import JointMapConfig, draw_joint_maps

SCHEMA = "dispose.learnable/1"
IDEAL = ((64, (96, 96)), (64, (72, 96)), (32, (48, 48)))
"""Voxels along a side, and width and height of the maps."""

FULL = StudyPlan()
SMOKE = StudyPlan(trust_steps=10, trust_batch=8, cube_steps=6, cube_batch=4, people=32)
"""A minute: to see that it runs, not for the figures."""


def _views(count: int, wrong: int) -> str:
    return f"{count} view{'s' if count > 1 else ''}, {wrong} wrong" + (", a new ring" if count > 4 else "")


def _ideal(views: int, cells: int, size: tuple[int, int]) -> str:
    return f"ideal maps of {size[0]} x {size[1]}, {cells}³ voxels, {views} views"


CLEAN = tuple(_views(count, 0) for count in (1, 2, 3, 4))
PROMISES = (
    *(
        Promise(_ideal(views, cells, size), _ideal(views, cells, size), "log-sum", 4.0 if cells == 64 else 8.0)
        for cells, size in IDEAL for views in (2, 3, 4)
    ),
    Promise("b: 2 of 4 wrong, learned / RANSAC", _views(4, 2), "learned", 0.65, "RANSAC, b"),
    Promise("b: 2 of 4 wrong, learned / DLT", _views(4, 2), "learned", 0.5, "DLT, b"),
    Promise("b: 1 of 4 wrong, learned / DLT", _views(4, 1), "learned", 0.4, "DLT, b"),
    Promise("b: 1 of 4 wrong, learned / RANSAC", _views(4, 1), "learned", 1.25, "RANSAC, b"),
    Promise("b: none wrong, learned / DLT", _views(4, 0), "learned", 1.4, "DLT, b"),
    Promise("b: AUROC of the weights, 1 of 4 wrong", _views(4, 1), "AUROC of the weights", 0.93, least=True),
    Promise("b: AUROC of the weights, 2 of 4 wrong", _views(4, 2), "AUROC of the weights", 0.93, least=True),
    Promise("c: 2 of 4 wrong, volumetric / RANSAC", _views(4, 2), "volumetric", 0.5, "RANSAC, c"),
    Promise("c: 1 of 3 wrong, volumetric / RANSAC", _views(3, 1), "volumetric", 0.75, "RANSAC, c"),
    Promise("c: 1 of 2 wrong, volumetric / DLT", _views(2, 1), "volumetric", 0.6, "DLT, c"),
    *(
        Promise(f"c: none wrong, {n + 1} views / {n}", CLEAN[n], "volumetric", 1.0, "volumetric", CLEAN[n - 1])
        for n in (1, 2, 3)
    ),
    Promise("c: none of 4 wrong, in voxels", _views(4, 0), "volumetric, voxels", 0.5),
    Promise("c: new ring of 8, 2 wrong, volumetric / DLT", _views(8, 2), "volumetric", 0.5, "DLT, c"),
    Promise("c: other order of the views, mm", "4 views in another order", "largest change, mm", 1e-3),
)  # fmt: skip
"""What is asked of the study (the two parts draw people of their own, so DLT and RANSAC stand in both)."""


@torch.no_grad()
def score_geometry(seed: int) -> list[StudyLine]:
    """Part a: ideal heat maps, views joined by `log_sum`, soft-argmax; no network. Four people."""
    lines = []
    for cells, size in IDEAL:
        config = JointMapConfig(size, noise_px=0.0, height=(1.0, 1.0), sharp=(2.0, 2.0), clutter=0.0)
        for views in (2, 3, 4):
            generator = torch.Generator().manual_seed(seed + 3)
            rigs = [human36m_rig(subject).select(views=slice(0, views)) for subject in TEST_SUBJECTS * 2]
            drawn = draw_joint_maps(generator, rigs, torch.zeros(4, dtype=torch.long), config)
            cubes = Cubes(cells, 2500.0, drawn.xyz_world[:, 0].float(), torch.linspace(0.0, 2.0, 4))
            logits = log_sum(
                unproject(drawn.maps, cubes, drawn.cameras, drawn.input_from_image), torch.ones(4, views, 17)
            )
            xyz = cubes.expected(logits.flatten(2).softmax(-1).view_as(logits))
            lines.append(StudyLine(_ideal(views, cells, size), "log-sum", mean_error(xyz, drawn.xyz_world)))
    return lines


def study_seed(seed: int, plan: StudyPlan) -> list[StudyLine]:
    """Everything that one seed says."""
    torch.set_num_threads(1)
    lines = score_geometry(seed)
    trust = score_trust(train_trust(seed, plan), seed, plan)
    cube = score_cube(train_cube(seed, plan), seed, plan)
    lines += [_of_part(line, "b") for line in trust] + [_of_part(line, "c") for line in cube]
    clean = next(line.value for line in cube if line.case == CLEAN[3] and line.method == "volumetric")
    voxel = CUBE.side_mm / (CUBE.cells - 1)
    return [*lines, StudyLine(CLEAN[3], "volumetric, voxels", clean / voxel)]


def _of_part(line: StudyLine, part: str) -> StudyLine:
    """The plain ways stand in both parts, on other people."""
    plain = line.method in ("DLT", "RANSAC", "robust")
    return StudyLine(line.case, f"{line.method}, {part}", line.value) if plain else line


@dataclass(frozen=True)
class LearnableStudy:
    """The study and where its figures go: errors by case and method, and beside them the lines that are to hold."""

    seeds: tuple[int, ...]
    plan: StudyPlan
    path: Path
    workers: int = 1

    def run(self) -> int:
        """Measure, print, write: after every seed what is known so far."""
        require_numbers("seeds", self.seeds, 0)
        done: list[list[StudyLine]] = []
        with worker_pool(min(self.workers, len(self.seeds))) as pool:
            for lines in tqdm(pool.map(partial(study_seed, plan=self.plan), self.seeds), total=len(self.seeds)):
                done.append(lines)
                self.write(done)
        return 0

    def write(self, done: Sequence[Sequence[StudyLine]]) -> None:
        """Medians over the seeds that are done, and how many these are."""
        write_study(self.path, SCHEMA, self.plan, PROMISES, done, _unit)


def _unit(line: StudyLine) -> str:
    return "value" if any(word in line.method for word in ("AUROC", "change", "voxels")) else "mpjpe_mm"
