"""`dispose prepare` on the sample of detections: labels with an account, and refusals in one sentence."""

import json
from pathlib import Path

import pytest

from dispose.cli import main as cli
from dispose.datasets.samples import sample_folder
from dispose.formats.pseudo_labels import read_pseudo_labels


def test_a_capture_becomes_labels_with_an_account(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prepare", str(sample_folder("crossing")), "--out", str(tmp_path / "labels.npz"), "--frames", "0:12"]
    assert cli.main([*words, "--names", "room", "--trust-cameras"]) == 0
    store = read_pseudo_labels(tmp_path / "labels.npz")
    assert store.sequences == ("room",)
    assert len(store) == 12
    assert all(len(store.at("room", number).poses.id) for number in store.numbers("room"))
    report = json.loads((tmp_path / "labels.report.json").read_text())
    assert report["schema"] == "dispose.label_report/1"
    assert report["sequences"][0]["frames"] == 12
    assert "room: 12 frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "labels.txt"], "must end in .npz"),
        (["--names", "a", "b"], "2 names for 1 captures"),
        (["--areas", "areas.json"], "outside of the image"),
        (["--rename", "who", "me"], "no such camera"),
        (["--frames", "900:901"], "no frame in 900:901"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = sample_folder("crossing").resolve()
    monkeypatch.chdir(tmp_path)
    cameras = '{"cam01": [[[0, 0], [9, 0], [9, 90000]]]}'
    (tmp_path / "areas.json").write_text('{"schema": "dispose.areas/1", "cameras": ' + cameras + "}")
    assert cli.main(["prepare", str(sample), *words]) == 2
    told = capsys.readouterr().err.strip()
    assert said in told
    assert "\n" not in told
    assert not list(tmp_path.glob("*.npz"))
