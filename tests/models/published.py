"""The SimpleSleepNet that was published with dreem-learning-open."""

import io
import json
import tarfile

import torch

from sleep_lab.models import ModuloNet, build
from sleep_lab.models.reference_names import statistics_from_reference, weights_from_reference
from tests.models.simple_sleep_net import simple_sleep_net
from tests.shared import SHARED


def published_simple_sleep_net() -> ModuloNet:
    """SimpleSleepNet with the weights and statistics published for DOD-H; its group is "eeg"."""
    path = SHARED / "pretrained" / "simple_sleep_net_dodh" / "best_model.gz"
    with tarfile.open(path) as archive:
        state = torch.load(
            io.BytesIO(archive.extractfile("state.torch").read()),
            map_location="cpu",
            weights_only=True,
        )
        normalization = json.load(archive.extractfile("normalization_parameters.json"))
    model = build({**simple_sleep_net({"eeg": 16}), "context": 21})
    model.load_state_dict(weights_from_reference(state) | statistics_from_reference(normalization))
    return model.eval()
