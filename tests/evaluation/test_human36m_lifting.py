"""Lifters on the original files of data sets: an oracle makes no error, known ones are counted as papers count."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dispose.cli import evaluate
from dispose.datasets.human36m_choice import choice_of
from dispose.datasets.human36m_views import read_human36m_views
from dispose.datasets.labelled_people import LabelledPeople
from dispose.datasets.tables.mpi_inf_3dhp import LENSES, read_3dhp
from dispose.errors import InputError
from dispose.evaluation.human36m_lifting import (
    LIFTED_PROTOCOLS,
    lift_labelled,
    lifted_protocol,
    printed_figures,
    score_recordings,
)
from dispose.evaluation.published import FOLDER, read_published
from dispose.formats.images.series import read_image
from dispose.models.lifting.sight import PeopleInView, PeopleLifter, Picture
from dispose.skeletons.catalog import COCO_17, H36M_17
from dispose.skeletons.skeleton import Skeleton
from dispose.zoo.lifters import NamedLifter
from dispose_synthetic.human36m_rig import human36m_rig
from tests.datasets.lifting_files import context_entries, pickled, recordings, write_npz

ALL, GMM, CONTEXT = choice_of("test_all"), LIFTED_PROTOCOLS[1], LIFTED_PROTOCOLS[2]


class Oracle:
    """Says the truth of people in order, in virtual axes and metres, plus an error in the camera's axes, mm."""

    def __init__(self, people: LabelledPeople, skeleton: Skeleton, error: Tensor) -> None:
        truth = people.converted(skeleton).about_root()[:, None]
        self.said, self.skeleton, self.row = truth + error, skeleton, 0
        self.pictures: list[Picture | None] = []

    def lift(self, sight: PeopleInView, image: Picture | None, _: torch.Generator) -> Tensor:
        rows = slice(self.row, self.row + len(sight))
        self.row += len(sight)
        self.pictures.append(image)
        return sight.people.from_camera(self.said[rows] / 1000).float()

    @property
    def lifter(self) -> PeopleLifter:
        return PeopleLifter(self.skeleton, self.lift)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_npz(tmp_path, recordings(), mixtures=True)
    return tmp_path


def people_of_folder(folder: Path) -> LabelledPeople:
    return read_human36m_views(folder, human36m_rig, ALL, GMM.files)[0]


@pytest.mark.parametrize("skeleton", [H36M_17, COCO_17], ids=lambda s: s.name)
def test_the_truth_makes_no_error(folder: Path, skeleton: Skeleton) -> None:
    oracle = Oracle(people_of_folder(folder), skeleton, torch.zeros(72, 1, len(skeleton), 3).double())
    row = score_recordings(GMM, oracle.lifter, folder, ALL)
    assert row.detections == "Human3.6M test_all, data_2d_h36m_cpn_ft_h36m_dbb_gmm.npz" and row.frames == 72
    assert row.value("joints") == (17 if skeleton == H36M_17 else 13)
    for name in ("relative_mm", "pa_mm", "relative_frames_mm", "scaled_mm", "best_mm", "pa_best_mm"):
        assert row.value(name) < 0.05
    assert row.value("pck_150") == 100 and 96 < row.value("auc") <= 100
    assert row.value("cps") > 298


def test_what_lifters_are_told_of_mixtures(folder: Path) -> None:
    people = people_of_folder(folder).converted(COCO_17)
    told: list[PeopleInView] = []

    def lift(sight: PeopleInView, image: Picture | None, generator: torch.Generator) -> Tensor:
        told.append(sight)
        return torch.zeros(len(sight), 1, 17, 3)

    lift_labelled(PeopleLifter(COCO_17, lift), people)
    assert [len(sight) for sight in told] == [64, 8]
    view, focal = told[0].people, people.cameras.matrix[:64, 0, [0, 1], [0, 1]].mean(-1)
    sigma_px = view.sigma * view.size[:, None] * focal[:, None]
    seen = view.seen
    torch.testing.assert_close(sigma_px[seen], people.sigma_px[:64][seen], atol=1e-3, rtol=0, check_dtype=False)
    assert seen[:, COCO_17.index("nose")].all() and not seen[:, COCO_17.index("l_ear")].any()


def test_errors_are_counted_as_printed(folder: Path) -> None:
    people = people_of_folder(folder)
    # One wrist, moved away from the camera: 170 mm for one action's frames, 0 for the other's; then a worse hypothesis.
    error = torch.zeros(72, 2, 17, 3).double()
    walking = torch.tensor([name == "Walking" for name in people.action_names])
    error[walking, 0, H36M_17.index("l_wrist"), 2] = 170.0
    error[:, 1] = error[:, 0]
    error[:, 1, H36M_17.index("r_ankle"), 2] += 340.0
    wanted = people[torch.cat([walking.nonzero()[:, 0], (~walking).nonzero()[:9, 0]])]
    said = wanted.about_root()[:, None] + error[torch.cat([walking.nonzero()[:, 0], (~walking).nonzero()[:9, 0]])]
    found = {figure.name: figure.value for figure in printed_figures(said.float(), wanted)}
    # Of the mean pose: 170 mm at the ankle everywhere, 170 at the wrist of 36 frames of one action; 9 of the other.
    assert found["relative_mm"] == pytest.approx((20 + 10) / 2, abs=1e-3)
    assert found["relative_frames_mm"] == pytest.approx((36 * 20 + 9 * 10) / 45, abs=1e-3)
    assert found["best_mm"] == pytest.approx(36 * 10 / 45, abs=1e-3)
    assert found["pck_150"] == pytest.approx(100 - 100 * 36 / 45 / 14, abs=1e-3)
    alone = printed_figures(said[:, :1].float(), wanted)
    similar, poses = (next(f.value for f in alone if f.name == name) for name in ("pa_frames_mm", "cps"))
    assert found["pa_best_mm"] == pytest.approx(similar, abs=1e-3)
    assert found["cps"] == pytest.approx(poses, abs=1e-3) and poses != pytest.approx(299)
    unknown = replace(wanted, known=wanted.known & (torch.arange(45) != 40)[:, None])
    fewer = {figure.name: figure.value for figure in printed_figures(said.float(), unknown)}
    assert fewer["relative_frames_mm"] == pytest.approx((36 * 20 + 8 * 10) / 44, abs=1e-3)
    rest = printed_figures(said[torch.arange(45) != 40].float(), wanted[torch.arange(45) != 40])
    assert fewer == pytest.approx({figure.name: figure.value for figure in rest}, abs=1e-3)
    assert set(found) >= {"energy_mm", "ece", "rank", "in_50", "in_90"}


