"""Means, deviations and intervals are over what does not depend on each other."""

import math

import numpy as np
import pytest
from scipy.stats import bootstrap

from sleep_lab.evaluation import evaluate
from sleep_lab.evaluation.collect import main
from sleep_lab.evaluation.sweep_scores import RESAMPLING
from sleep_lab.evaluation.sweep_tables import setting_caption
from tests.evaluation.sweeps import hypnograms, make_job, rows, settings


def nights_of(job, names):
    return {name: hypnograms(50 * job + n, 40 + n, 0.4 + 0.02 * n) for n, name in enumerate(names)}


def accuracies(nights):
    return np.array([evaluate(predicted, expert).accuracy for expert, predicted in nights.values()])


def mean(values):
    """Exact, so that draws which differ in their order alone are ties."""
    values = np.ravel(values)
    return math.fsum(values) / len(values)


def by_scipy(units, statistic):
    """BCa interval of a statistic of drawn indices of units, found without any code of ours."""
    found = bootstrap(
        (np.arange(units),),
        statistic,
        n_resamples=RESAMPLING.resamples,
        method="BCa",
        rng=np.random.default_rng(RESAMPLING.seed),
        vectorized=False,
    )
    return tuple(found.confidence_interval)


def interval(setting):
    return tuple(setting.scores.interval[:, 0])


def test_the_interval_over_nights_is_scipys(tmp_path):
    found = []
    for fold in range(3):
        nights = nights_of(fold, [f"n{fold}{n}" for n in range(4)])
        found.append(accuracies(nights))
        make_job(tmp_path / str(fold), [f"split.fold={fold}"], nights)
    (setting,) = settings(tmp_path)
    values = np.concatenate(found)
    expected = by_scipy(12, lambda drawn: mean(values[drawn]))
    assert interval(setting) == pytest.approx(expected, abs=1e-12)
    assert (setting.scores.over, setting.scores.resampled) == ("nights", "nights")
    for job, own in zip(setting.of_jobs, found, strict=True):
        expected = by_scipy(4, lambda drawn, own=own: mean(own[drawn]))
        assert tuple(job.interval[:, 0]) == pytest.approx(expected, abs=1e-12)


def test_people_are_drawn_where_they_have_several_nights(tmp_path):
    nights = nights_of(0, ["a1", "a2", "b1", "c1", "c2", "c3", "d1"])
    people = {night: night[0] for night in nights}
    make_job(tmp_path / "0", ["seed=0"], nights, people=people)
    (setting,) = settings(tmp_path)
    values = accuracies(nights)
    of_person = [values[[0, 1]], values[[2]], values[[3, 4, 5]], values[[6]]]
    expected = by_scipy(4, lambda drawn: mean(np.concatenate([of_person[p] for p in drawn])))
    assert interval(setting) == pytest.approx(expected, abs=1e-12)
    assert setting.scores.mean[0] == pytest.approx(values.mean())
    caption = setting_caption([setting])
    assert "deviation over nights" in caption
    assert "interval of the mean over people" in caption


def test_a_night_under_several_seeds_is_drawn_once_with_all_of_them(tmp_path):
    found = []
    for seed in range(2):
        nights = nights_of(seed, "abcd")
        found.append(accuracies(nights))
        people = {night: night for night in nights}
        make_job(tmp_path / str(seed), [f"seed={seed}"], nights, people=people)
    (setting,) = settings(tmp_path)
    values = np.stack(found)
    expected = by_scipy(4, lambda drawn: mean(values[:, drawn]))
    assert interval(setting) == pytest.approx(expected, abs=1e-12)
    assert (setting.scores.number, setting.scores.resampled) == (8, "nights")


@pytest.fixture
def curve(tmp_path):
    """Two numbers of training nights, four trials of three test nights each, the same for both."""
    means = {1: [], 4: []}
    for number, (nights, trial) in enumerate((n, t) for n in means for t in range(4)):
        tested = nights_of(number, "abc" if trial % 2 else "bcd")
        means[nights].append(accuracies(tested).mean())
        told = [f"split.training_nights={nights}", f"split.trial={trial}"]
        make_job(tmp_path / str(number), told, tested)
    return tmp_path, means


def test_of_trials_mean_and_deviation_are_over_trials(curve):
    folder, means = curve
    main([str(folder)])
    for number, trials in enumerate(means.values()):
        average, std = (rows(folder, "setting", value)[number] for value in ("mean", "std"))
        assert float(average["accuracy"]) == pytest.approx(sum(trials) / 4, abs=1e-15)
        by_hand = (sum((trial - sum(trials) / 4) ** 2 for trial in trials) / 4) ** 0.5
        assert float(std["accuracy"]) == pytest.approx(by_hand, abs=1e-15)
        assert (average["over"], average["nights"]) == ("trials", "12")


def test_of_trials_the_interval_is_over_trials(curve):
    folder, means = curve
    main([str(folder)])
    for number, trials in enumerate(means.values()):
        values = np.array(trials)
        expected = by_scipy(4, lambda drawn, values=values: mean(values[drawn]))
        ends = [rows(folder, "setting", value)[number] for value in ("low", "high")]
        assert [float(end["accuracy"]) for end in ends] == pytest.approx(expected, abs=1e-12)
        assert {end["over"] for end in ends} == {"trials"}
    markdown = (folder / "collected.md").read_text()
    assert "over trials of each trial's mean over its test nights" in markdown
    assert "| split.training_nights=1 | 4 trials |" in markdown


def test_another_seed_is_another_trial(tmp_path):
    for number, (trial, seed) in enumerate((t, s) for t in range(2) for s in range(2)):
        told = [f"split.trial={trial}", f"seed={seed}"]
        make_job(tmp_path / str(number), told, nights_of(number, "ab"))
    (setting,) = settings(tmp_path)
    assert (setting.scores.over, setting.scores.number) == ("trials", 4)


def test_a_lone_trial_that_is_left_is_still_a_trial(tmp_path):
    make_job(tmp_path / "0", ["split.trial=0"], nights_of(0, "abcd"))
    make_job(tmp_path / "1", ["split.trial=1"], None)
    (setting,) = settings(tmp_path)
    assert (setting.scores.over, setting.scores.number) == ("trials", 1)
    assert np.isnan(setting.scores.interval).all()


@pytest.mark.parametrize("nights", [1, 2, 3])
def test_fewer_than_three_have_no_interval(tmp_path, nights):
    make_job(tmp_path / "0", ["seed=0"], nights_of(0, "abc"[:nights]))
    main([str(tmp_path)])
    for of in ("setting", "job"):
        (low,), (high,) = (rows(tmp_path, of, value) for value in ("low", "high"))
        assert bool(low["accuracy"]) == bool(high["accuracy"]) == (nights == 3)


def test_a_score_that_two_nights_have_has_no_interval(tmp_path):
    wake = (np.zeros(10, int), np.zeros(10, int))
    make_job(tmp_path / "0", ["seed=0"], nights_of(0, "ab") | {"c": wake})
    (setting,) = settings(tmp_path)
    accuracy, kappa = setting.scores.interval[:, :2].T
    assert np.isfinite(accuracy).all()
    assert np.isnan(kappa).all()
