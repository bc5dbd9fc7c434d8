"""The scores are those of the field, and undefined ones are nan."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from sleep_lab.errors import InputError
from sleep_lab.evaluation import (
    Scores,
    accuracy,
    cohen_kappa,
    confusion_matrix,
    evaluate,
    f1_per_stage,
    macro_f1,
    mean_and_std,
    weighted_f1,
)
from sleep_lab.stages import N2, N3, REM, STAGES, UNSCORED, W
from tests.shared import SHARED, needs_shared

LENGTHS = st.integers(1, 80)
NIGHTS = LENGTHS.flatmap(
    lambda epochs: st.tuples(
        hnp.arrays(np.int8, epochs, elements=st.integers(-1, 4)),
        hnp.arrays(np.int8, epochs, elements=st.integers(0, 4)),
    )
)


def overall(scores: Scores) -> list[float]:
    return [
        scores.accuracy,
        scores.cohen_kappa,
        scores.weighted_f1,
        scores.macro_f1,
        *scores.f1.values(),
    ]


@pytest.fixture(autouse=True)
def _no_warning_is_ever_given():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@needs_shared
def test_the_scores_are_the_reference_systems():
    golden = json.loads((SHARED / "golden" / "metrics.json").read_text())
    assert len(golden["expected"]) == 20
    for target, predicted, expected in zip(
        golden["target"], golden["predicted"], golden["expected"], strict=True
    ):
        scores = evaluate(predicted, target)
        found = [scores.accuracy, scores.cohen_kappa, scores.weighted_f1]
        wanted = [expected["accuracy"], expected["cohen_kappa"], expected["f1"]]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


@needs_shared
def test_the_scores_of_a_real_night_are_the_published_ones():
    night = np.load(SHARED / "golden" / "robust_sleep_net_sc4001.npz")
    scores = evaluate(night["stages"], night["expert"])
    assert (scores.epochs, scores.scored, np.trace(scores.confusion)) == (840, 840, 743)
    found = [scores.accuracy, scores.cohen_kappa, scores.weighted_f1, scores.macro_f1]
    np.testing.assert_allclose(found, [0.8845, 0.8495, 0.8846, 0.8577], atol=5e-5)


@given(NIGHTS)
@settings(max_examples=60, deadline=None)
def test_the_scores_agree_with_scikit_learn(night):
    target, prediction = night
    scores = evaluate(prediction, target)
    expert, predicted = target[target >= 0], prediction[target >= 0]
    assert scores.scored == len(expert)
    if not len(expert):
        return
    present = np.unique(expert)
    assert scores.accuracy == pytest.approx(accuracy_score(expert, predicted))
    weighted = f1_score(expert, predicted, average="weighted", zero_division=0)
    assert scores.weighted_f1 == pytest.approx(weighted)
    macro = f1_score(expert, predicted, average="macro", labels=present, zero_division=0)
    assert scores.macro_f1 == pytest.approx(macro)
    each = f1_score(expert, predicted, average=None, labels=range(5), zero_division=np.nan)
    np.testing.assert_allclose(list(scores.f1.values()), each, rtol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's own, where kappa is undefined
        kappa = cohen_kappa_score(expert, predicted, labels=present)
    assert scores.cohen_kappa == pytest.approx(kappa, nan_ok=True)


@given(NIGHTS)
@settings(max_examples=40, deadline=None)
def test_doubling_every_epoch_changes_no_score(night):
    target, prediction = night
    once = evaluate(prediction, target)
    twice = evaluate(prediction.repeat(2), target.repeat(2))
    np.testing.assert_allclose(overall(once), overall(twice), rtol=1e-12)
    assert twice.scored == 2 * once.scored


@given(NIGHTS, st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_order_of_epochs_changes_no_score(night, random):
    order = list(range(len(night[0])))
    random.shuffle(order)
    target, prediction = night
    assert overall(evaluate(prediction[order], target[order])) == pytest.approx(
        overall(evaluate(prediction, target)), rel=0, abs=0, nan_ok=True
    )


@given(NIGHTS, st.permutations(range(5)))
@settings(max_examples=40, deadline=None)
def test_renaming_the_stages_renames_their_f1_and_changes_nothing_else(night, names):
    target, prediction = night
    renamed = np.array([*names, UNSCORED])
    before = evaluate(prediction, target)
    after = evaluate(renamed[prediction], renamed[target])
    np.testing.assert_allclose(overall(before)[:4], overall(after)[:4], rtol=1e-12)
    np.testing.assert_array_equal(
        list(before.f1.values()), np.array(list(after.f1.values()))[list(names)]
    )


@given(hnp.arrays(np.int64, (5, 5), elements=st.integers(1, 500)))
@settings(max_examples=40, deadline=None)
def test_expert_and_model_may_change_places_where_both_use_all_stages(confusion):
    np.testing.assert_allclose(cohen_kappa(confusion), cohen_kappa(confusion.T), rtol=1e-12)
    np.testing.assert_allclose(f1_per_stage(confusion), f1_per_stage(confusion.T))
    np.testing.assert_allclose(macro_f1(confusion), macro_f1(confusion.T))


def test_a_perfect_prediction_scores_one():
    stages = np.arange(5).repeat(7)
    assert overall(evaluate(stages, stages)) == [1.0] * 9


def test_a_constant_prediction_has_no_agreement_beyond_chance():
    stages = np.arange(5).repeat([50, 10, 80, 30, 30])
    scores = evaluate(np.full(200, N2), stages)
    assert scores.accuracy == 0.4
    assert scores.cohen_kappa == 0
    assert scores.f1 == {"W": 0, "N1": 0, "N2": pytest.approx(160 / 280), "N3": 0, "REM": 0}


def test_a_night_without_a_scored_epoch_has_only_undefined_scores():
    scores = evaluate(np.zeros(10, np.int8), np.full(10, UNSCORED, np.int8))
    assert (scores.epochs, scores.scored) == (10, 0)
    assert np.isnan(overall(scores)).all()
    assert evaluate([], []).scored == 0


def test_a_stage_that_neither_side_used_has_no_f1_and_does_not_count():
    scores = evaluate([W, W, N2, REM], [W, W, N2, N2])
    assert np.isnan([scores.f1["N1"], scores.f1["N3"]]).all()
    assert scores.f1["REM"] == 0
    assert scores.macro_f1 == pytest.approx((1 + 2 / 3) / 2)


def test_kappa_leaves_out_epochs_predicted_as_a_stage_that_the_expert_never_used():
    target, prediction = [W, W, N2, N2, N2], [W, N2, N2, N2, REM]
    assert evaluate(prediction, target).cohen_kappa == pytest.approx(
        cohen_kappa_score(target[:4], prediction[:4])
    )
    assert np.isnan(evaluate([N2, N3], [N2, N2]).cohen_kappa)
    assert np.isnan(evaluate([N3, N3], [N2, W]).cohen_kappa)


def test_every_score_takes_all_nights_at_once():
    rng = np.random.default_rng(4)
    confusion = rng.integers(0, 60, (3, 4, 5, 5))
    confusion[0, 0] = 0
    confusion[1, :, 3] = 0
    confusion[2, 1, :, 2] = confusion[2, 1, 2] = 0
    for score in (accuracy, cohen_kappa, f1_per_stage, weighted_f1, macro_f1):
        together = score(confusion)
        one_by_one = [[score(night) for night in row] for row in confusion]
        np.testing.assert_array_equal(together, one_by_one)


def test_mean_and_std_over_nights_leave_out_undefined_scores():
    values = np.array([[0.5, np.nan, np.nan], [0.7, 0.2, np.nan]])
    mean, std = mean_and_std(values)
    np.testing.assert_allclose(mean, [0.6, 0.2, np.nan])
    np.testing.assert_allclose(std, [0.1, 0.0, np.nan], atol=1e-12)


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        ([W, W], [W, W, W], r"shape \(3,\).*\(2,\)"),
        ([W, UNSCORED], [W, W], "predicted hypnogram has codes from -1 to 0"),
        ([W, 5], [W, W], "predicted hypnogram has codes from 0 to 5"),
        ([W, W], [W, -2], "expert's hypnogram has codes from -2 to 0"),
        ([0.2, 0.8], [W, W], "predicted hypnogram holds float64"),
    ],
)
def test_what_is_not_a_pair_of_hypnograms_is_refused(prediction, target, message):
    with pytest.raises(InputError, match=message):
        evaluate(prediction, target)


def test_rows_are_the_experts_stages():
    confusion = confusion_matrix(np.int8([W, W, REM]), np.int8([N2, N2, REM]))
    assert confusion[STAGES.index("W"), STAGES.index("N2")] == 2
    assert confusion.sum() == 3
