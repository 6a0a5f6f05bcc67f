"""Intervals, tests and corrections against published numbers and against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.schema import BadInput
from gesta.stats.proportions import benjamini_hochberg, fisher, holm, mantel_haenszel, newcombe, wilson

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30)
counts = st.integers(0, 40).flatmap(lambda seen: st.tuples(st.integers(0, seen), st.just(seen)))


def test_differences_have_the_bounds_that_newcombe_printed():
    # Newcombe 1998, table II, method 10.
    for (a, m, b, n), bounds in {
        (56, 70, 48, 80): (0.0524, 0.3339), (9, 10, 3, 10): (0.1705, 0.8090), (6, 7, 2, 7): (0.0582, 0.8062),
        (5, 56, 0, 29): (-0.0381, 0.1926), (0, 10, 0, 20): (-0.1611, 0.2775), (10, 10, 0, 10): (0.6075, 1.0),
    }.items():  # fmt: skip
        assert newcombe(a, m, b, n) == pytest.approx(bounds, abs=6e-5)
    assert newcombe(0, 0, 3, 4) == (-1.0, 1.0)


def test_admissions_to_berkeley_by_department_are_as_r_says():
    # R: mantelhaen.test(UCBAdmissions, correct = FALSE); men and women, admitted and not, six departments.
    tables = np.array(
        [[512, 313, 89, 19], [353, 207, 17, 8], [120, 205, 202, 391], [138, 279, 131, 244], [53, 138, 94, 299],
         [22, 351, 24, 317]]
    )  # fmt: skip
    found = mantel_haenszel(tables)
    assert (found.chi2, found.p, found.odds_ratio) == pytest.approx((1.5246, 0.2169, 0.9046968), abs=5e-5)
    # Without the departments the same people look very different: that is what strata are for.
    assert mantel_haenszel(tables.sum(axis=0, keepdims=True)).p < 1e-15


def test_strata_that_tell_nothing_give_no_number():
    for tables in (np.zeros((0, 4), int), np.array([[3, 0, 4, 0]]), np.array([[1, 0, 0, 0]])):
        found = mantel_haenszel(tables)
        assert math.isnan(found.chi2)
        assert math.isnan(found.p)
    with pytest.raises(BadInput, match=r"tables \(2,\)"):
        mantel_haenszel(np.zeros(2, int))


@given(counts, counts)
def test_fisher_is_scipys(one, other):
    scipy_stats = pytest.importorskip("scipy.stats")
    table = [[one[0], one[1] - one[0]], [other[0], other[1] - other[0]]]
    assert fisher(*one, *other) == pytest.approx(scipy_stats.fisher_exact(table)[1], abs=1e-9)
    assert fisher(*other, *one) == pytest.approx(fisher(*one, *other), abs=1e-12)


@given(p_values)
def test_false_discovery_is_scipys_and_holm_is_as_defined(p):
    scipy_stats = pytest.importorskip("scipy.stats")
    assert benjamini_hochberg(p) == pytest.approx(scipy_stats.false_discovery_control(p))
    order = sorted(range(len(p)), key=lambda i: p[i])
    most = 0.0
    for place, i in enumerate(order):
        most = max(most, min((len(p) - place) * p[i], 1.0))
        assert holm(p)[i] == pytest.approx(most)


@given(p_values)
def test_corrections_never_help_and_holm_is_the_stricter(p):
    assert (benjamini_hochberg(p) >= np.array(p) - 1e-12).all()
    assert (holm(p) >= benjamini_hochberg(p) - 1e-12).all()
    assert (holm(p) <= 1).all()


@given(counts, st.sampled_from([0.5, 0.9, 0.99]))
def test_an_interval_holds_its_share_and_grows_with_its_level(count, level):
    low, high = wilson(*count, level=level)
    assert 0 <= low <= high <= 1
    if count[1]:
        assert low <= count[0] / count[1] <= high
    wider = wilson(*count, level=0.999)
    assert wider[0] <= low
    assert high <= wider[1]


def test_impossible_counts_are_refused():
    for call in (lambda: wilson(3, 2), lambda: fisher(-1, 2, 0, 1), lambda: newcombe(1, 2, 5, 4)):
        with pytest.raises(BadInput, match="Want 0 <= hits <= seen"):
            call()
