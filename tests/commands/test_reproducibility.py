"""The same command gives the same weights, and a run tells what it depended on."""

import json

import pytest
import torch

import sleep_lab
from sleep_lab.commands.train import main as train_main
from sleep_lab.models.weights import CHECKPOINT_KEY, load_model
from tests.conftest import SMALL

BEST = "checkpoints/best.ckpt"
LAST = "checkpoints/last.ckpt"


@pytest.fixture
def weights_of(command, tmp_path, workplace):
    """Trains with a seed and a number of loading processes, and gives all tensors of the model.

    They are those after the first training epoch and the best of two.
    """

    def run(name, seed, workers):
        outcome = command(
            train_main,
            *SMALL,
            "trainer.max_epochs=2",
            "split.seed=0",
            f"seed={seed}",
            f"loader.workers={workers}",
            f"paths.prepared={workplace / 'prepared'}",
            f"hydra.run.dir={name}",
        )
        assert outcome.status == 0, outcome.error
        models = {kept: load_model(tmp_path / name / kept).model for kept in (LAST, BEST)}
        return {
            (kept, key): tensor
            for kept, model in models.items()
            for key, tensor in model.state_dict().items()
        }

    return run


def equal(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_seed_gives_the_same_weights_to_the_last_bit_whoever_loads_the_data(weights_of):
    first = weights_of("first", seed=1, workers=2)
    assert equal(first, weights_of("again", seed=1, workers=2))
    assert equal(first, weights_of("alone", seed=1, workers=0))
    assert not equal(first, weights_of("other", seed=2, workers=2))


def test_a_run_and_its_checkpoint_tell_code_machine_and_data(workplace):
    run = workplace / "runs" / "small"
    facts = json.loads((run / "environment.json").read_text())
    assert facts["sleep_lab"]["version"] == sleep_lab.__version__
    assert facts["seed"] == 0
    assert facts["versions"]["torch"] == torch.__version__
    assert len(facts["data"]["nights"]) == 4
    assert "train.py" in facts["command"]
    checkpoint = torch.load(run / BEST, weights_only=True)
    assert json.loads(checkpoint[CHECKPOINT_KEY])["environment"] == facts
