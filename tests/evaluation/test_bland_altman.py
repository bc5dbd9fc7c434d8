"""Agreement of measurements is that of the literature's worked examples, and of other formulas."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from sleep_lab.errors import InputError
from sleep_lab.evaluation.bland_altman import (
    agreement_per_statistic,
    bland_altman,
    icc_agreement,
    icc_consistency,
)
from sleep_lab.evaluation.sleep_statistics import STATISTICS, sleep_statistics
from tests.shared import SHARED, needs_shared

# peak expiratory flow of 17 people by two meters, l/min (Bland and Altman, Lancet 1986, table 1)
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]

# six targets, four judges (Shrout and Fleiss 1979, table 2)
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]

MEASUREMENTS = hnp.arrays(
    np.float64,
    st.tuples(st.integers(2, 12), st.integers(2, 4)),
    elements=st.integers(-50, 50).map(float),
)


def test_two_peak_flow_meters_agree_as_published():
    found = bland_altman(WRIGHT, MINI)
    assert found.bias == pytest.approx(-2.1, abs=0.05)
    assert found.spread == pytest.approx(38.8, abs=0.05)
    assert found.bias_interval == pytest.approx((-22.0, 17.8), abs=0.1)
    # published with 2 for 1.96
    assert found.limits == pytest.approx((-2.1 - 1.96 * 38.8, -2.1 + 1.96 * 38.8), abs=0.15)
    assert (found.nights, found.left_out) == (17, 0)


@pytest.mark.parametrize(("nights", "factor"), [(10, 2.911), (20, 2.396), (50, 2.065)])
def test_the_bound_of_a_limit_is_the_published_tolerance_factor(nights, factor):
    # one-sided factors, 95% of the values with 95% confidence (Natrella, NBS Handbook 91, A-7)
    x = np.random.default_rng(nights).standard_normal(nights)
    found = bland_altman(x, np.zeros(nights), coverage=0.90, confidence=0.90)
    assert (found.upper_interval[1] - found.bias) / found.spread == pytest.approx(factor, abs=2e-3)
    assert (found.bias - found.lower_interval[0]) / found.spread == pytest.approx(factor, abs=2e-3)


def test_the_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    times, z = 1500, stats.norm.ppf(0.975)
    inside = np.zeros(3)
    for differences in 2 + 3 * rng.standard_normal((times, 8)):
        found = bland_altman(differences, np.zeros(8), confidence=0.9)
        truths = (2, 2 - 3 * z, 2 + 3 * z)
        intervals = (found.bias_interval, found.lower_interval, found.upper_interval)
        inside += [low < true < high for (low, high), true in zip(intervals, truths, strict=True)]
    np.testing.assert_allclose(inside / times, 0.9, atol=4 * math.sqrt(0.09 / times))


def test_many_nights_have_the_approximate_intervals_of_the_first_paper():
    x = np.random.default_rng(2).standard_normal(2000)
    found = bland_altman(x, np.zeros(2000))
    z = stats.norm.ppf(0.975)
    half = z * found.spread * math.sqrt(1 / 2000 + z**2 / (2 * 1999))
    upper = found.limits[1]
    assert found.upper_interval == pytest.approx((upper - half, upper + half), rel=2e-3)


def test_proportional_bias_is_found_by_least_squares():
    rng = np.random.default_rng(3)
    expert = rng.uniform(300, 500, 40)
    model = 1.2 * expert + rng.normal(0, 8, 40)
    found = bland_altman(model, expert)
    means, differences = (model + expert) / 2, model - expert
    design = np.stack([means, np.ones(40)], axis=1)
    coefficients, squares, *_ = np.linalg.lstsq(design, differences, rcond=None)
    error = math.sqrt(squares[0] / 38 * np.linalg.inv(design.T @ design)[0, 0])
    assert found.slope == pytest.approx(coefficients[0])
    t = coefficients[0] / error
    assert found.slope_p == pytest.approx(2 * stats.t.sf(t, 38), rel=1e-6)
    assert found.slope_p < 1e-6 < bland_altman(expert + rng.normal(0, 8, 40), expert).slope_p


@given(st.integers(0, 2**32 - 1), st.integers(3, 30))
@settings(max_examples=40)
def test_swapping_the_sides_mirrors_everything(seed, nights):
    a, b = np.random.default_rng(seed).standard_normal((2, nights))
    there, back = bland_altman(a, b), bland_altman(b, a)
    assert back.bias == pytest.approx(-there.bias)
    assert back.limits == pytest.approx((-there.limits[1], -there.limits[0]))
    low, high = there.upper_interval
    assert back.lower_interval == pytest.approx((-high, -low))
    assert back.slope == pytest.approx(-there.slope)
    assert back.slope_p == pytest.approx(there.slope_p)


def test_nights_that_a_side_did_not_measure_are_left_out_and_counted():
    nan = math.nan
    model, expert = [5, nan, 3, 8, nan, 2], [4, 1, nan, 9, nan, 4]
    complete = [5, 8, 2], [4, 9, 4]
    found, expected = bland_altman(model, expert), bland_altman(*complete)
    assert (found.nights, found.left_out) == (3, 3)
    assert (found.bias, found.limits) == (expected.bias, expected.limits)
    reliability = icc_agreement(np.transpose([model, expert]))
    assert (reliability.nights, reliability.left_out) == (3, 3)
    assert reliability.value == icc_agreement(np.transpose(complete)).value


@pytest.mark.parametrize("nights", [0, 1])
def test_too_few_nights_leave_it_open(nights):
    found = bland_altman([7.0] * nights, [4.0] * nights)
    assert found.bias == 3 if nights else math.isnan(found.bias)
    undefined = [found.spread, *found.bias_interval, *found.limits, *found.lower_interval]
    undefined += [*found.upper_interval, found.slope, found.slope_p]
    undefined += [icc_agreement(np.ones((nights, 2))).value]
    undefined += [*icc_consistency(np.ones((nights, 2))).interval]
    assert all(math.isnan(value) for value in undefined)


def test_a_model_that_always_agrees_has_limits_of_zero_and_reliability_one():
    x = np.array([400.1, 430.7, 377.3, 401.9])
    found = bland_altman(x, x)
    assert (found.bias, found.spread, found.limits, found.slope) == (0, 0, (0, 0), 0)
    for icc in (icc_agreement, icc_consistency):
        same = icc(np.stack([x, x], axis=1))
        assert same.value == pytest.approx(1)
        assert same.interval == pytest.approx((1, 1))


def test_a_constant_difference_lowers_agreement_but_not_consistency():
    x = np.array([1.0, 2.0, 4.0, 8.0])
    shifted = np.stack([x, x + 3], axis=1)
    assert icc_consistency(shifted).value == pytest.approx(1)
    assert icc_agreement(shifted).value < 0.8


@pytest.mark.parametrize("same", [[[0.1, 0.1]] * 7, [[0.0, 3.0]] * 7])
def test_nights_that_are_all_equal_have_no_reliability(same):
    for icc in (icc_agreement, icc_consistency):
        assert math.isnan(icc(np.array(same)).value)


def test_four_judges_are_as_reliable_as_published():
    agreement, consistency = icc_agreement(JUDGES), icc_consistency(JUDGES)
    # Shrout and Fleiss give the values, the R package psych the intervals
    assert agreement.value == pytest.approx(0.29, abs=0.005)
    assert agreement.interval == pytest.approx((0.019, 0.76), abs=0.005)
    assert consistency.value == pytest.approx(0.71, abs=0.005)
    assert consistency.interval == pytest.approx((0.34, 0.95), abs=0.005)


@given(MEASUREMENTS)
def test_reliability_is_that_of_the_sums_of_squares(x):
    nights, sides = x.shape
    # as sums over pairs of measurements: nothing in common with deviations from means
    night_pairs = itertools.combinations(x.sum(axis=1), 2)
    side_pairs = itertools.combinations(x.sum(axis=0), 2)
    all_pairs = itertools.combinations(x.ravel(), 2)
    nights_ss = sum((a - b) ** 2 for a, b in night_pairs) / (nights * sides)
    sides_ss = sum((a - b) ** 2 for a, b in side_pairs) / (nights * sides)
    rest_ss = sum((a - b) ** 2 for a, b in all_pairs) / (nights * sides) - nights_ss - sides_ss
    ms_nights = nights_ss / (nights - 1)
    ms_sides = sides_ss / (sides - 1)
    ms_rest = rest_ss / ((nights - 1) * (sides - 1))
    assume(ms_nights > 1e-9 and ms_rest > 1e-9)
    between_nights = (ms_nights - ms_rest) / sides
    between_sides = (ms_sides - ms_rest) / nights
    consistency, agreement = icc_consistency(x), icc_agreement(x)
    assert consistency.value == pytest.approx(between_nights / (between_nights + ms_rest))
    assert agreement.value == pytest.approx(
        between_nights / (between_nights + between_sides + ms_rest)
    )
    # the ends of the interval are the reliabilities that make the observed F an outer quantile
    for end, tail in zip(consistency.interval, (0.975, 0.025), strict=True):
        expected_f = (1 + (sides - 1) * end) / (1 - end)
        observed = ms_nights / ms_rest / expected_f
        freedom = (nights - 1, (nights - 1) * (sides - 1))
        assert stats.f.cdf(observed, *freedom) == pytest.approx(tail, abs=1e-6)
    assert consistency.interval[0] <= consistency.value <= consistency.interval[1]
    if agreement.value > 0:
        # likewise, the denominator of F being a sum of two mean squares
        def parts(end: float) -> tuple[float, float]:
            odds = sides * end / (nights * (1 - end))
            return odds * ms_sides, (1 + (nights - 1) * odds) * ms_rest

        of_sides, of_rest = parts(agreement.value)
        freedom = (of_sides + of_rest) ** 2 / (
            of_sides**2 / (sides - 1) + of_rest**2 / ((nights - 1) * (sides - 1))
        )
        for end, tail in zip(agreement.interval, (0.975, 0.025), strict=True):
            observed = ms_nights / sum(parts(end))
            assert stats.f.cdf(observed, nights - 1, freedom) == pytest.approx(tail, abs=1e-6)
    assert agreement.interval[0] <= agreement.value <= agreement.interval[1]


@needs_shared
def test_a_models_statistics_agree_with_a_scorers_over_the_dodh_nights():
    def statistics(file: str, name: str):
        with np.load(SHARED / "dod" / file) as nights:
            keys = [key for key in nights.files if key.startswith(f"{name}/")]
            return {key.partition("/")[2]: sleep_statistics(nights[key]) for key in keys}

    model = statistics("dodh_base_models.npz", "SimpleNet")
    expert = statistics("dodh_scorers.npz", "scorer_1")
    found = agreement_per_statistic(model, expert)
    assert list(found) == list(STATISTICS)
    sleep = found["total_sleep_time_min"]
    differences = [
        model[night].total_sleep_time_min - expert[night].total_sleep_time_min for night in expert
    ]
    assert sleep.bland_altman.bias == pytest.approx(np.mean(differences))
    assert sleep.bland_altman.nights == 25
    assert 0.9 < sleep.icc_agreement.value <= 1
    turned = agreement_per_statistic(dict(reversed(model.items())), expert)
    assert turned["rem_min"].bland_altman.bias == pytest.approx(found["rem_min"].bland_altman.bias)


@pytest.mark.parametrize("opposite", [[[0, 1], [1, 0]], [[0, 1, 2], [2, 1, 0]]])
def test_sides_that_always_contradict_each_other_are_no_division_by_zero(opposite):
    found = icc_agreement(opposite)
    assert math.isnan(found.value) or found.value < 0


def test_different_nights_are_refused():
    night = sleep_statistics([0, 1, 2])
    with pytest.raises(InputError, match="night 'b' has sleep statistics of one side only"):
        agreement_per_statistic({"a": night, "b": night}, {"a": night})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bland_altman([1, 2], [1]), r"shape \(2,\) and the expert's \(1,\)"),
        (lambda: bland_altman([[1]], [[1]]), r"shape \(1, 1\)"),
        (lambda: icc_agreement([1, 2]), r"shape \(2,\)"),
        (lambda: icc_consistency([[1], [2]]), r"shape \(2, 1\)"),
    ],
)
def test_measurements_that_do_not_fit_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
