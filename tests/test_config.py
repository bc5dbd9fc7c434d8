"""The config: every option of every group composes and builds, and is described."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

import sleep_lab.conf
from sleep_lab.commands.train import build_trainer, require_sense
from sleep_lab.data import Context
from sleep_lab.datasets import datasets_of
from sleep_lab.errors import InputError
from sleep_lab.experiment import architecture_of, plain, preparation_of
from sleep_lab.instantiation import instantiate
from sleep_lab.models import build, fit_standardization
from sleep_lab.preparation import PreparedNight
from sleep_lab.preparation.prepared_night import PreparedGroup
from tests.nights import recording

CONF = Path(next(iter(sleep_lab.conf.__path__)))
GROUPS = sorted(
    path.relative_to(CONF).as_posix()
    for path in (*CONF.iterdir(), *(CONF / "hydra").iterdir())
    if path.is_dir() and path.name[0] != "_" and path != CONF / "hydra"
)
OPTIONS = [
    (group, path.relative_to(CONF / group).with_suffix("").as_posix())
    for group in GROUPS
    for path in sorted((CONF / group).rglob("*.yaml"))
]
FEATURES_ALONE = ["data.folder=table.npz", "preparation=features_only", "encoder=none"]
TABLE = ["data=feature_table", *FEATURES_ALONE]
MASS = [option for _, option in OPTIONS if option.startswith("paper/mass")]
GIVEN = {
    **{("data", name): ["data.folder=somewhere"] for name in ("sleep_edf", "dodh", "dodo", "mass")},
    ("data", "h5_folder"): ["data.folder=somewhere", "data.channels=[A,B]"],
    ("data", "edf_folder"): ["data.folder=somewhere", "data.montage.psg=[A,B]"],
    ("data", "feature_table"): [*FEATURES_ALONE, "features=table"],
    ("features", "table"): TABLE,
    ("features", "table_raw"): [*TABLE, "features_normalizer=standardization"],
    ("experiment", "sleep_edf_band_powers"): ["data.folder=table.npz"],
    ("experiment", "feature_table"): ["data.folder=table.npz"],
    ("data", "dodh_and_dodo"): [f"data.datasets.{name}.folder=there" for name in ("dodh", "dodo")],
    ("data", "several"): ["+data@data.datasets.a=simulated", "+data@data.datasets.b=simulated"],
    ("experiment", "paper/learning_curve"): ["split.training_nights=4"],
    ("experiment", "paper/transfer"): ["data=simulated_datasets"],
    **{("experiment", mass): ["data.folder=somewhere"] for mass in MASS},
    ("split", "learning_curve"): ["split.training_nights=4"],
    ("split", "from_file"): ["split.file=split.json"],
    ("split", "named"): ["split.train=[a]", "split.validation=[b]", "split.test=[c]"],
    ("logger", "wandb"): ["logger.wandb.save_dir=."],
    ("encoder", "deep_sleep"): ["normalizer=raw"],
    ("encoder", "chambon"): ["normalizer=raw", "reducer=flatten"],
    ("encoder", "tsinalis"): ["normalizer=raw"],
    ("encoder", "none"): ["data.montage.psg=null"],
    ("encoder", "robust_sleep"): ["normalizer=robust"],
    ("normalizer", "raw"): ["encoder=deep_sleep"],
    ("normalizer", "raw_unclipped"): ["encoder=deep_sleep"],
    ("sequence_encoder", "flatten"): ["output=centre"],
    ("preparation", "features_only"): ["data.montage.psg=null", "encoder=none"],
}
"""What only the user knows, and what an option cannot do without."""


def composed(*overrides, name="train"):
    with initialize_config_module("sleep_lab.conf", version_base=None):
        config = compose(name, list(overrides), return_hydra_config=True)
    # the callbacks and loggers write into the run's folder
    OmegaConf.set_readonly(config.hydra, False)
    config.hydra.runtime.output_dir = "folder"
    config.hydra.job.num = 0
    HydraConfig.instance().set_config(config)
    return OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])


def facts_of_a_night(config):
    """A night as this config would prepare it, without its files."""
    preparation = preparation_of(config)
    channels = {name for group in preparation.groups for name in preparation.channels(group)}
    for feature in preparation.features.values():
        channels |= set(getattr(feature, "channels", ()) or ())
    night = recording(4, rate=100.0, names=tuple(sorted(channels)))
    (data, *_) = (own.data for own in datasets_of(config).values())
    if data.nights._target_.endswith("feature_tables"):
        night = recording(4, rate=1 / 30, names=("delta", "alpha"))
    widths = {name: feature(night, 0).shape[1] for name, feature in preparation.features.items()}
    rate = float(config.preparation.get("sampling_rate", 0))
    groups = {
        name: PreparedGroup(tuple(map(str, range(group.width))), rate)
        for name, group in preparation.groups.items()
    }
    return PreparedNight(Path(), "night", "person", 4, 0, groups, widths, 0, None, True)


def built(config):
    """The config's model with its normalizers fitted on noise, and a batch for it."""
    night = facts_of_a_night(config)
    context: Context = instantiate(config.context)
    model = build(architecture_of(config, context, night))
    signals = {
        name: torch.randn(2, context.sequence, group.channels, group.samples) * 30
        for name, group in model.groups.items()
    }
    epochs = {name: signal.flatten(0, 1) for name, signal in signals.items()}
    fit_standardization(model.normalizers, [epochs])
    features = {
        name: torch.rand(2, context.sequence, width) for name, width in model.features.items()
    }
    if features:
        joined = torch.cat(list(features.values()), dim=-1).flatten(0, 1).unsqueeze(-1)
        fit_standardization({"features": model.features_normalizer}, [{"features": joined}])
    return model, signals, features


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda part: part)
def test_every_option_composes_and_builds_the_model_and_all_around_it(
    group, option, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    arrays = {"features": np.zeros((4, 2)), "stages": np.zeros(4, int)}
    columns = np.array(["delta", "alpha"])
    np.savez("table.npz", **{f"12345/{name}": a for name, a in arrays.items()}, columns=columns)
    config = composed(f"{group}={option}", *GIVEN.get((group, option), []))
    require_sense(config)
    model, signals, features = built(config)
    logits = model(signals, features)
    predicted = 1 if config.output == "centre" else instantiate(config.context).sequence
    assert logits.shape == (2, predicted, 5)
    stages = torch.randint(-1, 5, (2 * predicted,))
    stages[0] = 2
    instantiate(config.loss)(logits.flatten(0, 1), stages).backward()
    if config.get("penalty"):
        assert instantiate(config.penalty)(model.named_parameters()) > 0
    optimizer = instantiate(config.optimizer)(model.parameters())
    if config.get("scheduler"):
        instantiate(config.scheduler)(optimizer)
    split = instantiate(config.split)
    assert callable(split)
    if config.get("augmentation"):
        augmentation = instantiate(config.augmentation)
        if callable(augmentation):
            augmentation(signals, torch.Generator())
    if config.trainer.accelerator in ("auto", "cpu"):
        trainer = build_trainer(OmegaConf.create({**plain(config), "logger": {}}))
        assert trainer.checkpoint_callback.monitor == config.monitor


@pytest.mark.parametrize(
    ("overrides", "remedy"),
    [
        (["normalizer=raw"], "set normalizer=spectrogram"),
        (["encoder=deep_sleep"], "set normalizer=raw"),
        (["encoder=chambon", "normalizer=raw"], "set reducer=flatten"),
        (["encoder=deep_sleep", "normalizer=raw", "context=concatenated"], "context=sequential"),
    ],
)
def test_options_that_do_not_fit_each_other_are_refused_with_what_to_type(overrides, remedy):
    with pytest.raises(InputError, match=remedy):
        built(composed(*overrides))


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda part: part)
def test_every_option_says_what_it_is(group, option):
    text = (CONF / group / f"{option}.yaml").read_text().removeprefix("# @package _global_\n")
    assert text.startswith("# ")


def test_the_context_and_the_sampling_rate_are_typed_once():
    config = composed("context.length=9", "preparation.sampling_rate=50")
    assert preparation_of(config).groups["psg"].processings[1].sampling_rate == 50
    model, _, _ = built(config)
    assert model.context == 9
    assert model.groups["psg"].samples == 1500


@pytest.mark.parametrize("accelerator", ["gpu", "mps"])
def test_an_accelerator_that_is_not_here_is_an_error_of_one_line(accelerator):
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("it is here")
    with pytest.raises(InputError, match=r"cannot build pytorch_lightning\.Trainer: .*") as error:
        build_trainer(composed(f"trainer={accelerator}", "logger=none"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=-1", "seed is a whole number from 0 on, not -1"),
        ("loader.batch_size=many", "loader.batch_size is a whole number from 1 on, not 'many'"),
        ("combine=median", "combine=median: .*available: geometric, arithmetic, vote"),
        ("monitor=val/acuracy", "did you mean 'val/accuracy'"),
        ("monitor=val/loss", "set monitor_mode=min"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_before_training(override, message):
    with pytest.raises(InputError, match=message):
        require_sense(composed(override))
