"""Scores against a consensus, under either convention."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, recall_score

from sleep_lab.errors import InputError
from sleep_lab.evaluation.consensus import Consensus
from sleep_lab.evaluation.metrics import evaluate
from sleep_lab.evaluation.weighted_scores import (
    OVERALL,
    SCORES,
    Conventions,
    weighted_confusion,
    weighted_scores,
)
from sleep_lab.stages import N2, STAGES, UNSCORED, W

NIGHTS = st.integers(1, 60).flatmap(
    lambda epochs: st.tuples(
        hnp.arrays(np.int8, epochs, elements=st.integers(-1, 4)),
        hnp.arrays(np.int8, epochs, elements=st.integers(-1, 4)),
        hnp.arrays(np.int8, epochs, elements=st.integers(1, 4)),
    )
)


def scored(target, prediction, agreement=None, absent_stage="zero", weighting="agreement"):
    weights = np.ones(len(target)) if agreement is None else agreement
    reference = Consensus(np.int8(target), np.asarray(weights, float))
    confusion = weighted_confusion(reference, np.int8(prediction), weighting).sum(0)
    values = weighted_scores(confusion, absent_stage)
    return dict(zip(SCORES, values.tolist(), strict=True))


def by_scikit_learn(target, prediction, weights, zero_division):
    kept = target != UNSCORED
    target, prediction, weights = target[kept], prediction[kept], weights[kept]
    each = {"labels": range(5), "average": None, "sample_weight": weights}
    f1 = f1_score(target, prediction, zero_division=zero_division, **each)
    found = {
        "weighted_f1": np.average(
            np.nan_to_num(f1), weights=[weights[target == stage].sum() for stage in range(5)]
        ),
        "accuracy": accuracy_score(target, prediction, sample_weight=weights),
        "cohen_kappa": cohen_kappa_score(target, prediction, sample_weight=weights),
        "macro_f1": np.nanmean(f1),
    }
    recall = recall_score(target, prediction, zero_division=np.nan, **each)
    for stage, name in enumerate(STAGES):
        found[f"f1_{name}"] = f1[stage]
        found[f"accuracy_{name}"] = recall[stage]
        found[f"cohen_kappa_{name}"] = cohen_kappa_score(
            target == stage, prediction == stage, sample_weight=weights
        )
    return found


@given(NIGHTS, st.sampled_from(["zero", "skip"]), st.sampled_from(["agreement", "plain"]))
@settings(max_examples=100, deadline=None)
def test_every_score_agrees_with_scikit_learn(night, absent_stage, weighting):
    target, prediction, votes = night
    if (target == UNSCORED).all():
        return
    found = scored(target, prediction, votes / 4, absent_stage, weighting)
    weights = votes / 4 if weighting == "agreement" else np.ones(len(target))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's own, where kappa is undefined
        expected = by_scikit_learn(
            target, prediction, weights, 0.0 if absent_stage == "zero" else np.nan
        )
    for name in SCORES:
        assert found[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-9, nan_ok=True), name


@given(NIGHTS)
@settings(max_examples=40, deadline=None)
def test_split_and_unanimous_epochs_are_all_epochs(night):
    target, prediction, votes = night
    reference = Consensus(target, votes / 4)
    split, unanimous = weighted_confusion(reference, prediction, "plain")
    kept = (target != UNSCORED) & (votes == 4)
    assert unanimous.sum() == kept.sum()
    assert (split + unanimous).sum() == (target != UNSCORED).sum()
    assert np.trace(unanimous) == (target[kept] == prediction[kept]).sum()


def test_many_predictions_and_references_at_once_are_each_as_alone():
    rng = np.random.default_rng(3)
    stages = rng.integers(-1, 5, (4, 50)).astype(np.int8)
    agreement = rng.integers(1, 4, (4, 50)) / 3
    predictions = rng.integers(-1, 5, (3, 50)).astype(np.int8)
    together = weighted_confusion(
        Consensus(stages, agreement), predictions[:, None], weighting="agreement"
    )
    assert together.shape == (3, 4, 2, 5, 6)
    for model in range(3):
        for reference in range(4):
            alone = weighted_confusion(
                Consensus(stages[reference], agreement[reference]), predictions[model], "agreement"
            )
            np.testing.assert_allclose(together[model, reference], alone, rtol=1e-12)
    scores = weighted_scores(together.sum(-3), "skip")
    np.testing.assert_array_equal(scores[1, 2], weighted_scores(together[1, 2].sum(0), "skip"))


def test_where_the_expert_has_every_stage_plain_scores_are_those_of_a_single_expert():
    rng = np.random.default_rng(5)
    target, prediction = rng.integers(0, 5, (2, 300))
    scores, single = scored(target, prediction), evaluate(prediction, target)
    for name in OVERALL:
        assert scores[name] == pytest.approx(getattr(single, name), rel=1e-12)
    for stage in STAGES:
        assert scores[f"f1_{stage}"] == pytest.approx(single.f1[stage], rel=1e-12)


def test_an_absent_stage_counts_as_zero_or_not_at_all():
    night = [W, W, N2, N2]
    zero, skip = (scored(night, night, absent_stage=choice) for choice in ("zero", "skip"))
    assert (zero["f1_N1"], zero["macro_f1"]) == (0, 0.4)
    assert np.isnan(skip["f1_N1"])
    assert skip["macro_f1"] == 1
    assert zero["weighted_f1"] == skip["weighted_f1"] == 1
    for scores in (zero, skip):
        assert np.isnan([scores["accuracy_N1"], scores["cohen_kappa_N1"]]).all()


def test_an_epoch_left_unscored_by_the_one_judged_is_wrong():
    scores = scored([W, W, N2, N2], [W, UNSCORED, N2, N2])
    assert scores["accuracy"] == 0.75
    assert scores["accuracy_W"] == 0.5
    assert scores["f1_W"] == pytest.approx(2 / 3)


def test_an_epoch_counts_by_how_far_its_scorers_agree():
    scores = scored([W, N2, N2], [W, N2, W], [1, 1, 0.5])
    assert scores["accuracy"] == 2 / 2.5
    assert scored([W, N2, N2], [W, N2, W], [1, 1, 0.5], weighting="plain")["accuracy"] == 2 / 3


@pytest.mark.parametrize("absent_stage", ["zero", "skip"])
def test_without_a_scored_epoch_nothing_is_defined(absent_stage):
    scores = scored([UNSCORED] * 4, [W] * 4, absent_stage=absent_stage)
    assert np.isnan(list(scores.values())).all()


@pytest.mark.parametrize("weighting", ["agreement", "plain"])
def test_a_single_stage_has_no_agreement_beyond_chance(weighting):
    right = scored([N2] * 7, [N2] * 7, np.full(7, 0.1), weighting=weighting)
    assert (right["accuracy"], right["weighted_f1"]) == (1, 1)
    assert np.isnan([right["cohen_kappa"], right["cohen_kappa_N2"]]).all()
    assert scored([N2] * 7, [N2] * 6 + [W], np.full(7, 0.1))["cohen_kappa"] == 0


def test_conventions_are_named_and_others_refused():
    assert Conventions("skip", "plain").text == (
        "all epochs count the same; the F1 of a stage that neither side has on a night is left out"
    )
    for wrong in ({"absent_stage": "nan"}, {"weighting": "soft"}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} is .*; give "):
            Conventions(**wrong)
