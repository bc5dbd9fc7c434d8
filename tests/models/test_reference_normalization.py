"""Features are normalized side by side here, and each alone by the reference."""

import pytest
import torch

from sleep_lab.models import ModuloNet
from tests.models.archives import as_json, packed, put

NORMALIZATION = "normalization_parameters.json"


@torch.no_grad()
@pytest.mark.parametrize("both", [True, False])
def test_features_are_normalized_as_each_alone_would_be(members, tmp_path, both):
    mu, sigma = torch.rand(1, 1, 5), torch.rand(1, 1, 5) + 0.5
    args = {"mu": mu.tolist(), "sigma": sigma.tolist()}
    entries = [
        {"name": "epoch_cycle_index", "normalization": [{"type": "standardize", "args": args}]}
    ]
    if both:
        args = {"mu": [[[0.25]]], "sigma": [[[3.0]]]}
        step = {"type": "standardization", "args": args}
        entries.append({"name": "epoch_index", "normalization": [step]})
    changed = as_json(members, NORMALIZATION, put("features", value=entries))
    (tmp_path / "model.gz").write_bytes(packed(changed))
    model = ModuloNet.load(tmp_path / "model.gz")
    index, cycle = torch.rand(2, 21, 1), torch.rand(2, 21, 5)
    normalized = model.normalized_features({"epoch_cycle_index": cycle, "epoch_index": index})
    expected_index = (index - 0.25) / (3.0 + 1e-15) if both else index
    expected = torch.cat([expected_index, (cycle - mu) / (sigma + 1e-15)], dim=-1)
    assert torch.equal(normalized, expected)
    model.save(tmp_path / "again.gz")
    again = ModuloNet.load(tmp_path / "again.gz")
    assert torch.equal(
        again.normalized_features({"epoch_cycle_index": cycle, "epoch_index": index}), expected
    )


@pytest.mark.parametrize(
    "steps",
    [
        [{"type": "clip", "args": {"value": 1}}],
        [{"type": "standardization", "args": {"mu": [[[0]]], "sigma": [[[1]]], "eps": 0.1}}],
        [{"type": "spectrogram", "args": {"fs": 100}}],
        [{"type": "standardization", "args": {"mu": [[[0, 0]]], "sigma": [[[1, 1]]]}}],
    ],
)
def test_steps_of_features_that_cannot_be_joined_are_refused(members, refused, steps):
    entries = [{"name": "epoch_index", "normalization": steps}]
    refused(packed(as_json(members, NORMALIZATION, put("features", value=entries))))
