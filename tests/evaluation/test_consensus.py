"""The consensus of scorers is the one of the published evaluations."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sleep_lab.evaluation.consensus import (
    consensus,
    consensus_of_best,
    consensus_of_others,
    ranking,
    soft_agreement,
    votes,
)
from sleep_lab.stages import N1, N2, N3, REM, UNSCORED, W

SCORINGS = st.tuples(st.integers(2, 6), st.integers(1, 40)).flatmap(
    lambda shape: hnp.arrays(np.int8, shape, elements=st.integers(-1, 4))
)


def consensus_by_hand(ranked):
    """One epoch and one vote at a time."""
    stages, agreement = [], []
    for epoch in zip(*ranked.tolist(), strict=True):
        counts = Counter(epoch)
        most = max(counts.values())
        stages.append(next(stage for stage in epoch if counts[stage] == most))
        agreement.append(most / len(epoch))
    return stages, agreement


def soft_agreement_by_hand(scorings):
    shares = []
    for index, own in enumerate(scorings.tolist()):
        others = np.delete(scorings, index, axis=0).T.tolist()
        counted = [Counter(epoch) for epoch in others]
        shares.append(
            np.mean([c[stage] / max(c.values()) for c, stage in zip(counted, own, strict=True)])
        )
    return shares


@given(SCORINGS)
@settings(max_examples=60, deadline=None)
def test_the_most_voted_stage_wins_and_a_tie_goes_to_the_best_ranked_scorer(ranked):
    found = consensus(ranked)
    stages, agreement = consensus_by_hand(ranked)
    np.testing.assert_array_equal(found.stages, stages)
    np.testing.assert_array_equal(found.agreement, agreement)
    np.testing.assert_array_equal(found.unanimous, (ranked == ranked[0]).all(0))


@given(SCORINGS)
@settings(max_examples=60, deadline=None)
def test_soft_agreement_is_the_others_votes_over_those_of_their_favourite(scorings):
    np.testing.assert_allclose(
        soft_agreement(scorings), soft_agreement_by_hand(scorings), rtol=1e-12
    )


@given(SCORINGS)
@settings(max_examples=60, deadline=None)
def test_every_scorer_has_one_vote(scorings):
    counts = votes(scorings)
    assert counts.shape == (scorings.shape[1], 6)
    assert (counts.sum(-1) == len(scorings)).all()
    for stage in (*range(5), UNSCORED):
        np.testing.assert_array_equal(counts[:, stage], (scorings == stage).sum(0))


@given(SCORINGS, st.randoms())
@settings(max_examples=60, deadline=None)
def test_references_leave_out_the_worst_scorer_or_the_one_who_is_judged(scorings, random):
    rank = list(range(len(scorings)))
    random.shuffle(rank)
    best = consensus_of_best(scorings, np.array(rank))
    np.testing.assert_array_equal(best.stages, consensus_by_hand(scorings[rank[:-1]])[0])
    others = consensus_of_others(scorings, np.array(rank))
    assert others.stages.shape == scorings.shape
    for scorer in range(len(scorings)):
        rest = [index for index in rank if index != scorer]
        stages, agreement = consensus_by_hand(scorings[rest])
        np.testing.assert_array_equal(others.stages[scorer], stages)
        np.testing.assert_array_equal(others.agreement[scorer], agreement)


@given(SCORINGS, st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_of_scorers_and_of_epochs_does_not_matter_for_the_ranking(scorings, random):
    names = [f"scorer {index}" for index in range(len(scorings))]
    order, epochs = list(range(len(scorings))), list(range(scorings.shape[1]))
    random.shuffle(order)
    random.shuffle(epochs)
    shuffled = scorings[np.ix_(order, epochs)]
    before = ranking(soft_agreement(scorings), names)
    after = ranking(soft_agreement(shuffled), [names[index] for index in order])
    assert [names[index] for index in before] == [names[order[index]] for index in after]


def test_equal_scorers_are_ranked_by_name():
    assert ranking(np.array([0.5, 0.9, 0.5, 0.9]), ["d", "c", "b", "a"]).tolist() == [3, 1, 2, 0]
    assert ranking(np.array([0.9, 0.9 + 1e-16]), ["a", "b"]).tolist() == [0, 1]


def test_an_unscored_epoch_is_a_stage_of_its_own():
    found = consensus(np.int8([[UNSCORED, W, N1], [UNSCORED, N2, UNSCORED], [REM, N2, N3]]))
    assert found.stages.tolist() == [UNSCORED, N2, N1]
    assert found.agreement.tolist() == [2 / 3, 2 / 3, 1 / 3]


def test_two_scorers_have_a_consensus():
    scorings = np.int8([[W, N1, N2, N2], [W, N2, N2, REM]])
    assert soft_agreement(scorings).tolist() == [0.5, 0.5]
    rank = ranking(soft_agreement(scorings), ["zoe", "ann"])
    assert consensus_of_best(scorings, rank).stages.tolist() == scorings[1].tolist()
    assert consensus_of_others(scorings, rank).stages.tolist() == scorings[::-1].tolist()


def test_a_scorer_without_others_has_no_agreement():
    assert np.isnan(soft_agreement(np.int8([[W, N1]]))).all()
    assert np.isnan(soft_agreement(np.zeros((3, 0), np.int8))).all()


@pytest.mark.parametrize("stage", [W, N2, UNSCORED])
def test_scorers_who_say_the_same_agree_in_full(stage):
    scorings = np.full((4, 9), stage, np.int8)
    assert soft_agreement(scorings).tolist() == [1.0] * 4
    assert consensus(scorings).unanimous.all()
