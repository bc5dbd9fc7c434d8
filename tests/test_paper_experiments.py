"""The published experiments: on every dataset, with the reference's sizes, and they train."""

import json

import pytest
import torch

from sleep_lab.commands.train import main as train_main
from sleep_lab.commands.train import require_sense
from sleep_lab.experiment import architecture_of
from sleep_lab.instantiation import instantiate
from sleep_lab.models import build
from tests.shared import SHARED, needs_shared
from tests.test_config import CONF, composed, facts_of_a_night

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment" / "paper").glob("*.yaml"))
DATASETS = ["dodh", "dodo", "mass", "sleep_edf", "simulated"]
CHANNELS = {"dodh": 16, "dodo": 12, "mass": 5, "sleep_edf": 3, "simulated": 6}


def network(config):
    """The config's network without values in its weights."""
    context = instantiate(config.context)
    with torch.device("meta"):
        return build(architecture_of(config, context, facts_of_a_night(config)))


def of(experiment, data, *overrides):
    folder = [] if data == "simulated" else ["data.folder=somewhere"]
    return composed(f"experiment=paper/{experiment}", f"data={data}", *folder, *overrides)


@pytest.mark.parametrize("data", DATASETS)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_takes_its_channels_from_the_data(experiment, data):
    config = of(experiment, data)
    require_sense(config)
    model = network(config)
    if experiment == "mixed_neural_network":
        assert not model.groups
        assert set(model.features) >= {"spectral_power", "spectral_power_slow"}
        return
    ((_, group),) = model.groups.items()
    if experiment == "single_channel":
        assert group.channels == 1
    elif experiment == "robust_sleep_net":
        assert 1 <= group.channels <= CHANNELS[data]
        assert model.any_channels
    else:
        assert group.channels == CHANNELS[data]


@needs_shared
@pytest.mark.parametrize("channels", [4, 12, 16])
@pytest.mark.parametrize(
    ("experiment", "reference"),
    [
        ("simple_sleep_net", "simple_sleep_net"),
        ("model_size_medium", "simple_sleep_net"),
        ("seq_sleep_net", "seq_sleep_net"),
        ("deep_sleep_net", "deep_sleep_net"),
        ("chambon", "chambon_et_al"),
        ("tsinalis", "tsinalis_et_al"),
    ],
)
def test_an_experiment_has_as_many_weights_to_learn_as_the_reference_s(
    experiment, reference, channels
):
    facts = json.loads((SHARED / "golden" / "architectures.json").read_text())
    names = ",".join(f"S{number}" for number in range(channels))
    model = network(of(experiment, "simulated", f"data.montage.psg=[{names}]"))
    assert model.number_of_parameters == facts[f"{reference}/{channels} channels"]["trainable"]


SMALL = (
    "data.nights.nights=4",
    "data.nights.hours=0.25",
    "data.nights.sampling_rate=64",
    "data.channels=[C3-M2,E1-M2]",
    "data.eeg_and_eog=[C3-M2,E1-M2]",
    "loader.batch_size=4",
    "debug=fast",
    "trainer.limit_train_batches=2",
    "paths.workers=1",
)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_trains(experiment, command, tmp_path):
    outcome = command(train_main, f"experiment=paper/{experiment}", *SMALL, "hydra.run.dir=run")
    assert outcome.status == 0, outcome.error
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["pooled"]["scored"] > 0