def test_a_lifter_that_looks_is_shown_its_picture(folder: Path) -> None:
    import cv2

    some = recordings()
    entries = context_entries(some)
    pickled(folder / "h36m_validation.pkl", entries)
    (folder / "images").mkdir()
    for number, entry in enumerate(entries):
        cv2.imwrite(
            str(folder / "images" / entry["image"].replace(".jpg", ".png")), np.full((4, 4, 3), number, np.uint8)
        )
        entry["image"] = entry["image"].replace(".jpg", ".png")
    pickled(folder / "h36m_validation.pkl", entries)
    people, _ = read_human36m_views(folder, human36m_rig, ALL, CONTEXT.files)
    oracle = Oracle(people, H36M_17, torch.zeros(72, 1, 17, 3).double())
    row = score_recordings(CONTEXT, oracle.lifter, folder, ALL, looks=True)
    assert row.value("relative_mm") < 0.05 and row.detections.endswith("h36m_validation.pkl")
    assert [int(image[0, 0, 0]) for image in oracle.pictures if image is not None] == list(range(72))
    assert read_image(folder / "images" / entries[0]["image"]).shape == (4, 4, 3)


def test_other_recordings_are_scored_where_their_files_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """MPI-INF-3DHP: cameras of unknown place; three frames of the four that are valid follow each other in pairs."""
    rng = np.random.default_rng(0)
    xyz = rng.normal([0, 0, 3500], 350, (4, 17, 3))
    xy = xyz[..., :2] / xyz[..., 2:] * LENSES["outdoors"][:2] + LENSES["outdoors"][2:]
    view = {"data_2d": xy, "data_3d": xyz, "valid": np.array([1, 1, 0, 1])}
    np.savez(tmp_path / "data_test_3dhp.npz", data=np.array({"TS5": view}, object))
    found = read_3dhp(tmp_path)
    assert found is not None and read_3dhp(tmp_path / "nowhere") is None
    error = torch.zeros(3, 1, 17, 3).double()
    error[1, 0, H36M_17.index("l_wrist"), 0], error[2, 0, H36M_17.index("l_knee"), 0] = 140.0, 999.0
    oracle, told = Oracle(found[0], H36M_17, error), list[Tensor]()

    def lift(sight: PeopleInView, image: Picture | None, generator: torch.Generator) -> Tensor:
        told.append(sight.people.up)
        return oracle.lift(sight, image, generator)

    monkeypatch.setattr(evaluate, "find_lifter", lambda name: NamedLifter(name, "", lambda *of: oracle.lifter, "none"))
    monkeypatch.setattr(evaluate, "load_lifter", lambda *of: PeopleLifter(H36M_17, lift))
    out = tmp_path / "out.json"
    assert evaluate.EvaluateCommand("diffpose-gmm", data=tmp_path, choice="test_all", out=out).run() == 0
    row = json.loads(out.read_text())["rows"][0]
    # One step alone is from a frame to the next: of its 16 joints one moved by 140 mm that should not have.
    assert row["velocity_mm"] == pytest.approx(140 / 16, abs=1e-3) and row["joints"] == 16
    assert row["detections"] == "MPI-INF-3DHP, data_test_3dhp.npz" and row["frames"] == 3
    assert not torch.cat(told).any() and "GraFormer" not in capsys.readouterr().out


def test_the_command_scores_and_shows_what_was_published(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    oracle = Oracle(people_of_folder(folder), H36M_17, torch.full((72, 1, 17, 3), 0.0).double())
    named = NamedLifter("diffpose-gmm", "", lambda path, count: oracle.lifter, "none")
    monkeypatch.setattr(evaluate, "find_lifter", lambda name: named)
    monkeypatch.setattr(evaluate, "load_lifter", lambda *of: oracle.lifter)
    out = folder / "out.json"
    command = evaluate.EvaluateCommand("diffpose-gmm", data=folder, choice="test_all", out=out)
    assert command.run() == 0
    written = json.loads(out.read_text())
    assert written["published"] == ["human36m_gmm"] and written["rows"][0]["method"] == "diffpose-gmm"
    printed = capsys.readouterr().out
    assert "GraFormer" in printed and "51.8" in printed
    with pytest.raises(InputError, match="none of the files"):
        evaluate.EvaluateCommand("diffpose-gmm", data=folder / "nowhere", out=out).run()


def test_every_protocol_has_its_published_table(root: Path) -> None:
    for protocol in LIFTED_PROTOCOLS:
        assert read_published(root / FOLDER / f"{protocol.published}.json").rows
        assert lifted_protocol(protocol.name) is protocol
    assert lifted_protocol("shelf") is None
