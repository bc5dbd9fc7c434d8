"""What is validated, kept and left over is the mean of the weights, worked out beside it."""

from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from sleep_lab.errors import InputError
from sleep_lab.models import ModuloNet
from sleep_lab.training import StochasticWeightAveraging
from tests.training.small_training import network, trained


class Recorder(pl.Callback):
    """Every training epoch's last weights, and the weights and score of every validation."""

    def __init__(self) -> None:
        self.trained, self.validated, self.loss = [], [], []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if batch_idx == trainer.num_training_batches - 1:
            self.trained.append(copied(module.model))

    def on_validation_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0):
        self.validated.append(copied(module.model))

    def on_validation_end(self, trainer, module):
        self.loss.append(trainer.callback_metrics["val/loss"].item())


def copied(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def mean(states):
    """The mean of the numbers; of flags and counts, the last."""
    return {
        name: torch.from_numpy(np.mean([state[name].double().numpy() for state in states], axis=0))
        if value.is_floating_point()
        else value
        for name, value in states[-1].items()
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name].double(), value.double(), msg=name)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Five training epochs, averaged from number 2 on, and what a plain training does."""
    averaged, plain = Recorder(), Recorder()
    folder = tmp_path_factory.mktemp("averaged")
    module = trained(folder, StochasticWeightAveraging(0.4), averaged, epochs=5)
    trained(tmp_path_factory.mktemp("plain"), plain, epochs=5)
    return folder, averaged, plain, module


def test_the_network_has_all_that_an_average_could_break():
    kinds = {value.dtype for value in network().state_dict().values()}
    assert kinds == {torch.float32, torch.int64, torch.bool}


def test_training_goes_on_from_the_weights_themselves(run):
    _, averaged, plain, _ = run
    assert len(averaged.trained) == 5
    for with_averaging, without in zip(averaged.trained, plain.trained, strict=True):
        assert_same(with_averaging, without)


def test_each_validation_sees_the_mean_from_the_start_to_its_own_training_epoch(run):
    _, recorder, _, _ = run
    for epoch, validated in enumerate(recorder.validated):
        first = min(epoch, 2)
        assert_same(validated, mean(recorder.trained[first : epoch + 1]))
    assert len(recorder.validated) == 5


def test_the_last_checkpoint_and_the_network_hold_the_mean_of_the_last_three(run):
    folder, recorder, _, module = run
    expected = mean(recorder.trained[2:])
    assert_same(copied(ModuloNet.load(folder / "last.ckpt")), expected)
    assert_same(copied(module.model), expected)


def test_the_best_checkpoint_holds_what_was_validated_best(run):
    folder, recorder, _, _ = run
    best = int(np.argmin(recorder.loss))
    assert best >= 2
    loaded = copied(ModuloNet.load(folder / "best.ckpt"))
    assert_same(loaded, mean(recorder.trained[2 : best + 1]))


def test_early_stopping_looks_at_the_mean(tmp_path):
    recorder = Recorder()
    stopping = EarlyStopping("val/loss", patience=100)
    trained(tmp_path, StochasticWeightAveraging(0), recorder, stopping, epochs=3)
    assert stopping.best_score.item() == pytest.approx(min(recorder.loss))
    assert_same(recorder.validated[2], mean(recorder.trained))


def test_a_training_that_goes_on_from_a_checkpoint_goes_on_averaging(tmp_path):
    before, after = Recorder(), Recorder()
    averaging = partial(StochasticWeightAveraging, 1)
    trained(tmp_path, averaging(), before, epochs=3)
    last = tmp_path / "last.ckpt"
    resumed = trained(tmp_path, averaging(), after, epochs=5, resume=last)
    assert len(after.trained) == 2
    assert_same(copied(resumed.model), mean(before.trained[1:] + after.trained))


def test_a_training_that_ends_before_the_start_keeps_its_own_weights(tmp_path):
    recorder = Recorder()
    stop = EarlyStopping("val/loss", divergence_threshold=-1.0)
    module = trained(tmp_path, StochasticWeightAveraging(0.9), recorder, stop, epochs=10)
    assert len(recorder.trained) == 1
    assert_same(copied(module.model), recorder.trained[0])
    assert_same(copied(ModuloNet.load(tmp_path / "best.ckpt")), recorder.trained[0])


def test_a_start_that_never_comes_is_refused(tmp_path):
    with pytest.raises(InputError, match="starts at 3 but training has 3 epochs"):
        trained(tmp_path, StochasticWeightAveraging(3), epochs=3)
    with pytest.raises(InputError, match="cannot start at -1"):
        StochasticWeightAveraging(-1)


def test_checkpoints_of_weights_only_are_refused(tmp_path):
    with pytest.raises(InputError, match="save_weights_only=false"):
        trained(
            tmp_path,
            StochasticWeightAveraging(0),
            ModelCheckpoint(tmp_path, "other", save_weights_only=True),
        )
