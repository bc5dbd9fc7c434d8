"""Networks from strangers: whatever is not what it must be is refused by name, and nothing run."""

import json
import random
from contextlib import suppress

import pytest
import torch

from sleep_lab.errors import InputError
from sleep_lab.models.weights import load_model
from tests.models.archives import (
    DELETED,
    STRANGE,
    as_json,
    leaves,
    members_of,
    packed,
    put,
    state_of,
    with_state,
)
from tests.models.test_weights import NETWORKS, network

NET, NORMALIZATION = "net_params.json", "normalization_parameters.json"
GROUPS, FEATURES = "groups.json", "features.json"
PLACE = "sleep_lab.models"


ENCODER = ("encoders", "eeg")
SEQUENCE = ("sequence_encoder",)
STEPS = ("signals", 0, "normalization")

WRONG = [
    # net_params.json: what it is made of
    (NET, put("dream", value=1), "unknown entry 'dream'"),
    (NET, put("n_class", value=6), "n_class is 6"),
    (NET, put("type", value="other"), "type is other"),
    (NET, put("confidence_estimation", value=True), "confidence_estimation"),
    (NET, put("output_mode", value="some"), None),
    (NET, put("eval_output_mode", value="some"), "'some' is not many or one"),
    (NET, put("eval_output_mode", value=["many"]), None),
    (NET, put("input_temporal_context", value=0), "input_temporal_context"),
    (NET, put("input_temporal_context", value=2), "input_temporal_context"),
    (NET, put("input_temporal_context", value=1.5), "input_temporal_context"),
    (NET, put("encoders", value=[]), "encoders: wants an object"),
    (NET, put("encoders", value={}), "encoders of none"),
    (NET, put(*ENCODER, value="SimpleSleepEpochEncoder"), "encoder of eeg: wants an object"),
    (
        NET,
        put(*ENCODER, "type", value="SimpleSleepNetEpochEncoderWithFilterBank"),
        "WithFilterBank",
    ),
    (NET, put(*ENCODER, "type", value="os.system"), "no type 'os.system'"),
    (NET, put(*ENCODER, "type", value={"a": []}), "no type"),
    (NET, put(*ENCODER, "args", value=[]), "wants an object"),
    (NET, put(*ENCODER, "args", "cells", value=1), "unknown argument 'cells'"),
    (NET, put(*ENCODER, "args", "bidir", value=False), "bidir: only True is possible"),
    (NET, put(*ENCODER, "args", "num_layers", value=2), "num_layers: only 1 is possible"),
    (NET, put(*ENCODER, "args", "dropout", value=1.5), "dropout: wants a probability"),
    (NET, put(*ENCODER, "args", "dropout", value="much"), "dropout: wants a number"),
    (NET, put(*ENCODER, "args", "hidden_layers", value="25"), "hidden_layers: wants a whole"),
    (NET, put(*ENCODER, "args", "hidden_layers", value=True), "hidden_layers: wants a whole"),
    (NET, put(*ENCODER, "args", "hidden_layers", value=-1), "hidden_layers: wants a whole"),
    (NET, put("reducer", value=DELETED), "reducer: wants an object"),
    (NET, put("reducer", "type", value="Attention"), "no type 'Attention'"),
    (NET, put("reducer", "args", "activation", value="relu"), "activation: only 'tanh'"),
    (NET, put("reducer", "args", "group_dropout", value=-1), "group_dropout"),
    (NET, put("reducers", value={"eeg": {"type": "Pooling"}}), "SimpleSleepEpochEncoder"),
    (NET, put("modalities_merger", value={"type": "Sum", "args": {}}), "modalities_merger"),
    (NET, put("features_encoder", value=DELETED), "features_encoder: wants an object"),
    (NET, put("features_encoder", "args", "layers", value=[]), "layers: wants a list of widths"),
    (NET, put("features_encoder", "args", "layers", value=[5, "5"]), "layers"),
    (NET, put("features_encoder", "args", value={"dropout": 0.5}), "dropout without layers"),
    (NET, put(*SEQUENCE, value=DELETED), "sequence_encoder: wants an object"),
    (NET, put(*SEQUENCE, "type", value="Transformer"), "no type 'Transformer'"),
    (NET, put(*SEQUENCE, value={"type": "GRUSequenceEncoder", "args": {}}), "bidir: only True"),
    (
        NET,
        put(*SEQUENCE, value={"type": "DeepSleepNetResidualSequenceEncoder", "args": {}}),
        "argument 'cells' is missing",
    ),
    # the other members
    (GROUPS, put("eeg", value=DELETED), "groups.json has no groups"),
    (GROUPS, put("eog", value={"fs": 100, "shape": [3000, 1]}), "has eeg, eog"),
    (GROUPS, put("eeg", value=[]), "eeg: wants an object"),
    (GROUPS, put("eeg", "fs", value=None), "fs: wants a number"),
    (GROUPS, put("eeg", "fs", value=0), "are not 30 s"),
    (GROUPS, put("eeg", "shape", value=[3000]), "shape is [samples, channels]"),
    (GROUPS, put("eeg", "shape", value=[3000, 0]), "wants a whole number"),
    (GROUPS, put("eeg", "shape", value=[2000, 1]), "2000 samples at 100 Hz are not 30 s"),
    (GROUPS, put("../../evil", value={}), "'../../evil' is no name"),
    (GROUPS, put("classifier", value={}), "'classifier' is no name"),
    (FEATURES, put("epoch_index", value=1), "epoch_index: wants an object"),
    (FEATURES, put("epoch_index", "shape", value=[1, 1]), "shape is [width]"),
    (FEATURES, put("../evil", value={"shape": [1]}), "'../evil' is no name"),
    (FEATURES, put("another", value={"shape": [1]}), "features_encoder"),
    (NORMALIZATION, put("signals", value={}), "signals is no list"),
    (NORMALIZATION, put("features", value=DELETED), "features is no list"),
    (NORMALIZATION, put("signals", 0, "name", value="eog"), "'eog' is unknown"),
    (NORMALIZATION, put("signals", 0, value=7), "wants an object"),
    (NORMALIZATION, put(*STEPS, value="none"), "a list of steps"),
    (NORMALIZATION, put(*STEPS, 0, "type", value="whiten"), "no type 'whiten'"),
    (NORMALIZATION, put(*STEPS, 0, "type", value="standardize_online"), "'standardize_online'"),
    (NORMALIZATION, put(*STEPS, 0, "args", value={"min_value": -500}), "'max_value' is missing"),
    (NORMALIZATION, put(*STEPS, 0, "args", "min_value", value=500), "is not a range"),
    (NORMALIZATION, put(*STEPS, 0, "args", "min_value", value=float("nan")), "wants a number"),
    (NORMALIZATION, put(*STEPS, 0, "args", "min_value", value=float("-inf")), "wants a number"),
    (NORMALIZATION, put(*STEPS, 1, "args", "fs", value=60), "spectrogram.fs"),
    (NORMALIZATION, put(*STEPS, 1, "args", "fs", value=DELETED), "spectrogram.fs"),
    (
        NORMALIZATION,
        put(*STEPS, 1, "args", "window_overlap", value=0.001),
        "whole number of samples",
    ),
    (NORMALIZATION, put(*STEPS, 1, "args", "window_overlap", value="1"), "window_overlap"),
    (NORMALIZATION, put(*STEPS, 1, "args", "window_duration", value=-2), None),
    (NORMALIZATION, put(*STEPS, 1, "args", "window_duration", value=1e300), None),
    (NORMALIZATION, put(*STEPS, 1, "args", "logpower", value=1), "wants true or false"),
    (NORMALIZATION, put(*STEPS, 2, "args", "mu", value=DELETED), "without 'mu'"),
    (NORMALIZATION, put(*STEPS, 2, "args", "mu", value="0"), "'mu' is no array"),
    (NORMALIZATION, put(*STEPS, 2, "args", "mu", value=[[1, [2]]]), "'mu' is no array"),
    (NORMALIZATION, put(*STEPS, 2, "args", "mu", value=[[[["x"]]]]), "'mu' is no array"),
    (NORMALIZATION, put(*STEPS, 2, "args", "mu", value=[1.0]), "'mu' has shape (1,)"),
    (NORMALIZATION, put(*STEPS, 2, "args", "mu", value=[[[[[1.0], [2.0]]]]]), "shape (1, 2, 1)"),
    (NORMALIZATION, put(*STEPS, 2, "args", "mu", 0, 0, 0, 0, 0, value=float("nan")), "'mu' holds"),
    (NORMALIZATION, put(*STEPS, 2, "args", "mu", 0, 0, 0, 0, 0, value=1e300), "'mu' holds"),
    (NORMALIZATION, put(*STEPS, 2, "args", "sigma", 0, 0, 0, 0, 0, value=-1), "'sigma' holds"),
]


