"""The scorers' agreement among themselves is the textbooks'."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import cohen_kappa_score

from sleep_lab.evaluation.agreement import (
    fleiss_kappa,
    pairwise_kappa,
    scorer_agreement,
    unanimous_share,
)
from sleep_lab.stages import N2, UNSCORED, W

SCORINGS = st.tuples(st.integers(2, 5), st.integers(1, 40)).flatmap(
    lambda shape: hnp.arrays(np.int8, shape, elements=st.integers(-1, 4))
)


def fleiss_by_pairs(scorings):
    """The chance that two scorers agree, over what two draws from all stages given would."""
    complete = scorings[:, (scorings != UNSCORED).all(0)]
    scorers = len(complete)
    pairs = [(a, b) for a in range(scorers) for b in range(scorers) if a != b]
    observed = np.mean([np.mean(complete[a] == complete[b]) for a, b in pairs])
    given_stages = complete.ravel()
    chance = np.mean([np.mean(given_stages == stage) for stage in given_stages])
    return (observed - chance) / (1 - chance) if chance < 1 else np.nan


def test_fleiss_kappa_is_that_of_the_textbook_example():
    # Fleiss 1971's form of data: ten subjects, fourteen raters, five categories
    counts = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    scorings = np.array([np.repeat(np.arange(5), row) for row in counts], np.int8).T
    assert fleiss_kappa(scorings) == pytest.approx(0.20993, abs=5e-6)


@given(SCORINGS)
@settings(max_examples=60, deadline=None)
def test_fleiss_kappa_is_agreement_of_pairs_beyond_chance(scorings):
    if not (scorings != UNSCORED).all(0).any():
        assert np.isnan(fleiss_kappa(scorings))
        return
    expected = fleiss_by_pairs(scorings)
    assert fleiss_kappa(scorings) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(SCORINGS)
@settings(max_examples=40, deadline=None)
def test_the_kappa_of_every_two_scorers_is_scikit_learns(scorings):
    found = pairwise_kappa(scorings)
    np.testing.assert_array_equal(found, found.T)
    for first in range(len(scorings)):
        for second in range(first):
            both = (scorings[[first, second]] != UNSCORED).all(0)
            if not both.any():
                assert np.isnan(found[first, second])
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # scikit-learn's own, where kappa is undefined
                expected = cohen_kappa_score(scorings[first, both], scorings[second, both])
            assert found[first, second] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(SCORINGS, st.randoms())
@settings(max_examples=40, deadline=None)
def test_neither_order_nor_number_of_the_same_epochs_changes_the_agreement(scorings, random):
    order = list(range(scorings.shape[1]))
    random.shuffle(order)
    once = scorer_agreement([scorings])
    twice = scorer_agreement([scorings[:, order], scorings])
    for name in ("fleiss_kappa", "pairwise_kappa", "unanimous", "mean_pairwise_kappa"):
        np.testing.assert_allclose(getattr(once, name), getattr(twice, name), atol=1e-12)
    np.testing.assert_allclose(twice.fleiss_kappa_per_night, once.fleiss_kappa, atol=1e-12)


def test_the_share_of_unanimous_epochs_is_of_those_that_all_scored():
    scorings = np.int8([[W, W, N2, UNSCORED], [W, N2, N2, W], [W, N2, N2, W]])
    assert unanimous_share(scorings) == 2 / 3


def test_one_stage_or_no_scored_epoch_leaves_kappa_undefined():
    one_stage = scorer_agreement([np.full((3, 8), N2, np.int8)])
    assert np.isnan([one_stage.fleiss_kappa, one_stage.mean_pairwise_kappa]).all()
    assert one_stage.unanimous == 1
    unscored = scorer_agreement([np.full((3, 8), UNSCORED, np.int8)])
    assert np.isnan([unscored.fleiss_kappa, unscored.unanimous]).all()


def test_scorers_who_say_the_same_have_a_kappa_of_one():
    scorings = np.tile(np.int8([W, N2, N2]), (4, 1))
    assert fleiss_kappa(scorings) == pytest.approx(1)
    np.testing.assert_allclose(pairwise_kappa(scorings), 1)
