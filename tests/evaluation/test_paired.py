"""Pairs are compared on the same nights, or not at all."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleep_lab.errors import InputError
from sleep_lab.evaluation.bootstrap import Resampling
from sleep_lab.evaluation.paired import holm, paired_comparisons

FEW = Resampling(resamples=500)


def nights(values):
    return {f"night {index:02}": float(value) for index, value in enumerate(values)}


def one_pair(first, second):
    (pair,) = paired_comparisons({"a": nights(first), "b": nights(second)}, FEW)
    return pair


def wilcoxon_by_enumeration(differences):
    """Every assignment of signs to the ranks is equally likely under the null hypothesis."""
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    found = ranks[differences > 0].sum()
    sums = [np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=len(differences))]
    tail = min(np.mean(np.array(sums) <= found), np.mean(np.array(sums) >= found))
    return min(1, 2 * tail)


@given(st.integers(0, 10_000), st.integers(2, 10))
@settings(max_examples=25, deadline=None)
def test_the_p_value_is_that_of_all_assignments_of_signs(seed, count):
    first, second = np.random.default_rng(seed).random((2, count))
    assert one_pair(first, second).p_value == pytest.approx(wilcoxon_by_enumeration(first - second))


@given(st.integers(0, 10_000), st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_the_effect_size_is_the_ranks_for_less_the_ranks_against(seed, count):
    first, second = np.random.default_rng(seed).random((2, count))
    differences = first - second
    ranks = 1 + (np.abs(differences)[:, None] > np.abs(differences)).sum(1)
    share = ranks[differences > 0].sum() / ranks.sum()
    assert one_pair(first, second).rank_biserial == pytest.approx(share - (1 - share))


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_who_comes_first_only_turns_the_sign(seed):
    first, second = np.random.default_rng(seed).random((2, 14))
    forward, backward = one_pair(first, second), one_pair(second, first)
    assert forward.difference == pytest.approx(-backward.difference)
    assert forward.rank_biserial == pytest.approx(-backward.rank_biserial)
    assert forward.p_value == backward.p_value
    assert forward.probability_better == pytest.approx(1 - backward.probability_better)
    assert (forward.low, forward.high) == pytest.approx((-backward.high, -backward.low), abs=1e-9)


@given(st.lists(st.floats(0, 1) | st.just(np.nan), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_holm_rejects_step_by_step(p_values):
    corrected = holm(np.array(p_values))
    tests = sorted(p for p in p_values if not np.isnan(p))
    for level in (0.01, 0.05, 0.2, 0.7):
        rejected = 0
        while rejected < len(tests) and tests[rejected] * (len(tests) - rejected) <= level:
            rejected += 1
        assert (corrected <= level).sum() == rejected
    np.testing.assert_array_equal(np.isnan(corrected), np.isnan(p_values))


def test_every_two_are_compared_and_the_number_of_pairs_corrected_for():
    rng = np.random.default_rng(6)
    scores = {
        name: nights(rng.random(9) + shift) for name, shift in {"c": 0, "a": 0.3, "b": 0.6}.items()
    }
    pairs = paired_comparisons(scores, FEW)
    assert [(pair.first, pair.second) for pair in pairs] == [("c", "a"), ("c", "b"), ("a", "b")]
    np.testing.assert_allclose(
        [pair.p_holm for pair in pairs], holm(np.array([pair.p_value for pair in pairs]))
    )
    for pair in pairs:
        alone = one_pair(scores[pair.first].values(), scores[pair.second].values())
        assert alone.p_holm == alone.p_value == pair.p_value
        assert (alone.low, alone.high) == pytest.approx((pair.low, pair.high), abs=1e-12)


def test_better_on_every_night_is_better_for_sure():
    pair = one_pair(np.linspace(0.5, 0.9, 10), np.linspace(0.4, 0.7, 10))
    assert (pair.rank_biserial, pair.probability_better) == (1, 1)
    assert pair.p_value == 2 / 2**10
    assert 0 < pair.low < pair.difference < pair.high


def test_no_difference_is_no_evidence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pair = one_pair([0.5, 0.6, 0.7], [0.5, 0.6, 0.7])
    assert (pair.difference, pair.low, pair.high, pair.rank_biserial) == (0, 0, 0, 0)
    assert (pair.p_value, pair.p_holm, pair.probability_better) == (1, 1, 0.5)


def test_what_rounding_leaves_is_no_difference():
    pair = one_pair([0.1 + 0.2, 0.9, 0.8], [0.3, 0.5, 0.3])
    assert (pair.p_value, pair.rank_biserial) == (0.5, 1)
    assert one_pair([0.1 + 0.2] * 3, [0.3] * 3).probability_better == 0.5


def test_a_single_night_proves_nothing():
    pair = one_pair([0.9], [0.5])
    assert (pair.nights, pair.p_value) == (1, 1)
    assert np.isnan([pair.low, pair.high]).all()


def test_nights_where_one_has_no_score_are_left_out_and_counted():
    with_gap = one_pair([0.9, 0.8, np.nan, 0.7], [0.5, 0.6, 0.7, 0.65])
    without = one_pair([0.9, 0.8, 0.7], [0.5, 0.6, 0.65])
    assert with_gap.nights == 3
    assert with_gap.difference == pytest.approx(without.difference)
    assert with_gap.p_value == without.p_value
    never = one_pair([np.nan], [0.5])
    assert never.nights == 0
    assert np.isnan([never.difference, never.p_value, never.rank_biserial, never.p_holm]).all()


def test_different_nights_are_refused_and_one_alone_has_no_pair():
    with pytest.raises(InputError, match=r"a and b were scored on different nights \(b lacks n2\)"):
        paired_comparisons({"a": {"n1": 1.0, "n2": 0.5}, "b": {"n1": 1.0}}, FEW)
    assert paired_comparisons({"a": nights([1])}, FEW) == []