@pytest.mark.parametrize(("member", "change", "said"), WRONG, ids=range(len(WRONG)))
def test_json_that_is_not_what_it_must_be_is_refused_by_name(
    members, refused, member, change, said
):
    refused(packed(as_json(members, member, change)), *([said] if said else []))


HUGE = 10**9
SIZES = [
    (NET, put(*ENCODER, "args", "hidden_layers", value=HUGE)),
    (NET, put(*ENCODER, "args", "hidden_layers", value=10**6)),
    (NET, put(*ENCODER, "args", "filter_dim", value=HUGE)),
    (NET, put("features_encoder", "args", "layers", value=[HUGE])),
    (NET, put("features_encoder", "args", "layers", value=[1] * 10**5)),
    (NET, put("reducer", "args", "context_size", value=HUGE)),
    (NET, put(*SEQUENCE, "args", "cells", value=HUGE)),
    (NET, put(*SEQUENCE, "args", "cells", value=10**400)),
    (NET, put(*SEQUENCE, "args", "layers", value=10**7)),
    (NET, put("input_temporal_context", value=10**7 + 1)),
    (GROUPS, put("eeg", "shape", value=[3000, HUGE])),
    (GROUPS, put("eeg", "shape", value=[3000, 4000])),
    (GROUPS, put("eeg", value={"fs": 10**12, "shape": [30 * 10**12, 1]})),
    (FEATURES, put("epoch_index", "shape", value=[HUGE])),
    (NORMALIZATION, put(*STEPS, 1, "args", "window_duration", value=10**6)),
    (NORMALIZATION, put(*STEPS, value=[{"type": "clip", "args": {"value": 1}}] * 5000)),
]


