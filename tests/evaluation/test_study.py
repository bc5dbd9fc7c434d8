"""A whole evaluation: with an expert, with scorers, aligned, and written."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from sleep_lab.errors import InputError
from sleep_lab.evaluation import evaluate
from sleep_lab.evaluation.alignment import align
from sleep_lab.evaluation.bootstrap import Resampling
from sleep_lab.evaluation.calibration import apply_temperature, cross_entropy, hard_labels
from sleep_lab.evaluation.comparison_summary import summarise_comparison
from sleep_lab.evaluation.night_result import NightResult
from sleep_lab.evaluation.study import StudyOptions
from sleep_lab.evaluation.study_files import comparison_table, write_study
from sleep_lab.evaluation.study_of import study_of_hypnograms, study_of_results
from sleep_lab.evaluation.study_report import report_of
from sleep_lab.evaluation.weighted_scores import Conventions
from sleep_lab.stages import STAGES

FEW = StudyOptions(resampling=Resampling(resamples=200))


def walk(epochs, seed):
    """A hypnogram with bouts."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.integers(0, 5, epochs), rng.integers(1, 9, epochs))[:epochs].astype(
        np.int8
    )


def noisy(hypnogram, seed, share=0.15):
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(hypnogram)) < share
    return np.where(wrong, rng.integers(0, 5, len(hypnogram)), hypnogram).astype(np.int8)


def result(night, seed, epochs=120, scorers=0, first_epoch=0):
    truth = walk(epochs, seed)
    logits = 3 * np.eye(5)[noisy(truth, seed + 100)]
    logits += np.random.default_rng(seed).standard_normal((epochs, 5))
    hypnodensity = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    rng = np.random.default_rng(seed)
    return NightResult(
        night,
        hypnodensity.astype(np.float32),
        expert=truth,
        signal=rng.standard_normal(epochs * 300).astype(np.float32),
        signal_name="C3-M2",
        sampling_rate=10.0,
        first_epoch=first_epoch,
        scorings={f"s{k}": noisy(truth, 1000 * k + seed, 0.1) for k in range(scorers)},
    )


def test_against_an_expert_each_night_is_as_it_is_alone():
    nights = [result(f"n{k}", k) for k in range(4)]
    study = study_of_results({"mine": nights}, options=FEW)
    assert study.reference == "expert"
    found = study.confusion("mine")
    alone = [evaluate(night.hypnogram, night.expert).confusion for night in nights]
    np.testing.assert_array_equal(found, np.sum(alone, axis=0))
    metrics = study.metrics()
    described = {"intervals", "hypnodensity", "review", "sleep_statistics", "transitions"}
    described |= {"sleep_statistics_per_night"}
    assert set(metrics) == described
    pairs = np.concatenate([np.stack([n.expert[:-1], n.expert[1:]]) for n in nights], axis=1)
    counts = np.array(metrics["transitions"]["expert"])
    assert counts[2, 3] == ((pairs[0] == 2) & (pairs[1] == 3)).sum()
    mean = np.mean([evaluate(n.hypnogram, n.expert).accuracy for n in nights])
    low, high = metrics["intervals"]["mean"]["accuracy"]
    assert low <= mean <= high
    json.dumps(metrics, allow_nan=False)


def test_nights_that_carry_scorers_are_judged_by_them():
    nights = [result(f"n{k}", k, scorers=4) for k in range(3)]
    study = study_of_results({"mine": nights}, options=FEW)
    assert study.reference == "consensus"
    scorers = {f"s{k}": {n.id: n.scorings[f"s{k}"] for n in nights} for k in range(4)}
    models = {"mine": {n.id: n.hypnogram for n in nights}}
    expected = summarise_comparison(align(scorers, models), resampling=FEW.resampling)
    metrics = study.metrics()
    for key in ("models", "scorers", "overall_scorers"):
        assert metrics[key] == expected[key]
    assert metrics["comparison"]["fair"] == expected["fair"]
    assert 0 < metrics["hypnodensity"]["disagreement_auc"] < 1


def test_scorings_of_the_whole_recording_meet_a_model_that_begins_later():
    night = result("n", 0, epochs=100, first_epoch=20)
    whole = walk(130, 9)
    whole[20:120] = night.expert
    scorers = {"a": {"n": whole, "other": whole}, "b": {"n": noisy(whole, 1), "other": whole}}
    with pytest.raises(InputError, match="length_mismatch=cut"):
        study_of_results({"mine": [night]}, scorers, FEW)
    cut = replace(FEW, length_mismatch="cut")
    study = study_of_results({"mine": [night]}, scorers, cut)
    (only,) = study.nights
    np.testing.assert_array_equal(only.scorings["a"], whole[20:120])
    np.testing.assert_array_equal(only.models["mine"], night.hypnogram)
    np.testing.assert_array_equal(only.result.hypnodensity, night.hypnodensity)
    assert only.first_epoch == 20
    assert "20 cut before" in only.note


