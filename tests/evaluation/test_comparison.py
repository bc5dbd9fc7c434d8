"""Models and scorers are compared as published, and fairly."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleep_lab.evaluation.alignment import AlignedNight, Alignment, NightCut, align
from sleep_lab.evaluation.bootstrap import Resampling
from sleep_lab.evaluation.comparison import compare, judge, table
from sleep_lab.evaluation.comparison_summary import MEAN_SCORER, summarise_comparison
from sleep_lab.evaluation.consensus import CHOICES
from sleep_lab.evaluation.paired import paired_comparisons
from sleep_lab.evaluation.scorings import read_hypnograms
from sleep_lab.evaluation.weighted_scores import OVERALL, SCORES, Conventions
from sleep_lab.stages import N2, STAGES, UNSCORED
from tests.evaluation.test_alignment import DODH_LIGHTS
from tests.shared import SHARED, needs_shared

FEW = Resampling(resamples=200)
SEEDS = st.integers(0, 10_000)
PUBLISHED_NAMES = {
    "f1_score": "weighted_f1",
    "accuracy_score": "accuracy",
    "cohen_kappa": "cohen_kappa",
} | {
    f"{theirs}_{code}": f"{ours}_{stage}"
    for theirs, ours in (("f1_score", "f1"), ("accuracy_score", "accuracy"), ("cohen_kappa",) * 2)
    for code, stage in enumerate(STAGES)
}


def simulated(seed, scorers=4, models=2, nights=3, epochs=60):
    """Scorers and models who are right most of the time, with some unscored epochs."""
    rng = np.random.default_rng(seed)
    truth = {f"night {n}": rng.integers(0, 5, epochs + 5 * n) for n in range(nights)}

    def imperfect(errors, lowest):
        return {
            record: np.where(
                rng.random(len(stages)) < errors, rng.integers(lowest, 5, len(stages)), stages
            ).astype(np.int8)
            for record, stages in truth.items()
        }

    people = {f"scorer {n}": imperfect(0.1 + 0.1 * n, UNSCORED) for n in range(scorers)}
    for stages in (stages for person in people.values() for stages in person.values()):
        stages[[0, -1]] = N2  # all scorers cover all epochs
    return people, {f"model {n}": imperfect(0.2 + 0.2 * n, 0) for n in range(models)}


def unaligned(scorings, predictions):
    """A night as it is, also where `align` would refuse it."""
    scorings, predictions = np.int8(scorings), np.int8(predictions)
    epochs = scorings.shape[1]
    return Alignment(
        tuple(f"scorer {n}" for n in range(len(scorings))),
        tuple(f"model {n}" for n in range(len(predictions))),
        (
            AlignedNight(
                "night", scorings, predictions, NightCut("night", epochs, 0, epochs, "", "", {})
            ),
        ),
    )


def assert_alike(found, expected, tolerance=1e-9):
    """Nested dicts and lists of numbers and None."""
    assert type(found) is type(expected) or isinstance(found, float | int)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_alike(found[key], value, tolerance)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other, tolerance)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=0, abs=tolerance)
    else:
        assert found == expected


@pytest.fixture(scope="module")
def dodh():
    alignment = align(
        read_hypnograms(SHARED / "dod" / "dodh_scorers.npz"),
        read_hypnograms(SHARED / "dod" / "dodh_base_models.npz"),
        DODH_LIGHTS,
    )
    expected = json.loads((SHARED / "dod" / "dodh_expected.json").read_text())
    return alignment, summarise_comparison(alignment, resampling=Resampling(2000)), expected


@needs_shared
def test_the_published_table_is_reproduced(dodh):
    _, found, expected = dodh
    rows = expected["dodh/base_models"]
    assert len(rows) == 12
    for name, row in rows.items():
        ours = found["overall_scorers"] if name == "Overall Scorers" else None
        ours = ours or (found["models"] | found["scorers"])[name]
        for theirs, values in row.items():
            np.testing.assert_allclose(
                ours[PUBLISHED_NAMES[theirs]],
                values,
                rtol=0,
                atol=1e-12,
                err_msg=f"{name} {theirs}",
            )
    mean, std = found["models"]["SimpleNet"]["weighted_f1"]
    assert (round(100 * mean, 1), round(100 * std, 1)) == (89.9, 4.1)
    mean, std = found["overall_scorers"]["weighted_f1"]
    assert (round(100 * mean, 1), round(100 * std, 1)) == (86.8, 7.6)


@needs_shared
def test_every_nights_published_scores_and_ranking_are_reproduced(dodh):
    _, found, expected = dodh
    per_record = expected["dodh/per_record"]
    assert list(found["nights"]) == per_record["records"]
    for name, scores in per_record["values"].items():
        for theirs, values in scores.items():
            ours = [
                (night["models"] | night["scorers"])[name][PUBLISHED_NAMES[theirs]]
                for night in found["nights"].values()
            ]
            np.testing.assert_allclose(ours, values, rtol=0, atol=1e-12, err_msg=name)
    for record, names in expected["dodh/ranking_first_record"].items():
        assert found["nights"][record]["ranking"] == names


@needs_shared
def test_the_published_soft_agreement_and_consensus_are_reproduced(dodh):
    _, found, expected = dodh
    assert_alike(found["agreement"]["soft_agreement"], expected["dodh/soft_agreement"], 1e-12)
    counts = found["agreement"]["consensus_epochs"]
    assert [counts[choice] for choice in ("unscored", *STAGES)] == expected["dodh/consensus_counts"]
    assert list(counts) == list(CHOICES)


@needs_shared
def test_on_published_data_intervals_hold_the_means_and_unanimous_epochs_are_easier(dodh):
    alignment, found, _ = dodh
    for kind in ("published", "fair"):
        tables, intervals = found[kind]["table"], found[kind]["intervals"]
        for model in alignment.models:
            for score in OVERALL:
                low, high = intervals["models"][model][score]
                assert low < tables["models"][model][score][0] < high
                value, low, high = found[kind]["pooled"]["models"][model][score]
                assert low < value < high
            unanimous = found[kind]["unanimous"]["models"][model]["weighted_f1"][0]
            assert unanimous > found[kind]["split"]["models"][model]["weighted_f1"][0] + 0.2
    # the scorers' references are the same in both comparisons
    assert_alike(found["fair"]["table"]["scorers"], found["published"]["table"]["scorers"], 0)
    np.testing.assert_allclose(
        found["fair"]["table"]["overall_scorers"]["weighted_f1"][0],
        found["published"]["table"]["overall_scorers"]["weighted_f1"][0],
    )


@given(SEEDS, st.randoms())
@settings(max_examples=10, deadline=None)
def test_the_order_of_nights_scorers_and_models_changes_nothing(seed, random):
    people, models = simulated(seed)

    def shuffled(hypnograms):
        names, records = list(hypnograms), list(next(iter(hypnograms.values())))
        random.shuffle(names)
        random.shuffle(records)
        return {name: {record: hypnograms[name][record] for record in records} for name in names}

    before = summarise_comparison(align(people, models), resampling=FEW)
    after = summarise_comparison(align(shuffled(people), shuffled(models)), resampling=FEW)
    assert_alike(after, before, 0)


@given(SEEDS, st.permutations(range(4)))
@settings(max_examples=15, deadline=None)
def test_a_scorers_scores_go_with_the_scorer_and_not_with_the_name(seed, order):
    people, models = simulated(seed)
    names = list(people)
    renamed = {names[order[index]]: nights for index, nights in enumerate(people.values())}
    before, after = (judge(align(p, models), Conventions()) for p in (people, renamed))
    if any(len(set(night)) < 4 for night in before.soft_agreement.tolist()):
        return  # equal ones are ranked by name
    np.testing.assert_array_equal(after.against_best, before.against_best)
    np.testing.assert_array_equal(
        after.scorer_against_others[:, list(order)], before.scorer_against_others
    )
    np.testing.assert_allclose(
        compare(after, "fair").model_scores, compare(before, "fair").model_scores, atol=1e-12
    )


@given(SEEDS, st.sampled_from(["zero", "skip"]), st.sampled_from(["agreement", "plain"]))
@settings(max_examples=10, deadline=None)
def test_doubling_every_epoch_changes_no_score_and_no_interval(seed, absent_stage, weighting):
    conventions = Conventions(absent_stage, weighting)
    people, models = simulated(seed)

    def doubled(hypnograms):
        return {
            name: {record: stages.repeat(2) for record, stages in nights.items()}
            for name, nights in hypnograms.items()
        }

    once = summarise_comparison(align(people, models), conventions, FEW)
    twice = summarise_comparison(align(doubled(people), doubled(models)), conventions, FEW)
    for part in ("models", "scorers", "overall_scorers"):
        assert_alike(twice[part], once[part])
    for kind in ("published", "fair"):
        for part in ("table", "intervals", "pooled", "unanimous", "split"):
            assert_alike(twice[kind][part], once[kind][part])


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_a_scorer_who_is_the_consensus_is_perfect(seed):
    rng = np.random.default_rng(seed)
    alike = rng.integers(0, 5, (1, 80)).repeat(3, axis=0)
    one_off = rng.integers(0, 5, (1, 80))
    judgement = judge(unaligned(np.vstack([alike, one_off]), alike[:1]), Conventions("skip"))
    assert judgement.rankings[0].tolist() == [0, 1, 2, 3]
    for kind in ("published", "fair"):
        found = compare(judgement, kind)
        perfect = np.vstack([found.model_scores[0], found.scorer_scores[0, :3]])
        np.testing.assert_allclose(perfect[~np.isnan(perfect)], 1)
        assert not np.isnan(perfect[:, : len(OVERALL)]).any()
        assert found.scorer_scores[0, 3, 0] < 1
    np.testing.assert_array_equal(judgement.soft_agreement[0, :3], 1)


def test_a_night_that_nobody_scored_has_only_undefined_scores():
    night = unaligned(np.full((3, 20), UNSCORED), np.zeros((2, 20)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = summarise_comparison(night, resampling=FEW)
    undefined = {score: [None, None] for score in SCORES}
    assert found["models"] == {"model 0": undefined, "model 1": undefined}
    assert found["overall_scorers"] == undefined
    assert found["agreement"]["fleiss_kappa"] is None
    assert found["agreement"]["consensus_epochs"]["unscored"] == 20
    assert found["nights"]["night"]["models"]["model 0"] == dict.fromkeys(SCORES)


def test_a_night_of_one_stage_is_right_but_beyond_no_chance():
    night = unaligned(np.full((3, 20), N2), np.full((1, 20), N2))
    zero = table(compare(judge(night, Conventions("zero")), "published"))["models"]["model 0"]
    skip = table(compare(judge(night, Conventions("skip")), "fair"))["models"]["model 0"]
    for scores in (zero, skip):
        assert scores["accuracy"] == scores["weighted_f1"] == scores["f1_N2"] == [1, 0]
        assert scores["cohen_kappa"] == scores["cohen_kappa_N2"] == [None, None]
    assert (zero["macro_f1"], zero["f1_W"]) == ([0.2, 0], [0, 0])
    assert (skip["macro_f1"], skip["f1_W"]) == ([1, 0], [None, None])


def test_one_night_alone_has_scores_and_no_interval():
    people, models = simulated(1, nights=1)
    found = summarise_comparison(align(people, models), resampling=FEW)
    (night,) = found["nights"].values()
    for model, scores in found["models"].items():
        assert scores["accuracy"] == [night["models"][model]["accuracy"], 0]
        assert found["published"]["intervals"]["models"][model]["accuracy"] == [None, None]
        assert found["fair"]["pooled"]["models"][model]["accuracy"][1:] == [None, None]
    for pair in found["published"]["paired"]["accuracy"]:
        assert (pair["p_value"], pair["low"], pair["high"]) == (1, None, None)


def test_the_fair_comparison_holds_models_and_scorers_against_the_same_references():
    people, models = simulated(7, scorers=3)
    # a model that is a copy of a scorer is as good as that scorer, against that scorer's reference
    models["copy"] = people["scorer 1"]
    alignment = align(people, models)
    judgement = judge(alignment, Conventions())
    copy, scorer = alignment.models.index("copy"), alignment.scorers.index("scorer 1")
    np.testing.assert_array_equal(
        judgement.against_others[:, copy, scorer], judgement.scorer_against_others[:, scorer]
    )
    fair = compare(judgement, "fair")
    assert (fair.model_scores[:, copy, 0] > fair.scorer_scores[:, scorer, 0]).all()
    np.testing.assert_allclose(fair.overall_scores[:, 0], fair.scorer_scores.mean(1))


def test_two_scorers_are_enough_and_models_may_be_absent():
    people, models = simulated(3, scorers=2)
    found = summarise_comparison(align(people, {}), resampling=FEW)
    assert (found["models"], list(found["scorers"])) == ({}, ["scorer 0", "scorer 1"])
    found = summarise_comparison(align(people, models), resampling=FEW)
    assert found["scorers"]["scorer 0"]["accuracy"][0] > 0.7
    assert found["models"].keys() == models.keys()


def test_the_summary_is_json_and_names_its_conventions():
    people, models = simulated(5)
    conventions = Conventions("skip", "plain")
    found = summarise_comparison(align(people, models), conventions, Resampling(200, 0.9, 3))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["conventions"] == {
        "absent_stage": "skip",
        "weighting": "plain",
        "text": conventions.text,
        "resamples": 200,
        "confidence": 0.9,
        "seed": 3,
    }


def test_models_are_compared_in_pairs_and_with_the_scorers_only_where_that_is_fair():
    people, models = simulated(9, nights=6)
    found = summarise_comparison(align(people, models), resampling=FEW)
    pairs = [(p["first"], p["second"]) for p in found["published"]["paired"]["macro_f1"]]
    assert pairs == [("model 0", "model 1")]
    fair = found["fair"]["paired"]["macro_f1"]
    assert [(p["first"], p["second"]) for p in fair] == [
        ("model 0", "model 1"),
        ("model 0", MEAN_SCORER),
        ("model 1", MEAN_SCORER),
    ]
    tables = found["fair"]["table"]
    difference = (
        tables["models"]["model 1"]["macro_f1"][0] - tables["overall_scorers"]["macro_f1"][0]
    )
    assert fair[2]["difference"] == pytest.approx(difference)
    by_night = {
        name: {record: n["models"][name]["macro_f1"] for record, n in found["nights"].items()}
        for name in models
    }
    (direct,) = paired_comparisons(by_night, FEW)
    assert found["published"]["paired"]["macro_f1"][0]["p_value"] == direct.p_value
