"""The sequence encoders beyond their golden outputs: context, dropout, window length."""

from functools import partial

import pytest
import torch

from sleep_lab.models.sequence_encoders import GRU, LSTM, ResidualGRU, ResidualLSTM

every_encoder = pytest.mark.parametrize("encoder", [GRU, LSTM, ResidualGRU, ResidualLSTM])


@torch.no_grad()
@every_encoder
@pytest.mark.parametrize("layers", [1, 2])
def test_the_first_and_the_last_epoch_of_a_window_hear_of_each_other(encoder, layers):
    torch.manual_seed(0)
    module = encoder(6, 5, hidden=4, layers=layers).eval()
    x = torch.randn(1, 5, 6)
    for changed, heard in ((0, 4), (4, 0)):
        other = x.clone()
        other[:, changed] += 5
        assert (module(other)[:, heard] != module(x)[:, heard]).any()


@torch.no_grad()
@every_encoder
def test_a_window_may_have_any_length(encoder):
    module = encoder(6, 5, hidden=4).eval()
    for context in (1, 21):
        assert module(torch.randn(2, context, 6)).shape == (2, context, 8)


@torch.no_grad()
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("layers", [1, 2])
@every_encoder
def test_dropout_silences_its_share_of_the_output_in_training_only(encoder, layers):
    torch.manual_seed(0)
    module = encoder(6, 5, hidden=32, layers=layers, dropout=0.25)
    x = torch.randn(200, 5, 6)
    assert (module.train()(x) == 0).double().mean() == pytest.approx(0.25, abs=0.02)
    assert (module.eval()(x) != 0).all()


@torch.no_grad()
@every_encoder
def test_without_dropout_training_gives_what_evaluation_gives(encoder):
    module = encoder(6, 5, hidden=4, layers=2, dropout=0.0)
    x = torch.randn(3, 5, 6)
    torch.testing.assert_close(module.train()(x), module.eval()(x))


@torch.no_grad()
@pytest.mark.parametrize("encoder", [partial(GRU, layers=2), partial(LSTM, layers=2), ResidualLSTM])
def test_dropout_also_lies_between_layers(encoder):
    torch.manual_seed(0)
    module = encoder(6, 5, hidden=4, dropout=0.5).train()
    module.dropout.eval()  # only what lies between the layers is left
    x = torch.randn(3, 5, 6)
    assert (module(x) != module(x)).any()


@torch.no_grad()
def test_the_linear_map_of_a_residual_lstm_goes_around_all_layers():
    module = ResidualLSTM(6, 5, hidden=4).eval()
    for weight in module.lstm.parameters():
        weight.zero_()
    x = torch.randn(3, 5, 6)
    torch.testing.assert_close(module(x), module.linear(x))


@torch.no_grad()
def test_a_residual_lstm_drops_out_its_input_and_what_the_lstm_gives_as_well_as_the_sum():
    torch.manual_seed(0)
    module = ResidualLSTM(6, 5, hidden=4, dropout=0.5).train()
    places = []
    module.dropout.register_forward_hook(lambda _module, given, _result: places.append(given[0]))
    x = torch.randn(3, 5, 6)
    module(x)
    given, recurrent, total = places
    assert torch.equal(given, x)
    assert recurrent.abs().max() < 1  # an LSTM's range
    assert total.shape == recurrent.shape == (3, 5, 8)