def test_a_model_s_probabilities_are_cut_with_its_hypnogram():
    night = result("n", 0, epochs=100)
    late = night.expert.copy()
    late[:10] = -1
    late[95:] = -1
    scorers = {"a": {"n": late}, "b": {"n": noisy(night.expert, 1)}}
    (only,) = study_of_results({"mine": [night]}, scorers, FEW).nights
    np.testing.assert_array_equal(only.result.hypnodensity, night.hypnodensity[10:95])
    np.testing.assert_array_equal(only.result.signal, night.signal[3000:28_500])
    assert only.result.first_epoch == 10


def test_models_with_different_nights_are_refused():
    with pytest.raises(InputError, match="model b has other nights"):
        study_of_results({"a": [result("x", 0)], "b": [result("y", 0)]})


def test_nights_that_nobody_scored_have_no_metrics(tmp_path):
    night = replace(result("n", 0), expert=None)
    study = study_of_results({"mine": [night]}, options=FEW)
    assert study.metrics() == {}
    assert write_study(tmp_path, study, "mine") == {}
    assert not (tmp_path / "metrics.json").exists()
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "sleep_statistics.csv").read_text().startswith("night,hypnogram,time_in_bed")


def test_temperature_scaling_is_shown_before_and_after():
    nights = []
    for k in range(3):
        before = result(f"n{k}", k)
        after = apply_temperature(before.hypnodensity, 1.7)
        nights.append(replace(before, hypnodensity=after, uncalibrated=before.hypnodensity))
    study = study_of_results({"mine": nights}, options=FEW)
    scores = study.metrics()["hypnodensity"]
    plain = study_of_results(
        {"mine": [replace(n, hypnodensity=n.uncalibrated, uncalibrated=None) for n in nights]},
        options=FEW,
    ).metrics()["hypnodensity"]
    assert scores["uncalibrated"]["cross_entropy"] == pytest.approx(plain["cross_entropy"])
    assert scores["cross_entropy"] != pytest.approx(plain["cross_entropy"], abs=1e-3)
    titles = [d.title for d in report_of(study, "mine", _written(study)).reliability]
    assert "all stages, before temperature scaling" in titles
    assert "all stages, after it" in titles


def _written(study):
    scores = [evaluate(n.models["mine"], n.reference) for n in study.scored]
    from sleep_lab.evaluation.summary import summarise

    ids = [n.id for n in study.scored]
    return summarise(dict(zip(ids, scores, strict=True))) | study.metrics()


