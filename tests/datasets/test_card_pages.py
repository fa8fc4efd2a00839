"""The pages of the data sets say what the adapters do: sizes, splits, places, and a citation that exists."""

import importlib
import re
from pathlib import Path

import pytest

from dispose.datasets.layouts.actors import (
    CAMPUS,
    CAMPUS_TEST,
    CAMPUS_TRAIN,
    CAMPUS_VALIDATION,
    SHELF,
    SHELF_TEST,
    SHELF_TRAIN,
    SHELF_VALIDATION,
)
from dispose.datasets.layouts.mm_or import MM_OR, MM_OR_TEST, MM_OR_TRAIN, MM_OR_VALIDATION
from dispose.datasets.layouts.panoptic import PANOPTIC, PANOPTIC_TEST, PANOPTIC_TRAIN, PANOPTIC_VALIDATION
from dispose.datasets.layouts.source import Split, Traits

PAGES = [
    ("panoptic", PANOPTIC, (PANOPTIC_TRAIN, PANOPTIC_VALIDATION, PANOPTIC_TEST)),
    ("shelf", SHELF, (SHELF_TRAIN, SHELF_VALIDATION, SHELF_TEST)),
    ("campus", CAMPUS, (CAMPUS_TRAIN, CAMPUS_VALIDATION, CAMPUS_TEST)),
    ("mm_or", MM_OR, (MM_OR_TRAIN, MM_OR_VALIDATION, MM_OR_TEST)),
]


def numbers(values: tuple[float, ...]) -> str:
    return " x ".join(f"{value:g}" for value in values)


@pytest.mark.parametrize(("name", "traits", "splits"), PAGES, ids=[page[0] for page in PAGES])
def test_page(name: str, traits: Traits, splits: tuple[Split, ...], root: Path) -> None:
    text = (root / "data" / "cards" / f"{name}.md").read_text()
    assert text.startswith(f"# {traits.name}\n")
    for row in ("citation", "licence as stated", "obtain", "adapter", "cameras", "units", "skeleton", "space"):
        assert f"| {row} |" in text
    assert numbers(traits.image_size) in text and numbers(traits.input_size) in text
    centre = ", ".join(f"{value:g}" for value in traits.space_centre_mm)
    assert f"{numbers(traits.space_size_mm)} mm about ({centre})" in text and f"`{traits.skeleton.name}`" in text
    for split in splits:
        (row,) = re.findall(rf"^\| {split.name} \|(.*)\|$", text, re.M)
        for block in split.blocks:
            assert block.sequence in row or f"{block.first}-{block.last}" in row
        if len(splits[0].sequences) > 1:
            assert set(re.findall(r"\d[\d-]+_\w+", row)) == set(split.sequences)


@pytest.mark.parametrize("name", [*(page[0] for page in PAGES), "human36m", "mpi_inf_3dhp"])
def test_page_speaks_of_what_exists(name: str, root: Path) -> None:
    text = (root / "data" / "cards" / f"{name}.md").read_text()
    references = (root / "docs" / "references.bib").read_text()
    for key in re.findall(r"`([a-z]+\d{4}[a-z]+)`", text):
        assert f"{{{key}," in references
    for module, function in re.findall(r"`(dispose\.[\w.]+)\.(\w+)`", text):
        assert callable(vars(importlib.import_module(module))[function])
