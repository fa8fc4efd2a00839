"""The bench measures what it says."""

import json
import math

import pytest
import torch
from matplotlib.figure import Figure

from dispose.association.cues import MISFIT_CAP
from dispose.association.evidence import pair_misfit
from dispose.models.dispose.associator import Associator, AssociatorConfig
from dispose.models.dispose.placement import PlacementConfig
from dispose_benchmarks.association import Cell, bench_frame, combinations, enumerate_all, fit_growth, growth_fits
from dispose_kernels.candidates import join
from dispose_viz.charts.growth import draw_growth, read_exponents, read_growth


def test_a_bench_frame_has_the_people_it_should():
    missed = total = 0
    for seed in range(6):
        frame = bench_frame(5, 6, torch.Generator().manual_seed(seed))
        assert len(frame.cameras) == 5
        counts = frame.detections.counts
        assert (counts >= 1).all() and (counts <= 7).all()
        missed += int((7 - counts).sum())
        total += 30
    assert 0.03 < missed / total < 0.6


def test_plain_enumeration_finds_the_same_candidates():
    """What is timed beside ours is the same problem."""
    torch.manual_seed(0)
    associator = Associator(AssociatorConfig(placement=PlacementConfig(chans=16, blocks=1), chans=16, layers=1)).eval()
    for seed in range(3):
        frame = bench_frame(3, 3, torch.Generator().manual_seed(seed))
        described = associator.described(frame)
        assert described is not None
        limits = associator.config.candidates
        allowed = pair_misfit(described.evidence, cap=MISFIT_CAP) <= limits.pair_limit
        plain = enumerate_all(described.evidence, allowed, limits.member_limit)
        ours = join(described.evidence, allowed, cap=MISFIT_CAP, limit=limits.member_limit).members
        assert {tuple(row) for row in plain.tolist()} == {tuple(row) for row in ours.tolist()}
        assert len(plain) <= combinations(frame)


def cells_of(views_power: float, persons_power: float) -> list[Cell]:
    """Sizes whose processor time is a product of powers; the elapsed time says something else."""
    return [
        Cell(views, persons, 1, 1, 1, 9.0, 0.01 * views**views_power * persons**persons_power, 1.0, 1.0, math.nan)
        for views in (3, 5, 7, 10)
        for persons in (4, 8)
    ]


def test_exponents_of_growth_are_those_of_the_law():
    whole, blocks = growth_fits(cells_of(1.5, 0.75))
    assert (whole.from_views, blocks.from_views) == (3, 7)
    for fit in (whole, blocks):
        assert fit.views_exponent == pytest.approx(1.5) and fit.persons_exponent == pytest.approx(0.75)


def test_too_few_sizes_tell_no_exponents():
    assert growth_fits([cell for cell in cells_of(1.0, 1.0) if cell.persons == 4]) == []
    assert fit_growth(cells_of(1.0, 1.0), from_views=10) is None


def test_exponents_stand_in_the_chart(tmp_path):
    path = tmp_path / "bench.json"
    growth = [{"from_views": 3, "views_exponent": 1.5, "persons_exponent": 0.75}]
    rows = [{"views": 3, "persons": 4, "seconds": 0.1, "plain_seconds": None}]
    path.write_text(json.dumps({"rows": rows, "growth": growth}))
    (formula,) = read_exponents(path)
    assert "from 3 cameras" in formula and "1.50" in formula and "0.75" in formula
    axes = draw_growth(Figure().subplots(), read_growth(path), (formula,))
    assert [text.get_text() for text in axes.texts] == [formula]
    path.write_text(json.dumps({"rows": rows}))
    assert read_exponents(path) == ()