def test_a_study_with_scorers_leaves_its_files(tmp_path):
    nights = [result(f"n{k}", k, scorers=3) for k in range(3)]
    study = study_of_results({"mine": nights}, options=FEW)
    metrics = write_study(tmp_path, study, "mine")
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert {"nights", "pooled", "models", "scorers", "overall_scorers"} <= set(metrics)
    with (tmp_path / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    (ours,) = (
        r
        for r in rows
        if (r["comparison"], r["name"], r["score"]) == ("published", "mine", "weighted_f1")
    )
    assert float(ours["mean"]) == metrics["models"]["mine"]["weighted_f1"][0]
    with (tmp_path / "review.csv").open() as file:
        review = list(csv.DictReader(file))
    assert len(review) == 3 * 120
    uncertainty = [float(row["uncertainty"]) for row in review]
    assert uncertainty == sorted(uncertainty, reverse=True)
    with (tmp_path / "sleep_statistics.csv").open() as file:
        names = {row["hypnogram"] for row in csv.DictReader(file)}
    assert names == {"mine", "s0", "s1", "s2", "consensus"}
    for path in ("exports/edf/n0.edf", "exports/json/mine/n0.json", "exports/bids/n0_events.tsv"):
        assert (tmp_path / path).is_file()
    assert "Fair comparison" in (tmp_path / "report.html").read_text()


def test_the_report_of_hypnograms_alone_has_every_hypnogram():
    truth = {f"n{k}": walk(90, k) for k in range(3)}
    scorers = {s: {n: noisy(h, i) for n, h in truth.items()} for i, s in enumerate("abc")}
    models = {m: {n: noisy(h, 50 + i) for n, h in truth.items()} for i, m in enumerate("xy")}
    study = study_of_hypnograms(models, scorers, FEW)
    report = report_of(study, "hypnograms", study.metrics())
    assert [list(n.hypnograms) for n in report.nights] == [["consensus", *"abc", *"xy"]] * 3
    titles = [table.title for table in report.tables]
    assert titles[0].startswith("Published comparison")
    assert titles[1].startswith("Fair comparison")
    assert "Sleep statistics: y against the consensus" in titles
    assert len(report.confusion) == 2
    rows = next(t for t in report.tables if t.title == "Nights").rows
    judged = study.comparison["nights"]["n0"]["models"]["x"]
    assert rows[0][:4] == ["n0", "x", judged["weighted_f1"], judged["accuracy"]]
    values = next(t for t in report.tables if t.title == "Sleep statistics of each night").rows
    assert len(values) == 3 * 3
    table = comparison_table(study.comparison)
    assert [column.header for column in table.columns][1:] == [
        "weighted F1",
        "accuracy",
        "kappa",
        "macro F1",
    ]


@pytest.mark.parametrize("stage", range(5))
def test_a_night_of_one_stage_is_told_without_nan(tmp_path, stage):
    night = result("n", 0, epochs=40)
    same = np.full(40, stage, np.int8)
    one = replace(night, expert=same, hypnodensity=np.eye(5, dtype=np.float32)[same])
    metrics = write_study(tmp_path, study_of_results({"mine": [one]}, options=FEW), "mine")
    assert metrics["mean"]["accuracy"] == 1
    assert metrics["mean"]["f1"][STAGES[stage]] == 1


def test_names_that_stand_for_two_hypnograms_are_refused():
    truth = {"n": walk(60, 0)}
    scorers = {s: {"n": noisy(truth["n"], k)} for k, s in enumerate("ab")}
    for models in ({"consensus": truth}, {"a": truth}):
        with pytest.raises(InputError, match="is the name of two hypnograms"):
            study_of_hypnograms(models, scorers, FEW)
    with pytest.raises(InputError, match="is the name of two hypnograms"):
        study_of_hypnograms({"m": truth}, {**scorers, "consensus": truth}, FEW)
    with pytest.raises(InputError, match="a model is called 'expert'"):
        study_of_results({"expert": [result("n", 0)]}, options=FEW)


def test_lights_cut_what_is_scored_and_not_what_is_staged(tmp_path):
    night = result("n", 0, epochs=100, first_epoch=20)
    options = replace(FEW, lights={"n": (30, 110)})
    study = study_of_results({"mine": [night]}, options=options)
    metrics = write_study(tmp_path, study, "mine")
    alone = evaluate(night.hypnogram[10:90], night.expert[10:90])
    assert metrics["nights"]["n"]["accuracy"] == alone.accuracy
    told = metrics["sleep_statistics_per_night"]["mine"]["n"]
    assert told["time_in_bed_min"] == 40
    assert "80 of 100 epochs kept" in study.nights[0].note
    with (tmp_path / "hypnograms" / "n.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 100
    carried = result("n", 0, epochs=100, first_epoch=20, scorers=3)
    (cut,) = study_of_results({"mine": [carried]}, options=options).nights
    assert cut.first_epoch == 30
    np.testing.assert_array_equal(cut.models["mine"], carried.hypnogram[10:90])
    with pytest.raises(InputError, match="nothing is left"):
        study_of_results({"mine": [night]}, options=replace(FEW, lights={"n": (None, 20)}))


def test_conventions_of_scorers_are_not_for_one_expert():
    options = replace(FEW, conventions=Conventions(absent_stage="skip"))
    with pytest.raises(InputError, match="absent_stage and weighting are for several scorers"):
        study_of_results({"mine": [result("n", 0)]}, options=options)


@pytest.mark.parametrize("epochs", [1, 40])
def test_one_stage_only_makes_a_report_with_scorers(tmp_path, epochs):
    same = {"n": np.zeros(epochs, np.int8)}
    study = study_of_hypnograms({"m": same}, {"a": same, "b": same, "c": same}, FEW)
    metrics = write_study(tmp_path, study, "one stage")
    assert metrics["models"]["m"]["accuracy"] == [1, 0]
    assert (tmp_path / "report.html").is_file()


def test_scorers_who_never_scored_the_same_epoch_make_a_report(tmp_path):
    scorers = {}
    for k, name in enumerate("abc"):
        scoring = np.full(60, -1, np.int8)
        scoring[[0, 59]] = 2
        scoring[3 + k : 57 : 3] = 1
        scoring[[0, 59]] = -1 if k else 2
        scorers[name] = {"n": scoring}
    models = {m: {"n": walk(60, k)} for k, m in enumerate("xy")}
    study = study_of_hypnograms(models, scorers, FEW)
    write_study(tmp_path, study, "unscored")
    assert (tmp_path / "report.html").is_file()


def test_soft_scores_have_intervals_around_the_score_of_all_epochs():
    nights = [result(f"n{k}", k, epochs=60 + 20 * k) for k in range(5)]
    found = study_of_results({"mine": nights}, options=FEW).metrics()["hypnodensity"]
    together = np.concatenate([n.hypnodensity for n in nights])
    labels = hard_labels(np.concatenate([n.expert for n in nights]))
    assert found["cross_entropy"] == pytest.approx(cross_entropy(together, labels))
    for score in ("cross_entropy", "brier_score", "cosine_similarity"):
        low, high = found["intervals"][score]
        assert low < found[score] < high
