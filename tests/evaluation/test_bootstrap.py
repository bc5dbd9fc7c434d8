"""Intervals over nights are those of the textbook, for all scores at once."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from sleep_lab.errors import InputError
from sleep_lab.evaluation.bootstrap import (
    Resampling,
    bca_interval,
    estimate,
    mean_over_nights,
    pooled,
)
from sleep_lab.evaluation.weighted_scores import weighted_scores

FEW = Resampling(resamples=999, seed=11)


@pytest.fixture(autouse=True)
def _no_warning_is_ever_given():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def of_mean(values, resampling=FEW):
    values = np.asarray(values, float)
    return bca_interval(mean_over_nights(values[:, None]), len(values), resampling)


def by_scipy(values, statistic, resampling):
    found = bootstrap(
        (values,),
        statistic,
        n_resamples=resampling.resamples,
        confidence_level=resampling.confidence,
        method="BCa",
        rng=np.random.default_rng(resampling.seed),
        vectorized=True,
    )
    return found.confidence_interval


@pytest.mark.parametrize("nights", [25, 60])
@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_the_interval_of_a_mean_is_scipys(nights, confidence):
    values = np.random.default_rng(nights).beta(8, 2, (nights, 7)) ** 2
    resampling = Resampling(1500, confidence, seed=nights)
    low, high = of_mean(values, resampling)
    for column in range(7):
        expected = by_scipy(values[:, column], np.mean, resampling)
        np.testing.assert_allclose((low[column], high[column]), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("nights", [2, 4, 8])
def test_the_interval_of_few_nights_whose_resamples_often_tie_is_scipys(nights):
    # sixty-fourths, so that neither side rounds: scipy breaks ties by the last digit
    values = np.random.default_rng(3).permutation(64)[: 5 * nights].reshape(nights, 5) / 64
    low, high = of_mean(values)
    for column in range(5):
        expected = by_scipy(values[:, column], np.mean, FEW)
        np.testing.assert_allclose((low[column], high[column]), expected, rtol=0, atol=1e-12)


def test_the_interval_of_pooled_scores_is_scipys():
    nights = 12
    confusions = np.random.default_rng(1).integers(1, 90, (nights, 5, 6)) * 1.0

    def kappa(drawn, axis=-1):
        return weighted_scores(confusions[drawn].sum(axis - 2), "zero")[..., 2]

    statistic = pooled(confusions, lambda sums: weighted_scores(sums, "zero"))
    found = bca_interval(statistic, nights, FEW)[:, 2]
    expected = by_scipy(np.arange(nights), kappa, FEW)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        estimate(statistic, nights), weighted_scores(confusions.sum(0), "zero"), rtol=1e-12
    )


def test_several_judgements_of_a_night_are_drawn_together():
    values = np.random.default_rng(2).random((10, 3))
    found = bca_interval(mean_over_nights(values), 10, FEW)
    np.testing.assert_allclose(found, of_mean(values.mean(1)), rtol=1e-10)


def test_undefined_values_are_left_out_as_if_the_mean_were_a_ratio():
    values = np.random.default_rng(4).random(15)
    values[[2, 9]] = np.nan
    statistic = mean_over_nights(values[:, None])
    assert estimate(statistic, 15) == pytest.approx(np.nanmean(values))
    draws = FEW.draws(15)
    rows = [np.repeat(values, row.astype(int)) for row in draws[:50]]
    np.testing.assert_allclose(statistic(draws[:50]), [np.nanmean(row) for row in rows])
    low, high = bca_interval(statistic, 15, FEW)
    assert low < np.nanmean(values) < high


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    values = np.random.default_rng(0).random(20)
    np.testing.assert_array_equal(of_mean(values), of_mean(values))
    other = of_mean(values, Resampling(resamples=999, seed=12))
    assert (of_mean(values) != other).all()
    np.testing.assert_allclose(of_mean(values), other, atol=0.03)


def test_a_resample_draws_as_many_nights_as_there_are():
    draws = FEW.draws(7)
    assert draws.shape == (999, 7)
    assert (draws.sum(1) == 7).all()
    np.testing.assert_allclose(draws.mean(0), 1, atol=0.15)


@given(st.floats(-1, 1), st.integers(2, 30))
@settings(max_examples=30, deadline=None)
def test_nights_that_are_all_equal_leave_no_doubt(value, nights):
    np.testing.assert_allclose(of_mean(np.full(nights, value)), [value] * 2, rtol=0, atol=1e-14)


@given(st.integers(0, 1000), st.floats(0.1, 5), st.floats(-3, 3))
@settings(max_examples=20, deadline=None)
def test_the_interval_moves_and_stretches_with_the_scores(seed, gain, shift):
    values = np.random.default_rng(seed).random(12)
    np.testing.assert_allclose(
        of_mean(values * gain + shift), of_mean(values) * gain + shift, rtol=0, atol=1e-9
    )


def test_a_single_night_has_no_interval():
    assert np.isnan(of_mean([0.8])).all()
    assert np.isnan(of_mean([np.nan, 0.8, np.nan])).all()
    assert np.isnan(of_mean([np.nan, np.nan])).all()
    assert not np.isnan(of_mean([0.7, 0.8, np.nan])).any()


def test_one_extreme_night_gives_an_interval_within_the_nights():
    values = np.r_[np.full(24, 0.9), 0.0]
    low, high = of_mean(values, Resampling(999, 0.999))
    assert 0 <= low < values.mean() < high <= 0.9


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(8)
    studies = rng.beta(9, 3, (30, 400))
    low, high = of_mean(studies, Resampling(999, 0.9))
    held = np.mean((low < 0.75) & (high > 0.75))
    assert 0.85 < held < 0.94


@pytest.mark.parametrize("wrong", [{"resamples": 0}, {"confidence": 95}, {"confidence": 0}])
def test_a_resampling_that_means_nothing_is_refused(wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))} is "):
        Resampling(**wrong)
