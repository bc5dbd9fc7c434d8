"""SimpleSleepNet as plain data: the network that most tests of the room build."""

from typing import Any

import numpy as np
import torch

from sleep_lab.models import ModuloNet, fit_standardization

FEATURES = {"epoch_index": 1, "epoch_cycle_index": 5}


def simple_sleep_net(
    groups: dict[str, int] | None = None, features: dict[str, int] | None = None
) -> dict[str, Any]:
    """The architecture for {group: channels} at 100 Hz, and for {feature: width}."""
    place = "sleep_lab.models"
    return {
        "groups": {
            name: {"channels": channels, "samples": 3000, "sampling_rate": 100.0}
            for name, channels in ({"psg": 3} if groups is None else groups).items()
        },
        "features": FEATURES if features is None else features,
        "context": 5,
        "normalizer": [
            {"_target_": f"{place}.normalizers.ClipAndScale", "minimum": -500, "maximum": 500},
            {"_target_": f"{place}.normalizers.Spectrogram", "_partial_": True},
            {"_target_": f"{place}.normalizers.Standardization"},
        ],
        "encoder": {"_target_": f"{place}.encoders.SimpleSleepEncoder", "_partial_": True},
        "reducer": {"_target_": f"{place}.reducers.AttentionReducer", "context": 25},
        "features_normalizer": [],
        "features_encoder": {
            "_target_": f"{place}.features_encoders.FullyConnectedFeatures",
            "layers": [5],
        },
        "sequence_encoder": {"_target_": f"{place}.sequence_encoders.ResidualGRU"},
        "output": "all",
        "group_dropout": 0.0,
    }


def signals(epochs: int, channels: int, samples: int = 3000, seed: int = 0) -> torch.Tensor:
    """(epochs, channels, samples) in microvolts, channels innermost in memory as in a memmap."""
    noise = np.random.default_rng(seed).standard_normal((epochs, samples, channels)) * 30
    smooth = noise + np.roll(noise, 1, axis=1) + np.roll(noise, 2, axis=1)
    return torch.from_numpy(smooth.astype(np.float32)).transpose(1, 2)


def fitted(model: ModuloNet) -> ModuloNet:
    """The model in evaluation mode, its statistics those of a few random epochs."""
    batch = {
        name: signals(4, group.channels, group.samples, seed=1)
        for name, group in model.groups.items()
    }
    fit_standardization(model.normalizers, [batch])
    return model.eval()
