"""A hypnodensity is held against scorers as scikit-learn, brute force and theory would have it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import entropy as scipy_entropy
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, roc_auc_score

from sleep_lab.errors import InputError
from sleep_lab.evaluation.calibration import (
    apply_temperature,
    brier_score,
    cosine_similarity,
    cross_entropy,
    disagreement_auc,
    entropy,
    fit_temperature,
    hard_labels,
    reliability,
    reliability_per_stage,
    scorer_distribution,
)
from sleep_lab.stages import N1, N2, STAGES, UNSCORED, W
from tests.shared import SHARED, needs_shared

SEEDS = st.integers(0, 2**32 - 1)
ALL_STAGES = list(range(len(STAGES)))


def hypnodensity(seed: int, epochs: int = 300, sureness: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(5, sureness), epochs).astype(np.float32)


def drawn(probabilities: np.ndarray, scorers: int, seed: int = 9) -> np.ndarray:
    """(scorers, epochs) opinions that come true as often as the probabilities say."""
    limits = np.cumsum(probabilities.astype(float), axis=1)
    chance = np.random.default_rng(seed).random((scorers, len(probabilities), 1))
    return np.minimum((chance > limits).sum(axis=2), 4).astype(np.int8)


def test_scorers_vote_and_an_unscored_epoch_is_no_vote():
    scorers = [[W, N1, UNSCORED, N2], [W, N2, UNSCORED, UNSCORED], [W, N2, UNSCORED, UNSCORED]]
    np.testing.assert_allclose(
        scorer_distribution(scorers),
        [[1, 0, 0, 0, 0], [0, 1 / 3, 2 / 3, 0, 0], [math.nan] * 5, [0, 0, 1, 0, 0]],
    )


def test_one_scorer_gives_hard_labels():
    hypnogram = np.random.default_rng(0).integers(-1, 5, 100)
    np.testing.assert_array_equal(hard_labels(hypnogram), scorer_distribution([hypnogram]))


@given(SEEDS)
@settings(max_examples=30)
def test_hard_labels_give_the_scores_of_scikit_learn(seed):
    probabilities = hypnodensity(seed, sureness=2)
    stages = np.random.default_rng(seed).integers(-1, 5, len(probabilities))
    scored = stages >= 0
    exact = probabilities.astype(float) / probabilities.sum(axis=1, dtype=float, keepdims=True)
    expected = log_loss(stages[scored], exact[scored], labels=ALL_STAGES)
    labels = hard_labels(stages)
    assert cross_entropy(probabilities, labels) == pytest.approx(expected, rel=1e-9)
    for code, (stage, found) in enumerate(reliability_per_stage(probabilities, labels).items()):
        assert stage == STAGES[code]
        observed, predicted = calibration_curve(
            stages[scored] == code, probabilities[scored, code].astype(float), n_bins=10
        )
        full = found.epochs > 0
        np.testing.assert_allclose(found.observed[full], observed, atol=1e-12)
        np.testing.assert_allclose(found.predicted[full], predicted, atol=1e-12)


def test_soft_labels_give_the_mean_over_the_scorers():
    probabilities = hypnodensity(1)
    scorers = drawn(probabilities, 5)
    labels = scorer_distribution(scorers)
    one_by_one = [cross_entropy(probabilities, hard_labels(scorer)) for scorer in scorers]
    assert cross_entropy(probabilities, labels) == pytest.approx(np.mean(one_by_one))


def test_a_model_that_says_what_the_scorers_say_cannot_be_better():
    labels = scorer_distribution(drawn(hypnodensity(2), 5))
    assert cosine_similarity(labels, labels) == pytest.approx(1)
    assert brier_score(labels, labels) == 0
    assert cross_entropy(labels, labels) == pytest.approx(scipy_entropy(labels, axis=1).mean())
    other = hypnodensity(3)
    assert cosine_similarity(other, labels) < 1
    assert brier_score(other, labels) > 0
    assert cross_entropy(other, labels) > cross_entropy(labels, labels)


def test_the_similarities_of_single_epochs_are_as_by_hand():
    model = [[0.6, 0.4, 0, 0, 0], [0.2, 0.2, 0.2, 0.2, 0.2]]
    labels = [[1, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0]]
    cosines = 0.6 / math.sqrt(0.52), 0.2 / math.sqrt(0.2 * 0.5)
    assert cosine_similarity(model, labels) == pytest.approx(np.mean(cosines))
    assert brier_score(model, labels) == pytest.approx((0.32 + 0.30) / 2)
    logs = -math.log(0.6), -math.log(0.2)
    assert cross_entropy(model, labels) == pytest.approx(np.mean(logs))
    assert entropy(model) == pytest.approx([scipy_entropy(model[0]) / math.log(5), 1])


def test_a_stage_that_was_ruled_out_costs_much_but_not_infinitely_much():
    ruled_out = np.array([[1, 0, 0, 0, 0]], np.float32)
    assert 80 < cross_entropy(ruled_out, hard_labels([N2])) < 100
    assert entropy(ruled_out) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("score", [cross_entropy, cosine_similarity, brier_score])
def test_unscored_epochs_do_not_count_and_nothing_scored_is_nan(score):
    probabilities = hypnodensity(4, 40)
    stages = np.random.default_rng(4).integers(-1, 5, 40)
    scored = stages >= 0
    expected = score(probabilities[scored], hard_labels(stages[scored]))
    assert score(probabilities, hard_labels(stages)) == expected
    assert math.isnan(score(probabilities, hard_labels(np.full(40, UNSCORED))))


def test_the_calibration_error_is_that_of_a_walk_through_the_bins():
    probabilities = hypnodensity(5)
    # calibrated: bins are too high or too low by chance, and must not cancel out
    stages = drawn(probabilities, 1)[0]
    found = reliability(probabilities, hard_labels(stages), bins=7)
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == stages
    error = 0.0
    for k in range(7):
        inside = [i for i, p in enumerate(sure) if k / 7 < p <= (k + 1) / 7]
        assert found.epochs[k] == len(inside)
        if inside:
            assert found.predicted[k] == pytest.approx(np.mean(sure[inside], dtype=float))
            assert found.observed[k] == pytest.approx(np.mean(right[inside]))
            error += abs(np.sum(sure[inside], dtype=float) - right[inside].sum())
        else:
            assert math.isnan(found.predicted[k])
            assert math.isnan(found.observed[k])
    assert found.calibration_error == pytest.approx(error / len(probabilities))
    np.testing.assert_allclose(found.edges, np.arange(8) / 7)


def test_a_probability_on_an_edge_is_in_the_bin_below_and_0_and_1_are_in_the_outer_bins():
    model = [[0, 0.5, 0.5, 0, 0], [1, 0, 0, 0, 0]]
    found = reliability_per_stage(model, hard_labels([N1, W]), bins=2)
    assert found["W"].epochs.tolist() == [1, 1]
    assert found["N1"].epochs.tolist() == [2, 0]


def test_opinions_drawn_from_the_hypnodensity_find_it_calibrated():
    probabilities = hypnodensity(6, 60_000)
    labels = scorer_distribution(drawn(probabilities, 5))
    # what chance leaves: about sqrt(p q / votes) in each of ten bins
    assert reliability(probabilities, labels).calibration_error < 0.005
    stages = reliability_per_stage(probabilities, labels)
    assert max(stage.calibration_error for stage in stages.values()) < 0.005
    assert fit_temperature(probabilities, labels) == pytest.approx(1, abs=0.02)
    too_sure = apply_temperature(probabilities, 0.5)
    assert reliability(too_sure, labels).calibration_error > 0.05


@given(SEEDS, st.floats(0.3, 4))
@settings(max_examples=25)
def test_the_temperature_undoes_what_made_the_model_too_sure(seed, sharpness):
    probabilities = hypnodensity(seed, sureness=2)
    labels = hard_labels(drawn(probabilities, 1, seed)[0])
    true = fit_temperature(probabilities, labels)
    changed = apply_temperature(probabilities, 1 / sharpness)
    assert fit_temperature(changed, labels) == pytest.approx(true * sharpness, rel=1e-4)


@given(SEEDS)
@settings(max_examples=15)
def test_the_temperature_is_where_a_blind_search_finds_the_least_cross_entropy(seed):
    probabilities = hypnodensity(seed, 200, sureness=0.5)
    flatter = probabilities**0.6
    labels = scorer_distribution(drawn(flatter / flatter.sum(axis=1, keepdims=True), 3, seed))

    def loss(logarithm: float) -> float:
        powers = np.maximum(probabilities.astype(float), 2e-38) ** math.exp(-logarithm)
        return -(labels * np.log(powers / powers.sum(axis=1, keepdims=True))).sum(axis=1).mean()

    found = minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-7})
    temperature = fit_temperature(probabilities, labels)
    assert temperature == pytest.approx(math.exp(found.x), rel=1e-4)
    at_best = cross_entropy(apply_temperature(probabilities, temperature), labels)
    assert at_best <= cross_entropy(probabilities, labels) + 1e-7


@given(SEEDS, st.floats(0.2, 5))
@settings(max_examples=25)
def test_a_temperature_changes_no_stage_and_keeps_probabilities(seed, temperature):
    probabilities = hypnodensity(seed, sureness=2)
    changed = apply_temperature(probabilities, temperature)
    assert changed.dtype == np.float32
    # two stages that differ by a rounding may become equal
    best = probabilities.argmax(axis=1)[:, None]
    np.testing.assert_array_equal(np.take_along_axis(changed, best, 1)[:, 0], changed.max(axis=1))
    np.testing.assert_allclose(changed.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(apply_temperature(probabilities, 1), probabilities, atol=1e-6)


@pytest.mark.parametrize(("right", "end"), [(True, 0.01), (False, 100)])
def test_labels_without_a_best_temperature_get_the_end_of_the_range(right, end):
    probabilities = hypnodensity(7, 50, sureness=2)
    stages = probabilities.argmax(axis=1) if right else probabilities.argmin(axis=1)
    assert fit_temperature(probabilities, hard_labels(stages)) == end


@given(SEEDS, st.integers(2, 6))
@settings(max_examples=30)
def test_the_area_under_the_curve_is_that_of_scikit_learn(seed, scorers):
    # rounded, so that many epochs have the same entropy
    probabilities = np.round(hypnodensity(seed, 60), 1)
    votes = drawn(hypnodensity(seed, 60, sureness=0.1), scorers, seed)
    votes[np.random.default_rng(seed).random(votes.shape) < 0.3] = UNSCORED
    opinions = [set(epoch[epoch >= 0].tolist()) for epoch in votes.T]
    known = (votes >= 0).sum(axis=0) >= 2
    split = np.array([len(stages) > 1 for stages in opinions])
    found = disagreement_auc(probabilities, votes)
    if len(set(split[known].tolist())) < 2:
        assert math.isnan(found)
    else:
        expected = roc_auc_score(split[known], entropy(probabilities)[known])
        assert found == pytest.approx(expected)


def test_scorers_who_never_or_always_disagree_leave_the_area_open():
    probabilities = hypnodensity(8, 3)
    assert math.isnan(disagreement_auc(probabilities, [[0, 1, 2], [0, 1, 2]]))
    assert math.isnan(disagreement_auc(probabilities, [[0, 1, 2], [1, 2, 3]]))


@needs_shared
def test_a_published_model_on_a_real_night_is_better_calibrated_at_its_temperature():
    with np.load(SHARED / "golden" / "robust_sleep_net_sc4001.npz") as golden:
        probabilities, expert = golden["probabilities"], golden["expert"]
    labels = hard_labels(expert)
    temperature = fit_temperature(probabilities, labels)
    cooled = apply_temperature(probabilities, temperature)
    assert cross_entropy(cooled, labels) < cross_entropy(probabilities, labels)
    nearby = [
        cross_entropy(apply_temperature(probabilities, temperature * f), labels)
        for f in (0.97, 1.03)
    ]
    assert cross_entropy(cooled, labels) < min(nearby)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cross_entropy(np.ones((3, 4)), np.ones((3, 5))), r"shape \(3, 4\)"),
        (lambda: brier_score(np.ones((3, 5)), np.ones(3)), r"shape \(3,\)"),
        (lambda: cosine_similarity(np.ones((3, 5)), np.ones((2, 5))), "3 epochs of prob.* 2 of"),
        (lambda: scorer_distribution([0, 1]), r"shape \(2,\)"),
        (lambda: scorer_distribution(np.empty((0, 3), int)), r"shape \(0, 3\)"),
        (lambda: scorer_distribution([[0, 7]]), "scorer 1: .* holds 7"),
        (lambda: disagreement_auc(np.ones((3, 5)), [[0, 1]]), "3 epochs of prob.* 2 of"),
        (lambda: reliability(np.ones((1, 5)), np.ones((1, 5)), bins=0), "0 bins"),
        (
            lambda: fit_temperature(np.ones((2, 5)), hard_labels([-1, -1])),
            "no sleep epoch is scored",
        ),
        (lambda: apply_temperature(np.ones((2, 5)), 0), "temperature is 0"),
        (lambda: apply_temperature(np.ones((2, 5)), math.nan), "temperature is nan"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
