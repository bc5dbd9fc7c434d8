"""The epochs that a person reviews first are those where the model is most likely wrong."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleep_lab.errors import InputError
from sleep_lab.evaluation import NightResult
from sleep_lab.evaluation.review import review_curve, review_list, review_order
from sleep_lab.stages import STAGES, UNSCORED
from tests.shared import SHARED, needs_shared

SEEDS = st.integers(0, 2**32 - 1)


def hypnodensity(seed: int, epochs: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(5), epochs).astype(np.float32)


def test_the_least_sure_come_first_then_the_most_undecided_then_the_earlier():
    rows = np.array(
        [
            [0.9, 0.1, 0.0, 0.0, 0.0],
            [0.5, 0.5, 0.0, 0.0, 0.0],
            [0.125, 0.125, 0.125, 0.125, 0.5],
            [0.0, 0.0, 0.5, 0.0, 0.5],
            [0.2, 0.2, 0.2, 0.2, 0.2],
        ],
        np.float32,
    )
    assert review_order(rows).tolist() == [4, 2, 1, 3, 0]


@given(SEEDS)
@settings(max_examples=25)
def test_the_stages_names_do_not_change_the_order(seed):
    # few different values, so that there are ties
    rng = np.random.default_rng(seed)
    rows = rng.multinomial(7, np.full(5, 0.2), 50).astype(np.float32) / 7
    np.testing.assert_array_equal(review_order(rows[:, rng.permutation(5)]), review_order(rows))


def test_the_list_says_where_the_epochs_are():
    start = datetime(2024, 3, 2, 23, 59, 50)
    a = NightResult("a", hypnodensity(1), start_time=start, first_epoch=100)
    b = NightResult("b", hypnodensity(2))
    found = review_list([a, b], most=30)
    assert len(found) == 30
    assert {epoch.night for epoch in found} == {"a", "b"}
    for epoch in found:
        night = {"a": a, "b": b}[epoch.night]
        row = night.hypnodensity[epoch.epoch - night.first_epoch]
        assert epoch.probabilities == tuple(row.tolist())
        assert epoch.stage == STAGES[row.argmax()]
        assert epoch.expected_error == pytest.approx(1 - row.max())
        assert epoch.onset_s == 30 * epoch.epoch
        clock = start + timedelta(seconds=30 * epoch.epoch) if night is a else None
        assert epoch.time == clock
    errors = [epoch.expected_error for epoch in found]
    assert errors == sorted(errors, reverse=True)
    everything = 1 - np.concatenate([a.hypnodensity, b.hypnodensity]).max(axis=1)
    np.testing.assert_allclose(errors, np.sort(everything)[::-1][:30], atol=1e-6)


def test_the_list_is_no_longer_than_the_nights():
    night = NightResult("a", hypnodensity(3, 5))
    assert sorted(epoch.epoch for epoch in review_list([night])) == [0, 1, 2, 3, 4]
    assert review_list([night], most=0) == []
    assert review_list([]) == []


@given(SEEDS, st.integers(1, 60))
@settings(max_examples=40)
def test_the_curve_is_that_of_reviewing_one_epoch_after_the_other(seed, epochs):
    model = hypnodensity(seed, epochs)
    expert = np.random.default_rng(seed).integers(-1, 5, epochs)
    expert[0] = 2
    found = review_curve(model, expert)
    kept = [k for k in review_order(model).tolist() if expert[k] != UNSCORED]
    stages = model.argmax(axis=1)
    accuracies = [np.mean([stages[k] == expert[k] for k in kept])]
    for k in kept:
        stages[k] = expert[k]
        accuracies.append(np.mean([stages[j] == expert[j] for j in kept]))
    np.testing.assert_allclose(found.accuracy, accuracies, atol=1e-12)
    np.testing.assert_allclose(found.share, np.arange(len(kept) + 1) / len(kept))
    steps = np.add(accuracies[1:], accuracies[:-1]) / 2
    assert found.area == pytest.approx(steps.mean())


def test_a_model_that_knows_its_errors_gains_the_most_and_one_that_is_right_has_nothing_to_gain():
    sure, unsure = [0.9, 0.1, 0, 0, 0], [0.3, 0.2, 0.2, 0.2, 0.1]
    model = np.array([sure] * 6 + [unsure] * 2, np.float32)
    knows = review_curve(model, [0] * 6 + [4] * 2)
    assert knows.accuracy[:3] == pytest.approx([0.75, 0.875, 1])
    never_knows = review_curve(model, [0] * 4 + [4] * 2 + [0] * 2)
    assert knows.area > (1 + 0.75) / 2 > never_knows.area
    assert review_curve(model, [0] * 8).area == 1


@needs_shared
def test_reviewing_a_fifth_of_a_real_night_removes_half_of_a_published_models_errors():
    with np.load(SHARED / "golden" / "robust_sleep_net_sc4001.npz") as golden:
        found = review_curve(golden["probabilities"], golden["expert"])
    assert found.accuracy[0] == pytest.approx(743 / 840)
    fifth = np.searchsorted(found.share, 0.2)
    assert 1 - found.accuracy[fifth] < (1 - found.accuracy[0]) / 2
    assert found.area > (1 + found.accuracy[0]) / 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: review_order(np.ones((3, 4))), r"shape \(3, 4\)"),
        (lambda: review_curve(hypnodensity(0, 4), [0, 1]), "4 staged epochs but .* of 2"),
        (lambda: review_curve(hypnodensity(0, 1), [9]), "the hypnogram holds 9"),
        (lambda: review_curve(hypnodensity(0, 2), [-1, -1]), "no sleep epoch is scored"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
