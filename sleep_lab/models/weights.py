"""Weights in files: read as data, so that nothing in a file from elsewhere is executed.

Three kinds: a checkpoint of train.py, a .safetensors file of ours, and an archive (.gz) of
dreem-learning-open or RobustSleepNet.
"""

import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from sleep_lab.errors import InputError, one_line
from sleep_lab.models.limits import own_parts_only, require_bounded, require_parts
from sleep_lab.models.modulonet import ModuloNet, build
from sleep_lab.models.reference_architecture import (
    dialect_of_net,
    network_from_reference,
    network_to_reference,
    state_in_reference,
)
from sleep_lab.models.reference_archive import (
    LARGEST_ARCHIVE,
    LARGEST_JSON,
    looks_like_archive,
    read_archive,
    read_json,
    write_archive,
)
from sleep_lab.models.reference_names import TRIANGLES, Dialect, weights_from_reference
from sleep_lab.models.reference_normalization import broadcast
from sleep_lab.models.reference_preparation import DESCRIPTION, read_description
from sleep_lab.models.torch_state import ZIP_START, require_plain_zip
from sleep_lab.preparation import Preparation
from sleep_lab.whole_file import write_whole

CHECKPOINT_KEY = "sleep_lab"
"""Where a Lightning checkpoint and a .safetensors file keep our facts, as JSON."""

BEST = ("checkpoints/best.ckpt", "best_model.gz")
"""The weights in a folder: of a run, or of a published model."""

MODULE_PREFIX = "model."
"""How the LightningModule calls its ModuloNet."""

FORMAT_VERSION = 1
"""Of our .safetensors files."""

LARGEST_CHECKPOINT = 2**34

TEMPERATURES = (0.01, 100.0)
"""Between which a temperature is believed."""


@dataclass(frozen=True)
class TrainedModel:
    """A trained network and what is known of its training.

    Attributes:
        model: the network, in evaluation mode; it knows its preparation and temperature.
        config: the resolved config of its training; None if it was not trained here.
        split: the parts of nights, as `sleep_lab.data.describe` tells them; None likewise.
        datasets: the preparation of each dataset, where it was trained on several.
    """

    model: ModuloNet
    config: Mapping[str, Any] | None = None
    split: Mapping[str, Any] | None = None
    datasets: Mapping[str, Preparation] = field(default_factory=dict)

    @property
    def preparation(self) -> Preparation:
        """How its nights were prepared; raises InputError if its file did not say."""
        return self.model.known_preparation

    @property
    def preparations(self) -> Mapping[str, Preparation]:
        """How the nights of each dataset were prepared; that of the only one is called ""."""
        return self.datasets or {"": self.preparation}

    @property
    def temperature(self) -> float:
        """What `stage` divides the logarithms of its probabilities by; 1 leaves them."""
        return self.model.temperature


def load_model(path: Path) -> TrainedModel:
    """The trained network in a file, whose content decides what it is.

    Args:
        path: a checkpoint, a .safetensors file or an archive. The archive's preparation and
            context come from the description.json beside it, if there is one.

    Raises:
        InputError: no such file, no such network, or anything in it that is not what it must be.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file of weights")
    try:
        with path.open("rb") as file:
            start = file.read(512)
        if start.startswith(ZIP_START):
            return _from_checkpoint(path)
        if looks_like_safetensors(start, path.stat().st_size):
            return TrainedModel(_from_safetensors(path))
        if looks_like_archive(start):
            return TrainedModel(_from_archive(path))
        raise InputError(
            "no weights that are known here; give a checkpoint of train.py, a .safetensors file of "
            "sleep_lab, or an archive of dreem-learning-open or RobustSleepNet"
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {one_line(error)[:200]}") from error


def weights_at(path: Path) -> Path:
    """The file of weights that a path means: itself, or the best in a folder.

    Raises:
        InputError: a folder without any.
    """
    if not path.is_dir():
        return path
    for name in BEST:
        if (path / name).is_file():
            return path / name
    raise InputError(
        f"{path}: a folder without {' or '.join(BEST)}; give a run's folder, or a file"
    )


def save_model(model: ModuloNet, path: Path) -> None:
    """Write a network to a file, whole or not at all.

    Args:
        model: made by `build`.
        path: NAME.safetensors, which holds everything, or NAME.gz, an archive that
            dreem-learning-open (or, for parts that only it has, RobustSleepNet) loads.

    Raises:
        InputError: another suffix, a network that the format cannot hold, or a place that cannot
            be written.
    """
    if path.suffix == ".safetensors":
        content = _safetensors(model)
    elif path.suffix == ".gz":
        try:
            content = write_archive(network_to_reference(model))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        if model.temperature != 1:
            raise InputError(
                f"{path}: an archive cannot hold the model's temperature of {model.temperature:g}; "
                "write NAME.safetensors, or set the model's temperature to 1"
            )
    else:
        raise InputError(f"{path}: weights go to NAME.safetensors or NAME.gz")
    write_whole(path, content)


def store_temperature(path: Path, temperature: float) -> None:
    """Give a checkpoint of train.py a temperature; everything else in it stays as it is.

    Raises:
        InputError: the temperature is not believable, or the file cannot be written; what was
            there before is still there.
    """
    content = torch.load(path, weights_only=True)
    facts = json.loads(content[CHECKPOINT_KEY]) | {"temperature": _temperature(temperature)}
    whole = io.BytesIO()
    torch.save({**content, CHECKPOINT_KEY: json.dumps(facts)}, whole)
    write_whole(path, whole.getvalue())


def looks_like_safetensors(start: bytes, size: int) -> bool:
    """Whether a file of this size that starts so has the header of safetensors."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8


