"""How noisy a frame is, told by its best pairs."""

import pytest
import torch

from dispose.association.evidence import DOUBTING_PAIRS, EXPECTED_MISFIT, noise_excess, pair_misfit, widen
from dispose_kernels.candidates import Evidence


def table_of(views, people, value, other=20.0):
    """Misfits of people whom every view sees in the same slot."""
    misfit = torch.full((views, people, views, people), other, dtype=torch.float64)
    for person in range(people):
        misfit[:, person, :, person] = value
    for view in range(views):
        misfit[view, :, view] = torch.inf
    return misfit


def one(misfit):
    return float(noise_excess(misfit[None], torch.zeros(1, dtype=torch.long))[0])


def test_the_excess_is_the_median_over_what_is_expected_held_back_where_pairs_are_few():
    """Detections of one person misfit by 1 where all is as assumed; 60 pairs count three quarters, 1 a 21st."""
    assert EXPECTED_MISFIT == 1.0 and DOUBTING_PAIRS == 20
    assert one(table_of(5, 6, 4.8)) == pytest.approx(4.8**0.75)
    assert one(table_of(2, 1, 4.8)) == pytest.approx(4.8 ** (1 / 21))
    assert one(table_of(5, 6, 4.8)) > one(table_of(3, 3, 4.8)) > 1


def test_a_frame_as_expected_or_better_stays_as_it_is():
    assert one(table_of(5, 6, EXPECTED_MISFIT)) == pytest.approx(1.0)
    assert one(table_of(5, 6, 0.3)) == 1.0


def test_pairs_that_are_not_each_others_best_do_not_count():
    misfit = table_of(2, 2, 4.0)
    misfit[0, 1, 1, 1] = misfit[1, 1, 0, 1] = 9.0
    misfit[0, 1, 1, 0] = misfit[1, 0, 0, 1] = 5.0  # better for one of them, who is not the other's best
    assert one(misfit) == pytest.approx((4.0 / EXPECTED_MISFIT) ** (1 / (1 + DOUBTING_PAIRS)))


def test_parts_of_a_frame_share_their_noise_and_others_do_not():
    tables = torch.stack([table_of(2, 4, 2.0), table_of(2, 4, 7.2), table_of(2, 4, 1.0)])
    found = noise_excess(tables, torch.tensor([0, 0, 1]))
    assert found[0] == found[1] > 1 and found[2] == 1
    # The lower median of four pairs each.
    assert float(found[0]) == pytest.approx(2.0 ** (8 / 28))


def test_wider_evidence_fits_better_by_the_same_factor():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(1, 3, 2, 4, 3, 3, generator=generator, dtype=torch.float64)
    precision = root @ root.mT + 0.1 * torch.eye(3, dtype=torch.float64)
    mean = torch.randn(1, 3, 2, 4, 3, generator=generator, dtype=torch.float64)
    information = (precision @ mean[..., None])[..., 0]
    evidence = Evidence(precision, information, (information * mean).sum(-1), torch.ones(1, 3, 2, dtype=torch.bool))
    plain = pair_misfit(evidence, cap=1e9)
    wide = pair_misfit(widen(evidence, torch.tensor([2.5], dtype=torch.float64)), cap=1e9)
    finite = plain.isfinite()
    torch.testing.assert_close(wide[finite] * 2.5, plain[finite])
