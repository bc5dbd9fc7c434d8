"""The penalty counts the weights that it should, once, and pulls them to zero."""

import numpy as np
import pytest
import torch
from torch import nn

from sleep_lab.errors import InputError
from sleep_lab.models import build
from sleep_lab.training import Penalty
from tests.models.simple_sleep_net import simple_sleep_net


class Part(nn.Module):
    """Every kind of parameter name that networks have."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.batch_norm = nn.BatchNorm1d(3)
        self.gru = nn.GRU(3, 2, bidirectional=True)


def numbers(*tensors):
    return np.concatenate([tensor.detach().double().numpy().ravel() for tensor in tensors])


def test_it_is_l1_of_the_sizes_and_half_l2_of_the_squares_without_the_exclusions():
    part = Part()
    nn.init.normal_(part.batch_norm.weight)
    weights = numbers(
        part.linear.weight,
        part.gru.weight_ih_l0,
        part.gru.weight_hh_l0,
        part.gru.weight_ih_l0_reverse,
        part.gru.weight_hh_l0_reverse,
    )
    absolute, squares = np.abs(weights).sum(), (weights**2).sum()
    for l1, l2 in ((0.3, 0.0), (0.0, 0.7), (0.3, 0.7)):
        found = Penalty(l1, l2)(part.named_parameters()).item()
        assert found == pytest.approx(l1 * absolute + l2 / 2 * squares, rel=1e-6)


def test_without_exclusions_every_parameter_counts():
    part = Part()
    everything = numbers(*part.parameters())
    found = Penalty(l2=2.0, exclusions=[])(part.named_parameters()).item()
    assert found == pytest.approx((everything**2).sum(), rel=1e-6)


def test_its_gradient_is_what_weight_decay_adds():
    part = Part()
    Penalty(l1=0.1, l2=0.01)(part.named_parameters()).backward()
    weight = part.linear.weight.detach()
    torch.testing.assert_close(part.linear.weight.grad, 0.1 * weight.sign() + 0.01 * weight)
    assert part.linear.bias.grad is None
    assert part.gru.bias_hh_l0_reverse.grad is None
    assert part.batch_norm.weight.grad is None


def test_frozen_parameters_do_not_count():
    part = Part()
    part.gru.requires_grad_(False)
    found = Penalty(l1=1.0)(part.named_parameters()).item()
    assert found == pytest.approx(np.abs(numbers(part.linear.weight)).sum(), rel=1e-6)


def test_the_usual_exclusions_suit_a_network_without_batch_normalization():
    model = build(simple_sleep_net())
    assert not any("batch_norm" in name for name, _ in model.named_parameters())
    counted = {id(parameter) for parameter in Penalty().penalised(model.named_parameters())}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in counted}
    assert names == {name for name, _ in model.named_parameters() if "bias" not in name}


@pytest.mark.parametrize(
    ("word", "meant"),
    [("batchnorm", "batch_norm"), ("biases", "bias"), ("classifer", "classifier")],
)
def test_an_exclusion_that_matches_nothing_is_answered_with_the_nearest(word, meant):
    model = build(simple_sleep_net())
    with pytest.raises(InputError, match=f"{word!r} in its name; did you mean '{meant}'"):
        Penalty(l2=1e-3, exclusions=["bias", word]).penalised(model.named_parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"l1": -1e-3}, r"penalty\.l1 is a number from 0 on, not -0.001"),
        ({"l2": float("nan")}, r"penalty\.l2 is a number from 0 on, not nan"),
        ({"exclusions": "bias"}, r"a list: write \[bias\]"),
        ({"exclusions": [""]}, "an empty one"),
    ],
)
def test_a_penalty_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Penalty(**arguments).penalised(Part().named_parameters())