def require_state(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raise InputError unless the tensors are those expected: names, shapes, types, finite."""
    if missing := expected.keys() - found.keys():
        raise InputError(f"weight {min(missing)!r} is missing ({len(missing)} in all)")
    if unknown := found.keys() - expected.keys():
        raise InputError(f"weight {min(unknown)[:200]!r} is unknown ({len(unknown)} in all)")
    for name, weight in found.items():
        wanted = expected[name]
        if weight.shape != wanted.shape:
            raise InputError(
                f"weight {name!r} has shape {tuple(weight.shape)}, not {tuple(wanted.shape)}"
            )
        if weight.dtype != wanted.dtype:
            raise InputError(f"weight {name!r} is {weight.dtype}, not {wanted.dtype}")
        if not weight.isfinite().all():
            raise InputError(f"weight {name!r} holds numbers that are not finite")


def _from_checkpoint(path: Path) -> TrainedModel:
    try:
        with zipfile.ZipFile(path) as archive:
            require_plain_zip(archive, LARGEST_CHECKPOINT)
        content = torch.load(path, map_location="cpu", weights_only=True)
        facts = json.loads(content[CHECKPOINT_KEY])
        state = content["state_dict"]
        config, split, architecture = (facts[key] for key in ("config", "split", "architecture"))
        weights = {
            name.removeprefix(MODULE_PREFIX): value
            for name, value in state.items()
            if name.startswith(MODULE_PREFIX)
        }
        preparation, temperature = facts["preparation"], facts.get("temperature", 1.0)
        datasets = dict(facts.get("preparations", {}))
    except pickle.UnpicklingError as error:
        raise InputError(
            "holds more than weights and plain values, so it is not loaded; give a checkpoint "
            "that train.py wrote"
        ) from error
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"a damaged checkpoint: {one_line(error)[:200]}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"a checkpoint, but not of sleep_lab (no {CHECKPOINT_KEY!r} entry)"
        ) from error
    model = _filled(architecture, preparation, temperature, weights)
    return TrainedModel(
        model, config, split, {name: _preparation(facts) for name, facts in datasets.items()}
    )


def _from_safetensors(path: Path) -> ModuloNet:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[CHECKPOINT_KEY])
            names = file.keys()
            weights = {name: file.get_tensor(name) for name in names}
        version, architecture, preparation = (
            facts[key] for key in ("format", "architecture", "preparation")
        )
        temperature = facts.get("temperature", 1.0)
    except safetensors.SafetensorError as error:
        raise InputError(f"damaged safetensors: {one_line(error)[:200]}") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"a safetensors file, but not of sleep_lab (no {CHECKPOINT_KEY!r} in its metadata)"
        ) from error
    if version != FORMAT_VERSION:
        raise InputError(
            f"format {str(version)[:50]}, but this sleep_lab reads {FORMAT_VERSION}; update it"
        )
    return _filled(architecture, preparation, temperature, weights)


def _safetensors(model: ModuloNet) -> bytes:
    if model.architecture is None:
        raise InputError("the network was not made by build, so it cannot be saved")
    preparation = model.preparation and model.preparation.to_dict()
    facts = {
        "format": FORMAT_VERSION,
        "architecture": model.architecture,
        "preparation": preparation,
        "temperature": _temperature(model.temperature),
    }
    weights = {name: w.detach().cpu().contiguous() for name, w in model.state_dict().items()}
    return safetensors.torch.save(weights, {CHECKPOINT_KEY: json.dumps(facts)})


def _temperature(value: Any) -> float:
    lowest, highest = TEMPERATURES
    # nothing compares with nan
    if type(value) not in (int, float) or not lowest <= value <= highest:
        raise InputError(
            f"temperature is {str(value)[:20]}; it has to be a number from {lowest:g} to "
            f"{highest:g}"
        )
    return float(value)


def _filled(
    architecture: Any, preparation: Any, temperature: Any, weights: Mapping[str, Tensor]
) -> ModuloNet:
    """The network of our own description with these weights."""
    require_bounded(architecture, "architecture")
    if own_parts_only(architecture):
        require_state(_unfilled(architecture).state_dict(), weights)
    model = _with_weights(architecture, weights)
    model.temperature = _temperature(temperature)
    if preparation is not None:
        model.preparation = _preparation(preparation)
    return model


def _preparation(facts: Any) -> Preparation:
    require_bounded(facts, "preparation")
    try:
        return Preparation.from_dict(**facts)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"preparation: {one_line(error)[:200]}") from error


def _from_archive(path: Path) -> ModuloNet:
    if path.stat().st_size > LARGEST_ARCHIVE:
        raise InputError(f"larger than {LARGEST_ARCHIVE} bytes")
    archive = read_archive(path.read_bytes())
    dialect = dialect_of_net(archive.net)
    beside = path.with_name(DESCRIPTION)
    description = None
    if beside.is_file():
        try:
            with beside.open("rb") as file:
                facts = read_json(file.read(LARGEST_JSON + 1), DESCRIPTION)
            description = read_description(facts, dialect)
        except InputError as error:
            raise InputError(f"{DESCRIPTION} beside it: {error}") from error
    network = network_from_reference(archive, description.context if description else None)
    require_bounded(network.architecture, "architecture")
    expected = _unfilled(network.architecture)
    require_state(state_in_reference(expected, dialect), archive.state)
    places = expected.state_dict()
    statistics = {
        name: broadcast(value, tuple(places[name].shape))
        for name, value in network.statistics.items()
    }
    weights = weights_from_reference(archive.state, dialect) | statistics
    model = _with_weights(network.architecture, weights)
    _require_triangles(model, archive.state, dialect)
    if description is not None:
        _require_channels(model, description.preparation)
        model.preparation = description.preparation
    return model


def _built(architecture: Any) -> ModuloNet:
    require_parts(architecture)
    try:
        return build(architecture)
    except (
        *(TypeError, ValueError, KeyError, AttributeError, ArithmeticError),
        *(RuntimeError, MemoryError),
    ) as error:
        raise InputError(f"the architecture cannot be built: {one_line(error)[:200]}") from error


def _unfilled(architecture: Any) -> ModuloNet:
    """The network without memory for its weights, which may be more than the file's."""
    with torch.device("meta"):
        return _built(architecture)


def _with_weights(architecture: Any, weights: Mapping[str, Tensor]) -> ModuloNet:
    model = _built(architecture)
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise InputError(f"weights do not fit the architecture: {one_line(error)}") from error
    return model.eval()


def _require_triangles(model: ModuloNet, state: Mapping[str, Tensor], dialect: Dialect) -> None:
    """The fixed filters of SeqSleepNet, which an archive also holds, are computed here."""
    for name, ours in state_in_reference(model, dialect).items():
        if name.endswith(TRIANGLES) and not torch.allclose(state[name], ours, atol=1e-6):
            raise InputError(f"weight {name!r} holds other filters than those computed here")


def _require_channels(model: ModuloNet, preparation: Preparation) -> None:
    described = {name: group.width for name, group in preparation.groups.items()}
    wanted = {name: group.channels for name, group in model.groups.items()}
    if described != wanted:
        raise InputError(
            f"{DESCRIPTION} beside it prepares channels {described}, the network wants {wanted}"
        )
    if missing := model.features.keys() - preparation.features.keys():
        raise InputError(f"{DESCRIPTION} beside it has no feature {', '.join(sorted(missing))}")
