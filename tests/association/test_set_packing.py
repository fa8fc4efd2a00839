"""Set packing is exact: the certificate of the quick way is compared with the integer programme."""

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from dispose.association import decode
from dispose.association.decode import pack_sets, pay_for_sets


def optimum(worth, member):
    result = milp(
        -worth,
        constraints=LinearConstraint(member.T.astype(float), ub=1.0),
        integrality=np.ones(len(worth)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0.0},
    )
    return -result.fun


def random_sets(generator, sets, items, density):
    member = generator.random((sets, items)) < density
    member = member[member.any(1)]
    return generator.random(len(member)) * member.sum(1), member


@pytest.mark.parametrize("density", [0.1, 0.25, 0.5])
def test_the_total_is_that_of_the_integer_programme(density):
    generator = np.random.default_rng(0)
    for _ in range(30):
        worth, member = random_sets(generator, 25, 12, density)
        chosen = pack_sets(worth, member)
        assert (member[chosen].sum(0) <= 1).all()
        assert worth[chosen].sum() == pytest.approx(optimum(worth, member), abs=1e-9)


def test_prices_pay_for_every_set_and_bound_the_optimum():
    generator = np.random.default_rng(1)
    for _ in range(30):
        worth, member = random_sets(generator, 25, 12, 0.25)
        price = pay_for_sets(worth, member)
        assert (price >= 0).all() and (member @ price >= worth - 1e-9).all()
        assert price.sum() >= optimum(worth, member) - 1e-9


def test_a_clear_frame_needs_no_solver(monkeypatch):
    """Two people of three views, their pairs worth less, and a stranger's pair worth little."""
    monkeypatch.setattr(decode, "_solve", None)
    member = np.zeros((9, 6), dtype=bool)
    for row, items in enumerate([(0, 1, 2), (0, 1), (0, 2), (1, 2), (3, 4, 5), (3, 4), (3, 5), (4, 5), (2, 3)]):
        member[row, items] = True
    worth = np.array([2.4, 0.9, 0.8, 0.7, 1.8, 0.8, 0.9, 0.1, 0.3])
    assert np.flatnonzero(pack_sets(worth, member)).tolist() == [0, 4]


def test_the_greater_total_wins_and_nothing_is_legal():
    member = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 0]], dtype=bool)
    assert pack_sets(np.array([1.0, 1.0, 1.5]), member).tolist() == [True, True, False]
    assert pack_sets(np.array([1.0, 1.0, 2.5]), member).tolist() == [False, False, True]
    assert len(pack_sets(np.zeros(0), np.zeros((0, 3), dtype=bool))) == 0
