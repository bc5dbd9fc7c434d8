"""The five networks on signals have the reference's weights: as many, and of the same shapes."""

import json
from itertools import pairwise

import pytest
import torch

from sleep_lab.errors import InputError
from sleep_lab.models import SignalGroup, build
from sleep_lab.models.encoders import ChambonEncoder, TsinalisEncoder
from sleep_lab.models.group_encoder import GroupEncoder
from sleep_lab.models.reducers import FlattenReducer
from sleep_lab.models.reference_names import weights_from_reference
from tests.models.simple_sleep_net import simple_sleep_net
from tests.shared import SHARED, needs_shared

PLACE = "sleep_lab.models"
RAW = [
    {"_target_": f"{PLACE}.normalizers.ClipAndScale", "minimum": -500, "maximum": 500},
    {"_target_": f"{PLACE}.normalizers.Standardization"},
]
SEQ_SLEEP_NET = {
    "encoder": {"_target_": f"{PLACE}.encoders.SeqSleepEncoder"},
    "reducer": {"_target_": f"{PLACE}.reducers.AttentionReducer", "context": 64},
    "sequence_encoder": {"_target_": f"{PLACE}.sequence_encoders.GRU"},
    "features": {},
}
DEEP_SLEEP_NET = {
    "normalizer": RAW,
    "encoder": {"_target_": f"{PLACE}.encoders.DeepSleepEncoder"},
    "reducer": {"_target_": f"{PLACE}.reducers.FlattenReducer"},
    "sequence_encoder": {"_target_": f"{PLACE}.sequence_encoders.ResidualLSTM"},
    "features": {},
}
SEQUENTIAL = {
    "simple_sleep_net": {},
    "seq_sleep_net": SEQ_SLEEP_NET,
    "deep_sleep_net": DEEP_SLEEP_NET,
}
CONCATENATED = {"chambon_et_al": ChambonEncoder, "tsinalis_et_al": TsinalisEncoder}


def reference(network, channels):
    facts = json.loads((SHARED / "golden" / "architectures.json").read_text())
    return facts[f"{network}/{channels} channels"]


def network(changes, channels):
    # weights without values: only their shapes matter here
    with torch.device("meta"):
        return build({**simple_sleep_net({"eeg": channels}), **changes})


def encoder_of_joined_epochs(encoder, channels):
    group = SignalGroup(channels, 21 * 3000, 100.0)
    with torch.device("meta"):
        return GroupEncoder("eeg", group, [], encoder, FlattenReducer)


def renamed_shapes(state):
    """The shapes of the reference's weights under our names."""
    return shapes(weights_from_reference({n: torch.empty(s) for n, s in state.items()}))


def shapes(state):
    return {name: tuple(weight.shape) for name, weight in state.items()}


@needs_shared
@pytest.mark.parametrize("channels", [4, 12, 16])
@pytest.mark.parametrize("name", SEQUENTIAL)
def test_a_network_has_as_many_weights_to_learn_as_the_reference_s(name, channels):
    model = network(SEQUENTIAL[name], channels)
    assert model.number_of_parameters == reference(name, channels)["trainable"]


@needs_shared
@pytest.mark.parametrize("name", SEQUENTIAL)
def test_every_weight_of_a_reference_network_has_its_place_in_ours(name):
    ours = shapes(network(SEQUENTIAL[name], 4).state_dict())
    learned = {name: shape for name, shape in ours.items() if ".normalizer." not in name}
    assert renamed_shapes(reference(name, 4)["state"]) == learned


@needs_shared
@pytest.mark.parametrize("name", CONCATENATED)
def test_every_weight_of_an_encoder_of_joined_epochs_has_its_place_in_ours(name):
    ours = shapes(encoder_of_joined_epochs(CONCATENATED[name], 4).state_dict())
    state = {
        name: shape
        for name, shape in reference(name, 4)["state"].items()
        if name.startswith("eeg.encoder.")
    }
    assert renamed_shapes(state) == {f"encoders.eeg.{name}": s for name, s in ours.items()}


@needs_shared
@pytest.mark.parametrize("channels", [4, 12, 16])
@pytest.mark.parametrize(
    ("name", "layers"), [("chambon_et_al", ()), ("tsinalis_et_al", (50, 50))], ids=str
)
def test_joined_epochs_are_encoded_with_as_many_weights_as_by_the_reference(name, layers, channels):
    expected = reference(name, channels)
    encoder = encoder_of_joined_epochs(CONCATENATED[name], channels)
    assert list(encoder.encoder.output_shape) == expected["reducer_input_shape"]
    # linear layers up to the five stages are all that follows
    widths = (encoder.width, *layers, 5)
    after = sum((before + 1) * width for before, width in pairwise(widths))
    assert sum(weight.numel() for weight in encoder.parameters()) == expected["parameters"] - after


def test_a_weight_of_no_reference_network_is_named():
    with pytest.raises(InputError, match=r"'eeg\.encoder\.transformer\.weight' is not one of"):
        weights_from_reference({"eeg.encoder.transformer.weight": torch.zeros(1)})