@pytest.mark.parametrize(("member", "change"), SIZES, ids=range(len(SIZES)))
def test_a_size_that_would_take_gigabytes_is_refused(members, refused, member, change):
    refused(packed(as_json(members, member, change)))


def test_a_filter_bank_without_end_is_refused(refused):
    members = members_of(network(NETWORKS["seq_sleep_net"]))
    change = put(*ENCODER, "args", "filter_dim", value=10**6)
    refused(packed(as_json(members, NET, change)), "filters")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda s: s.pop("eeg.encoder.gru.weight_ih_l0"),
            "'eeg.encoder.gru.weight_ih_l0' is missing",
        ),
        (lambda s: s.clear(), "is missing"),
        (lambda s: s.update(extra=torch.zeros(1)), "'extra' is unknown"),
        (
            lambda s: s.update({"classifier.bias": torch.zeros(6)}),
            "'classifier.bias' has shape (6,), not (5,)",
        ),
        (
            lambda s: s.update({"reducer.eeg.context_bias": torch.zeros(25)}),
            "shape (25,), not (1, 25)",
        ),
        (lambda s: s.update({"classifier.bias": torch.zeros(5).double()}), "is torch.float64"),
        (lambda s: s.update({"classifier.bias": torch.zeros(5).long()}), "is torch.int64"),
        (lambda s: s["classifier.bias"].fill_(float("nan")), "'classifier.bias' holds numbers"),
        (lambda s: s["classifier.weight"].fill_(float("inf")), "'classifier.weight' holds numbers"),
    ],
    ids=range(9),
)
def test_a_weight_that_is_not_what_it_must_be_is_refused_by_name(members, refused, change, said):
    state = state_of(members)
    change(state)
    refused(packed(with_state(members, state)), said)


def test_filters_other_than_ours_are_refused(refused):
    members = members_of(network(NETWORKS["seq_sleep_net"]))
    state = state_of(members)
    bank = "eeg.encoder.filter_bank.triangular_filter_bank"
    state[bank] = state[bank] * 2
    refused(packed(with_state(members, state)), bank, "other filters")


def test_a_virtual_channel_that_is_missing_is_named(refused):
    members = members_of(network(NETWORKS["robust_sleep_net"]))
    state = state_of(members)
    name = "encoder_eeg.encoder.channel_attention.attention_1.context_vector.weight"
    del state[name]
    refused(packed(with_state(members, state)), f"{name!r} is missing")


def test_any_strange_value_anywhere_is_refused_or_read_and_nothing_else(members, tmp_path):
    draw = random.Random(0)
    path = tmp_path / "model"
    for member in (NET, GROUPS, FEATURES, NORMALIZATION):
        places = [p for p in leaves(json.loads(members[member])) if p and len(p) < 7]
        for place in places:
            for value in draw.sample(STRANGE, 4):
                path.write_bytes(packed(as_json(members, member, put(*place, value=value))))
                with suppress(InputError):
                    load_model(path)
