"""What is minimised, and what is told of it."""

import json

import pytest
import pytorch_lightning as pl
import torch

from sleep_lab.data import Batch
from sleep_lab.errors import InputError
from sleep_lab.training import CrossEntropy, Penalty, StagingModule, TrainingTime
from tests.models.simple_sleep_net import FEATURES, signals
from tests.training.small_training import network, trained


class Steps(pl.Callback):
    """What every step returned and logged, and the penalty worked out before it."""

    def __init__(self, penalty):
        self.penalty = penalty
        self.rows = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.expected = self.penalty(module.model.named_parameters()).item()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
        self.rows.append((outputs["loss"].item(), logged, self.expected))


def test_the_penalty_is_minimised_with_the_loss_and_told_apart_from_it(tmp_path):
    penalty = Penalty(l1=1e-3, l2=1e-2)
    steps = Steps(penalty)
    trained(tmp_path, steps, penalty=penalty, epochs=1)
    assert steps.rows
    for minimised, logged, expected in steps.rows:
        assert logged["train/penalty"] == pytest.approx(expected, rel=1e-6)
        assert minimised == pytest.approx(logged["train/loss"] + expected, rel=1e-6)


def test_a_strong_penalty_leaves_small_weights(tmp_path):
    def size(penalty, folder):
        module = trained(tmp_path / folder, penalty=penalty, epochs=3)
        return module.model.classifier.weight.abs().mean()

    assert size(Penalty(l2=10.0), "strong") < 0.8 * size(None, "none")


def test_an_exclusion_that_is_not_there_is_refused_before_training():
    with pytest.raises(InputError, match="did you mean 'batch_norm'"):
        StagingModule(
            network(), CrossEntropy(), torch.optim.Adam, Penalty(l2=1, exclusions=["batchnorm"])
        )


@pytest.mark.parametrize(("output", "epochs"), [("all", [0, 1, 2, 3, 4]), ("centre", [2])])
def test_the_loss_is_of_the_epochs_that_the_network_stages(output, epochs):
    model = network(output=output).train()
    for step in model.modules():
        if isinstance(step, torch.nn.Dropout):
            step.p = 0.0
    model.normalizers["psg"][2].fitted.fill_(True)
    module = StagingModule(model, CrossEntropy(), torch.optim.Adam)
    module.log = lambda *_, **__: None
    stages = torch.tensor([[0, 1, 2, 3, 4], [4, -1, 0, 1, 1]])
    features = {name: torch.rand(2, 5, width) for name, width in FEATURES.items()}
    psg = signals(10, 2, 300).unflatten(0, (2, 5))
    batch = Batch({"psg": psg}, features, stages, torch.zeros(2), torch.zeros(2))
    loss = module.training_step(batch, 0)
    probability = model({"psg": psg}, features).double().softmax(-1)
    of_expert = [
        probability[window, position, stages[window, epoch]]
        for window in range(2)
        for position, epoch in enumerate(epochs)
        if stages[window, epoch] >= 0
    ]
    assert loss.item() == pytest.approx(-torch.stack(of_expert).log().mean().item(), rel=1e-4)


def test_the_time_of_a_training_is_in_a_file_of_its_run(tmp_path):
    trained(tmp_path, TrainingTime(tmp_path / "training.json"), epochs=2)
    facts = json.loads((tmp_path / "training.json").read_text())
    assert facts["training_epochs"] == 2
    assert facts["seconds"] > 0
    assert facts["device"].startswith("cpu")
    assert facts["processes"] == 1


def test_a_training_that_fails_leaves_no_time(tmp_path):
    class Failing(pl.Callback):
        def on_train_epoch_start(self, trainer, module):
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        trained(tmp_path, TrainingTime(tmp_path / "training.json"), Failing(), epochs=1)
    assert not (tmp_path / "training.json").exists()
