"""Simulated scorers against what is known of people: they agree as the five of DOD-H do."""

import pickle
import zlib

import numpy as np
import pytest

from sleep_lab.errors import InputError
from sleep_lab.evaluation.agreement import scorer_agreement
from sleep_lab.recordings import simulate, simulated_nights
from sleep_lab.recordings.simulated_scorers import Scorer, draw_difficulty, simulate_scoring
from sleep_lab.stages import N1, N2, N3, REM, W

CAREFUL = Scorer(moved=0.0, confused=np.zeros(5))


def opened(**arguments):
    return [night.open() for night in simulated_nights(**arguments)]


@pytest.fixture(scope="module")
def nights():
    return opened(nights=20, scorers=5)


@pytest.fixture(scope="module")
def truth(nights):
    """(epochs,) of all nights."""
    return np.concatenate([night.hypnogram for night in nights])


@pytest.fixture(scope="module")
def scored(nights):
    """(scorers, epochs) of all nights."""
    return np.concatenate([np.stack(list(night.scorings.values())) for night in nights], axis=1)


@pytest.mark.parametrize("seed", range(3))
def test_scorers_agree_as_far_as_people_do(seed):
    agreement = scorer_agreement(
        [np.stack(list(n.scorings.values())) for n in opened(nights=20, scorers=5, seed=seed)]
    )
    assert 0.65 < agreement.fleiss_kappa < 0.75  # DOD-H: 0.70
    assert 0.50 < agreement.unanimous < 0.65  # DOD-H: 0.59
    pairs = agreement.pairwise_kappa[np.triu_indices(5, 1)]
    assert 0.6 < pairs.min() < pairs.max() < 0.8  # DOD-H: 0.63 to 0.78
    assert np.ptp(pairs) > 0.05  # some are better than others


def test_transitions_are_scored_wrong_more_often_than_the_middle_of_bouts(nights, scored, truth):
    first = np.cumsum([0, *(night.epochs for night in nights[:-1])])
    begins = np.diff(truth, prepend=truth[0]) != 0
    begins[first] = False
    at_transition = begins | np.append(begins[1:], False)
    wrong = scored != truth
    assert wrong[:, at_transition].mean() > 2 * wrong[:, ~at_transition].mean()


def test_n1_is_the_stage_that_scorers_agree_on_least(scored, truth):
    right = [(scored[:, truth == stage] == stage).mean() for stage in range(5)]
    assert np.argmin(right) == N1
    assert right[N1] < 0.7
    assert min(right[:N1] + right[N1 + 1 :]) > 0.8


def test_stages_are_confused_with_those_that_look_alike(scored, truth):
    confusion = np.zeros((5, 5))
    np.add.at(confusion, (np.broadcast_to(truth, scored.shape), scored), 1)
    share = confusion / confusion.sum(1, keepdims=True)
    wrong = share * (1 - np.eye(5))
    assert wrong[N1, [W, N2, REM]].sum() > 0.9 * wrong[N1].sum()
    assert wrong[N3].argmax() == N2
    assert wrong[N2].argmax() in (N1, N3)
    assert wrong[[N3, REM], [REM, N3]].max() < 0.01


def test_what_is_difficult_is_difficult_for_all(scored, truth):
    likeness = np.corrcoef(scored != truth)[np.triu_indices(5, 1)]
    assert likeness.min() > 0.1


def test_a_scorer_is_as_good_in_one_night_as_in_another():
    errors = [
        [(stages != night.hypnogram).mean() for stages in night.scorings.values()]
        for night in opened(nights=20, scorers=12)
    ]
    odd, even = np.mean(errors[::2], axis=0), np.mean(errors[1::2], axis=0)
    assert np.corrcoef(odd, even)[0, 1] > 0.8


def test_a_scorer_without_errors_scores_the_truth():
    rng = np.random.default_rng(0)
    hypnogram = rng.integers(0, 5, 500).astype(np.int8)
    scoring = simulate_scoring(hypnogram, draw_difficulty(500, rng), CAREFUL, rng)
    np.testing.assert_array_equal(scoring, hypnogram)


def test_a_scorer_who_only_moves_borders_is_off_by_an_epoch_and_never_elsewhere():
    rng = np.random.default_rng(0)
    hypnogram = np.repeat(rng.integers(0, 5, 200), 4).astype(np.int8)
    mover = Scorer(moved=3.0, confused=np.zeros(5))
    scoring = simulate_scoring(hypnogram, draw_difficulty(800, rng), mover, rng)
    bouts = scoring.reshape(200, 4)
    np.testing.assert_array_equal(bouts[:, 1:3], hypnogram.reshape(200, 4)[:, 1:3])
    moved = scoring != hypnogram
    assert moved[4::4].any()  # a bout began late
    assert moved[3::4].any()  # the next one began early
    beside = np.where(np.arange(800) % 4 == 3, np.append(hypnogram[1:], 0), np.roll(hypnogram, 1))
    np.testing.assert_array_equal(scoring[moved], beside[moved])


def test_a_scoring_depends_on_its_night_scorer_and_seed_alone():
    few = simulate("night", seed=4, hours=1, scorers=2)
    many = simulate("night", seed=4, hours=1, sampling_rate=64, channels=["EMG"], scorers=5)
    assert list(many.scorings) == [f"scorer_{n}" for n in range(1, 6)]
    for name, stages in few.scorings.items():
        np.testing.assert_array_equal(stages, many.scorings[name])
    others = [
        simulate("another", seed=4, hours=1, scorers=1).scorings["scorer_1"],
        simulate("night", seed=5, hours=1, scorers=1).scorings["scorer_1"],
        many.scorings["scorer_2"],
    ]
    assert all((other != many.scorings["scorer_1"]).any() for other in others)


def test_scorings_are_the_same_on_every_machine():
    stages = np.stack(list(simulate(seed=1, scorers=3).scorings.values()))
    assert stages.dtype == np.int8
    assert stages.shape == (3, 960)
    assert zlib.crc32(stages.tobytes()) == 2993434132


def test_scorers_change_neither_the_hypnogram_nor_the_signals():
    alone, scored = simulate(hours=0.5), simulate(hours=0.5, scorers=5)
    assert alone.scorings == {}
    np.testing.assert_array_equal(alone.hypnogram, scored.hypnogram)
    np.testing.assert_array_equal(alone.read("C3-M2"), scored.read("C3-M2"))


def test_a_night_with_scorers_is_another_source_that_pickles():
    night, other = (simulated_nights(nights=1, hours=0.5, scorers=n)[0] for n in (2, 3))
    assert night.identity != other.identity
    again = pickle.loads(pickle.dumps(night)).open()
    np.testing.assert_array_equal(again.scorings["scorer_2"], other.open().scorings["scorer_2"])


def test_fewer_scorers_than_none_are_refused():
    with pytest.raises(InputError, match="scorers=-1 is negative"):
        simulated_nights(scorers=-1)
