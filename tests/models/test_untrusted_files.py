"""Our own files from strangers: they may name parts of networks, and nothing else."""

import json

import pytest
import safetensors.torch
import torch

from sleep_lab.models.weights import load_model
from tests.models.archives import small_network

PLACE = "sleep_lab.models"
HUGE = 10**9


def ours(**changes):
    """A .safetensors file of a small network with its facts changed."""
    model = small_network()
    facts = {"format": 1, "architecture": model.architecture, "preparation": None} | changes
    return safetensors.torch.save(model.state_dict(), {"sleep_lab": json.dumps(facts)})


def part(name, **arguments):
    return {"_target_": f"{PLACE}.{name}", **arguments}


def with_part(place, value):
    whole = small_network().architecture
    return ours(architecture=whole | {place: value})


TARGETS = {
    "system": {"_target_": "os.system", "command": "touch run"},
    "a writer": part("weights.save_model", path="written.gz"),
    "a writer inside": part(
        "encoders.SimpleSleepEncoder",
        hidden=part("weights.save_model", model=part("build", architecture={}), path="x.gz"),
    ),
    "a reader": part("weights.load_model", path="/etc/hostname"),
    "a method": part("ModuloNet.load", path="/etc/hostname"),
    "what a module imports": part("weights.os.system"),
    "positional arguments": part("encoders.SimpleSleepEncoder", _args_=[1]),
    "no such part": part("encoders.Nothing"),
    "an interpolation": part("encoders.SimpleSleepEncoder", hidden="${oc.env:HOME}"),
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("place", ["encoder", "sequence_encoder"])
def test_our_file_may_name_parts_of_networks_only(refused, target, place):
    refused(with_part(place, target))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "format 2"),
        ({"architecture": None}, None),
        ({"architecture": []}, None),
        ({"architecture": {"groups": {}}}, "missing"),
        ({"preparation": {"montage": {}, "processings": [], "features": {}}}, "preparation"),
        (
            {"preparation": {"montage": {"../x": ["C3"]}, "processings": [], "features": {}}},
            "'../x'",
        ),
        ({"preparation": 1}, "preparation"),
        ({"preparation": {"montage": 1, "processings": 2, "features": 3}}, "preparation"),
        (
            {
                "preparation": {
                    "montage": {"eeg": ["C3"]},
                    "processings": [{"_target_": "os.system", "command": "touch run"}],
                    "features": {},
                }
            },
            "os.system",
        ),
        (
            {
                "preparation": {
                    "montage": {"eeg": ["C3"]},
                    "processings": [
                        {
                            "_target_": "sleep_lab.preparation.processings.Padding",
                            "duration_s": 1e9,
                        }
                    ],
                    "features": {},
                }
            },
            "duration_s",
        ),
    ],
    ids=range(10),
)
def test_facts_of_our_file_that_are_not_what_they_must_be_are_refused(refused, changes, said):
    refused(ours(**changes), *([said] if said else []))


@pytest.mark.parametrize(
    "changes",
    [
        {"context": HUGE},
        {"features": {"epoch_index": HUGE, "epoch_cycle_index": 5}},
        {"groups": {"eeg": {"channels": HUGE, "samples": 3000, "sampling_rate": 100.0}}},
        {"groups": {"eeg": {"channels": 1, "samples": HUGE, "sampling_rate": 100.0}}},
        {"groups": {"a/b": {"channels": 1, "samples": 3000, "sampling_rate": 100.0}}},
        {"groups": {"keys": {"channels": 1, "samples": 3000, "sampling_rate": 100.0}}},
        {"encoder": part("encoders.SimpleSleepEncoder", hidden=10**6)},
        {"encoder": part("encoders.SeqSleepEncoder", filters=10**8)},
        {"sequence_encoder": part("sequence_encoders.ResidualGRU", layers=10**7)},
        {"sequence_encoder": part("sequence_encoders.LSTM", layers=10**7, hidden=1)},
        {"sequence_encoder": part("sequence_encoders.Flatten", layers=[1] * 10**5)},
        {"output": ["all"]},
        {"group_dropout": "all"},
    ],
    ids=range(13),
)
def test_an_architecture_beyond_all_bounds_is_refused(refused, changes):
    refused(ours(architecture=small_network().architecture | changes))


def test_weights_of_our_file_are_checked_by_name(refused):
    model = small_network()
    facts = {"format": 1, "architecture": model.architecture, "preparation": None}
    metadata = {"sleep_lab": json.dumps(facts)}
    state = model.state_dict()
    bias = "classifier.bias"
    for changed, said in (
        ({n: w for n, w in state.items() if n != bias}, f"{bias!r} is missing"),
        (state | {"more": torch.zeros(1)}, "'more' is unknown"),
        (state | {bias: torch.zeros(4)}, "shape (4,)"),
        (state | {bias: torch.zeros(5).half()}, "torch.float16"),
        (state | {bias: torch.full((5,), float("nan"))}, "not finite"),
    ):
        refused(safetensors.torch.save(changed, metadata), said)
    refused(safetensors.torch.save(state), "not of sleep_lab")
    refused(safetensors.torch.save(state, {"sleep_lab": "[" * 10**5}), "not of sleep_lab")
    whole = safetensors.torch.save(state, metadata)
    refused(whole[:-1], "damaged")
    refused(whole[:8] + b"{" + whole[9:200].replace(b'"', b"x") + whole[200:])


def test_a_checkpoint_from_elsewhere_is_held_to_the_same(refused, tmp_path):
    model = small_network()
    facts = {"architecture": model.architecture, "preparation": None, "config": {}, "split": {}}
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}

    def checkpoint(changes, state=weights):
        path = tmp_path / "model"
        torch.save({"sleep_lab": json.dumps(facts | changes), "state_dict": state}, path)
        return path.read_bytes()

    (tmp_path / "model").write_bytes(checkpoint({}))
    assert torch.equal(load_model(tmp_path / "model").model.classifier.bias, model.classifier.bias)
    writer = model.architecture | {"encoder": TARGETS["a writer inside"]}
    refused(checkpoint({"architecture": writer}), "save_model")
    large = model.architecture | {"encoder": part("encoders.SimpleSleepEncoder", hidden=10**6)}
    refused(checkpoint({"architecture": large}), "has shape")
    refused(checkpoint({}, {"model.classifier.bias": torch.zeros(5)}), "is missing")
    refused(checkpoint({}, weights | {"model.classifier.bias": torch.zeros(5) / 0}), "not finite")
