"""Every data card is complete and speaks of things that exist."""

import importlib
import json
from pathlib import Path

import pytest

from dispose.evaluation.protocols import protocols_of
from dispose.skeletons.catalog import by_name

CARDS = sorted((Path(__file__).resolve().parents[2] / "data" / "cards").glob("*.json"))
KEYS = {
    "name", "citation", "licence", "obtain", "place", "adapter", "skeleton", "detections", "units", "world_up",
    "cameras", "splits", "protocol", "notes",
}  # fmt: skip


def test_there_are_cards() -> None:
    assert {path.stem for path in CARDS} >= {"shelf", "mvor", "panoptic_mini", "pose2sim"}


@pytest.mark.parametrize("path", CARDS, ids=lambda p: p.stem)
def test_card(path: Path, root: Path) -> None:
    card = json.loads(path.read_text())
    assert card.keys() == KEYS
    assert card["units"] == "mm" and card["world_up"] == [0, 0, 1]
    assert f"{{{card['citation']}," in (root / "docs" / "references.bib").read_text()
    for skeleton in (card["skeleton"], *card["detections"]):
        assert skeleton in (None, "simulated") or by_name(skeleton)
    if card["adapter"]:
        module, name = card["adapter"].rsplit(".", 1)
        assert callable(vars(importlib.import_module(module))[name])
    if card["protocol"]:
        assert protocols_of(card["protocol"])


@pytest.mark.parametrize("path", CARDS, ids=lambda p: p.stem)
def test_card_agrees_with_the_cameras(path: Path, shared_data: Path) -> None:
    card = json.loads(path.read_text())
    rigs = list((shared_data / Path(card["place"]).name).glob("cameras*.json"))
    assert rigs
    for rig in rigs:
        views = json.loads(rig.read_text())["views"]
        assert len(views) == card["cameras"]["count"]
        sizes = {(view["width"], view["height"]) for view in views}
        assert sizes == {(card["cameras"]["width"], card["cameras"]["height"])}
