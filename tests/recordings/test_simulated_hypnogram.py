"""Simulated hypnograms against what is known of healthy young adults' sleep.

Ranges after Ohayon et al., Sleep 2004; 27:1255-1273.
"""

import numpy as np
import pytest

from sleep_lab.recordings.simulated_hypnogram import simulate_hypnogram
from sleep_lab.stages import N1, N2, N3, REM, W


@pytest.fixture(scope="module")
def hypnograms():
    """(60, 960) stages of eight-hour nights."""
    return np.stack(
        [simulate_hypnogram(960, 1.0, 13.0, np.random.default_rng(seed)) for seed in range(60)]
    )


def onset(hypnogram):
    return int(np.argmax(hypnogram != W))


def bouts(hypnogram):
    """Stage, first epoch and length of every bout."""
    first = np.flatnonzero(np.diff(hypnogram, prepend=-1))
    return hypnogram[first], first, np.diff(first, append=hypnogram.size)


def transition_counts(hypnograms):
    counts = np.zeros((5, 5))
    np.add.at(counts, (hypnograms[:, :-1], hypnograms[:, 1:]), 1)
    return counts


@pytest.mark.parametrize(
    ("stage", "low", "high"), [(N1, 3, 8), (N2, 45, 55), (N3, 13, 25), (REM, 18, 25)]
)
def test_stages_have_their_usual_share_of_sleep(hypnograms, stage, low, high):
    share = 100 * (hypnograms == stage).sum(1) / (hypnograms != W).sum(1)
    assert low < share.mean() < high


def test_sleep_takes_up_most_of_the_night(hypnograms):
    assert 85 < 100 * (hypnograms != W).mean() < 95


def test_the_first_rem_sleep_comes_after_a_cycle(hypnograms):
    latency_min = [(np.argmax(h == REM) - onset(h)) / 2 for h in hypnograms]
    assert 70 < np.mean(latency_min) < 110
    assert min(latency_min) > 40


def test_falling_asleep_takes_the_time_asked_for(hypnograms):
    rng = np.random.default_rng(0)
    assert 13 <= np.mean([onset(h) for h in hypnograms]) / 2 < 15
    assert onset(simulate_hypnogram(960, 1.0, 25.0, rng)) >= 50


def test_the_first_n2_comes_after_n1(hypnograms):
    after_n1 = [np.argmax(h == N1) < np.argmax(h == N2) for h in hypnograms]
    assert np.mean(after_n1) > 0.9


def test_stages_follow_each_other_as_they_do_in_people(hypnograms):
    counts = transition_counts(hypnograms)
    leaving = counts * (1 - np.eye(5))
    chance = leaving / leaving.sum(1, keepdims=True)
    assert chance[N3, REM] < 0.005
    assert chance[W, REM] < 0.02
    assert chance[[W, N1, REM], N3].max() < 0.005
    assert chance[W, N1] > 0.8
    assert chance[N3, N2] > 0.7
    assert chance[N1, N2] > 0.6


def test_slow_wave_sleep_wanes_and_rem_sleep_grows(hypnograms):
    thirds = hypnograms.reshape(60, 3, 320)
    deep, rem = ((thirds == stage).mean((0, 2)) for stage in (N3, REM))
    assert deep[0] > 2 * deep[1] > 4 * deep[2]
    assert rem[0] < 0.5 * rem[1] < rem[2] / 2


def test_bouts_last_minutes_in_sleep_and_moments_in_n1(hypnograms):
    stage, _, length = (np.concatenate(x) for x in zip(*map(bouts, hypnograms), strict=True))
    minutes = [length[stage == code].mean() / 2 for code in range(5)]
    assert 0.5 < minutes[N1] < 1.5
    assert 4 < minutes[N2] < 8
    assert 3 < minutes[N3] < 8
    assert 7 < minutes[REM] < 17
    assert 1 < np.median(length[stage == W]) <= 4


def test_deep_sleepers_get_more_slow_wave_sleep():
    shares = [
        np.mean(
            [
                (simulate_hypnogram(960, depth, 13.0, np.random.default_rng(s)) == N3).mean()
                for s in range(20)
            ]
        )
        for depth in (0.6, 1.4)
    ]
    assert shares[1] > 1.5 * shares[0]


def test_a_night_may_end_before_sleep_begins():
    hypnogram = simulate_hypnogram(20, 1.0, 25.0, np.random.default_rng(0))
    np.testing.assert_array_equal(hypnogram, np.full(20, W))
