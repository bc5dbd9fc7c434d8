"""The loss is the weighted mean over scored epochs, against numbers worked out without torch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from sleep_lab.errors import InputError
from sleep_lab.training import CrossEntropy

WEIGHTS = st.one_of(
    st.none(), st.lists(st.floats(0.1, 4.0), min_size=5, max_size=5), st.just([0.5, 2, 1, 1, 1])
)


def by_hand(logits, stages, weights, smoothing):
    weights = np.ones(5) if weights is None else np.array(weights)
    scored = stages >= 0
    log_probability = log_softmax(logits[scored].astype(np.float64), axis=1)
    target = np.eye(5)[stages[scored]] * (1 - smoothing) + smoothing / 5
    losses = -(target * weights * log_probability).sum(axis=1)
    return losses.sum() / weights[stages[scored]].sum()


@given(seed=st.integers(0, 10**6), weights=WEIGHTS, smoothing=st.sampled_from([0.0, 0.1, 0.5]))
@settings(max_examples=50, deadline=None)
def test_it_is_the_mean_over_scored_epochs_by_their_stages_weights(seed, weights, smoothing):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((30, 5)).astype(np.float32) * 3
    stages = rng.integers(-1, 5, 30)
    stages[0] = 1
    found = CrossEntropy(weights, smoothing)(torch.from_numpy(logits), torch.from_numpy(stages))
    assert found.item() == pytest.approx(by_hand(logits, stages, weights, smoothing), rel=1e-5)


@pytest.mark.parametrize("weights", [None, [0.5, 2, 1, 1, 1]])
def test_it_is_torchs_where_every_epoch_is_scored(weights):
    logits, stages = torch.randn(40, 5), torch.randint(0, 5, (40,))
    weight = None if weights is None else torch.tensor(weights)
    torchs = torch.nn.CrossEntropyLoss(weight, label_smoothing=0.1)(logits, stages)
    torch.testing.assert_close(CrossEntropy(weights, 0.1)(logits, stages), torchs)


@pytest.mark.parametrize(
    ("weights", "stages"), [(None, [-1, -1, -1]), ([0.0, 1, 1, 1, 1], [0, -1, 0])]
)
def test_a_batch_in_which_nothing_counts_costs_nothing_and_moves_nothing(weights, stages):
    logits = torch.randn(3, 5, requires_grad=True)
    loss = CrossEntropy(weights)(logits, torch.tensor(stages))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(3, 5))


def test_what_is_not_scored_has_no_gradient():
    logits = torch.randn(4, 5, requires_grad=True)
    CrossEntropy()(logits, torch.tensor([2, -1, 4, -1])).backward()
    assert (logits.grad[[1, 3]] == 0).all()
    assert (logits.grad[[0, 2]] != 0).all()


def test_the_weights_follow_the_module_but_are_no_part_of_a_checkpoint():
    loss = CrossEntropy([0.5, 2, 1, 1, 1]).to("meta", torch.float64)
    assert loss.stage_weights.device.type == "meta"
    assert loss.stage_weights.dtype == torch.float64
    assert not loss.state_dict()


@pytest.mark.parametrize("weights", [[1, 2, 3], [1, 1, 1, 1, -1], [0] * 5, [1, 1, 1, 1, np.nan]])
def test_weights_that_are_not_five_numbers_are_refused(weights):
    with pytest.raises(InputError, match="5 numbers from 0 on, of W, N1, N2, N3, REM"):
        CrossEntropy(weights)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_a_smoothing_out_of_range_is_refused(smoothing):
    with pytest.raises(InputError, match="from 0 to below 1"):
        CrossEntropy(label_smoothing=smoothing)
