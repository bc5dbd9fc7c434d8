"""Archives as the reference writes them, whole or with something wrong."""

import io
import json
import tarfile

import torch

from sleep_lab.models import build
from sleep_lab.models.reference_architecture import network_to_reference
from sleep_lab.models.reference_archive import write_archive
from tests.models.simple_sleep_net import fitted, simple_sleep_net

MEMBERS = (
    *("net_params.json", "state.torch", "normalization_parameters.json"),
    *("groups.json", "features.json"),
)

DELETED = object()
STRANGE = [None, True, -1, 0, 2.5, 10**30, 1e300, float("nan"), "", "..", [], {}, [[]], {"": {}}]


def small_network(**changes):
    """A SimpleSleepNet of one channel and few cells."""
    torch.manual_seed(0)
    small = {"_target_": "sleep_lab.models.encoders.SimpleSleepEncoder", "hidden": 3, "filters": 4}
    rnn = {"_target_": "sleep_lab.models.sequence_encoders.ResidualGRU", "hidden": 3, "layers": 1}
    whole = simple_sleep_net({"eeg": 1}) | {"encoder": small, "sequence_encoder": rnn}
    return fitted(build(whole | {"context": 21} | changes))


def members_of(model):
    """{name: bytes} of the archive of a network."""
    return unpacked(write_archive(network_to_reference(model)))


def unpacked(data):
    """{name: bytes} of a tar, as an ordinary reader sees it."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def packed(members, *more, mode="w", **options):
    """A tar of {name: bytes}, then of (TarInfo, bytes) as they are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **options) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info, content in more:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def as_json(members, name, change):
    """The members with one JSON changed in place by `change`."""
    value = json.loads(members[name])
    change(value)
    return members | {name: json.dumps(value).encode()}


def state_of(members):
    """The state dict in the members."""
    return torch.load(io.BytesIO(members["state.torch"]), weights_only=True)


def with_state(members, state, **options):
    """The members with another state dict."""
    buffer = io.BytesIO()
    torch.save(state, buffer, **options)
    return members | {"state.torch": buffer.getvalue()}


def put(*keys, value):
    """A change that puts a value to a place in JSON."""

    def change(whole):
        for key in keys[:-1]:
            whole = whole[key]
        if value is DELETED:
            del whole[keys[-1]]
        else:
            whole[keys[-1]] = value

    return change


def leaves(value, place=()):
    """The places of all values in JSON."""
    yield place
    if isinstance(value, dict | list):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(child, (*place, key))
