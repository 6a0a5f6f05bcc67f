"""Confident Learning of ours against its authors' program, on scores made by chance."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.curate.noise.confident import (
    RULES,
    confident_counts,
    confident_joint,
    confident_thresholds,
    label_likeliness,
    label_margin,
    rounded_rows,
    wrong_labels,
    wrong_labels_by_cleanlab,
)

cleanlab = pytest.importorskip("cleanlab")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import cleanlab.count
    import cleanlab.internal.util
    import cleanlab.rank


@contextlib.contextmanager
def the_authors() -> Iterator[None]:
    """Their program with its sorts made stable: numpy's own order of ties hangs on the processor."""
    argsort = np.argsort

    def stable(values, axis=-1, kind=None, order=None, **named):
        del kind
        return argsort(values, axis=axis, kind="stable", order=order, **named)

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        # It says that a class of one clip cannot lose it.
        warnings.simplefilter("ignore", UserWarning)
        patch.setattr(np, "argsort", stable)
        yield


def drawn(seed: int, *, num_labels: int, num_classes: int, sharpness: float, noise: float, least: int):
    """Labels and probabilities: the truth is drawn, the scores lean to it, and some labels are others."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(num_classes))
    truth = rng.choice(num_classes, num_labels, p=shares)
    logits = rng.standard_normal((num_labels, num_classes))
    logits[np.arange(num_labels), truth] += sharpness
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.where(rng.random(num_labels) < noise, rng.integers(0, num_classes, num_labels), truth)
    # The authors' program wants every class to be there up to the highest.
    labels[: least * num_classes] = np.repeat(np.arange(num_classes), least)
    return labels.astype(np.int64), scores


cases = st.builds(
    drawn,
    st.integers(0, 2**32 - 1),
    num_labels=st.integers(20, 400),
    num_classes=st.integers(2, 9),
    sharpness=st.sampled_from([0.0, 1.0, 3.0, 6.0]),
    noise=st.sampled_from([0.0, 0.1, 0.4, 0.9]),
    least=st.sampled_from([1, 2]),
)


@settings(max_examples=150, deadline=None)
@given(cases)
def test_thresholds_and_joints_are_the_authors(case) -> None:
    labels, scores = case
    np.testing.assert_allclose(
        confident_thresholds(labels, scores), cleanlab.count.get_confident_thresholds(labels, scores), rtol=1e-12
    )
    for calibrate, ours in ((False, confident_counts), (True, confident_joint)):
        with the_authors():
            theirs = cleanlab.count.compute_confident_joint(labels, scores, calibrate=calibrate)
        np.testing.assert_array_equal(ours(labels, scores), theirs)
    np.testing.assert_allclose(
        (label_margin(labels, scores) + 1) / 2, cleanlab.rank.get_normalized_margin_for_each_label(labels, scores)
    )
    np.testing.assert_array_equal(
        label_likeliness(labels, scores), cleanlab.rank.get_self_confidence_for_each_label(labels, scores)
    )


@settings(max_examples=150, deadline=None)
@given(cases, st.sampled_from(RULES))
def test_wrong_labels_are_the_authors(case, rule) -> None:
    labels, scores = case
    with the_authors():
        theirs = wrong_labels_by_cleanlab(labels, scores, rule=rule)
    np.testing.assert_array_equal(wrong_labels(labels, scores, rule=rule), theirs)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(0, 50, allow_nan=False).map(lambda value: round(value, 3)), min_size=3, max_size=3),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_rounding_keeps_the_sums_as_the_authors_do(rows) -> None:
    values = np.array(rows)
    ours = rounded_rows(values)
    with the_authors():
        theirs = cleanlab.internal.util.round_preserving_row_totals(values)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(ours.sum(axis=1), np.rint(values.sum(axis=1)))


def test_the_rules_find_something() -> None:
    labels, scores = drawn(0, num_labels=400, num_classes=5, sharpness=3.0, noise=0.3, least=1)
    found = {rule: int(wrong_labels(labels, scores, rule=rule).sum()) for rule in RULES}
    assert all(20 < number < 200 for number in found.values()), found
    assert len(set(found.values())) >= 4, found
