"""The published experiments: on every dataset, with the reference's sizes, and they train."""

import json
import re
import shlex
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from sleep_lab.commands.train import main as train_main
from sleep_lab.commands.train import require_sense
from sleep_lab.data.parts import PARTS
from sleep_lab.experiment import architecture_of, preparation_of
from sleep_lab.instantiation import instantiate
from sleep_lab.models import build
from sleep_lab.models.normalizers import ClipAndScale
from tests.shared import SHARED, needs_shared
from tests.test_config import CONF, composed, facts_of_a_night

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
SIX = (
    "simple_sleep_net",
    "seq_sleep_net",
    "deep_sleep_net",
    "chambon",
    "tsinalis",
    "mixed_neural_network",
)
FAMILIES = (
    "base_models",
    "ablations",
    "model_sizes",
    "temporal_context",
    "learning_curve",
    "transfer",
    "training_duration",
    "mass",
    "leave_one_dataset_out",
)
PAPER = CONF / "experiment" / "paper"
EXPERIMENTS = sorted({path.stem for path in PAPER.glob("*.yaml")} - set(FAMILIES))
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
    "context.length=3",
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


@pytest.mark.parametrize("name", SIX)
def test_on_mass_the_networks_are_as_published_for_mass(name):
    config = of(f"mass/{name}", "mass")
    require_sense(config)
    model = network(config)
    if name == "mixed_neural_network":
        assert not model.groups
        return
    assert model.groups["psg"].channels == 5
    clips = any(isinstance(step, ClipAndScale) for step in model.normalizers["psg"])
    assert clips == (name == "seq_sleep_net")
    assert config.context.length == (3 if name == "tsinalis" else 21)
    penalty = {"seq_sleep_net": 1e-3, "deep_sleep_net": 1e-4, "tsinalis": 1e-3}.get(name)
    assert (config.penalty.l2 if config.get("penalty") else None) == penalty
    if name == "simple_sleep_net":
        assert (config.encoder.hidden, config.sequence_encoder.hidden) == (50, 50)
        assert not model.features


def jobs_of(*words):
    """{key: value} of each job that Hydra's own sweeper makes of a command line."""
    parser = OverridesParser.create()
    told = parser.parse_overrides(list(words))
    with initialize_config_module("sleep_lab.conf", version_base=None):
        alone = [override.input_line for override in told if not override.is_sweep_override()]
        config = compose("train", alone, return_hydra_config=True)
    params = (config.hydra.sweeper.get("params") or {}).items()
    swept = parser.parse_overrides([f"{key}={value}" for key, value in params])
    (jobs,) = BasicSweeper.split_arguments([*swept, *told], max_batch_size=None)
    return [dict(override.split("=", 1) for override in job) for job in jobs]


def config_of(job):
    return composed(*(f"{key}={value}" for key, value in job.items()))


def swept(jobs, *keys):
    """How often each combination of the keys' values is among the jobs."""
    return Counter(tuple(job[key] for key in keys) for job in jobs)


def each_once(*values):
    return Counter(product(*([str(value) for value in some] for some in values)))


def in_folder(data):
    return [f"data={data}", "data.folder=somewhere"]


FEW = [word for word in SMALL if not word.startswith("data.")]
DATASETS_MADE_UP = {"first", "second", "third"}
THREE_DATASETS = [*FEW, "data=simulated_datasets", "data.people=2", "data.hours=0.25"]
TWO_FOLDERS = [f"data.datasets.{name}.folder=somewhere" for name in ("dodh", "dodo")]


def test_the_contexts_are_every_odd_number_of_sleep_epochs_up_to_21():
    jobs = jobs_of("experiment=paper/temporal_context")
    assert swept(jobs, "context.length") == each_once(range(1, 22, 2))
    assert [network(config_of(job)).context for job in (jobs[0], jobs[-1])] == [1, 21]


@pytest.mark.parametrize(
    ("data", "sizes", "people"),
    [
        ("dodh", [1, 2, 3, 5, 7, 9, 12, 15, 19], 3),
        ("dodo", [1, 2, 3, 5, 7, 9, 12, 15, 19, 25, 30, 40], 5),
    ],
)
def test_the_learning_curve_has_the_reference_s_sizes_20_times_each(data, sizes, people):
    jobs = jobs_of("experiment=paper/learning_curve", *in_folder(data))
    assert swept(jobs, "split.training_nights", "split.trial") == each_once(sizes, range(20))
    split = config_of(jobs[-1]).split
    assert (split.training_nights, split.trial) == (sizes[-1], 19)
    assert (split.validation, split.test) == (people, people)


def test_transfer_goes_both_ways_20_times_over_the_eight_signals_of_both():
    jobs = jobs_of("experiment=paper/transfer", *TWO_FOLDERS)
    assert swept(jobs, "split.train_on", "split.trial") == each_once(["dodh", "dodo"], range(20))
    config = config_of(jobs[-1])
    assert (config.split.train_on, config.split.test_on) == ("dodo", None)
    assert config.split.validation == 0.3
    shared = {"C3_M2", "F3_F4", "F3_M2", "F4_O2", "F3_O1", "EMG", "EOG1", "EOG2"}
    for name in ("dodh", "dodo"):
        assert set(config.data.datasets[name].montage.psg) == shared
    assert set(preparation_of(config).channels("psg")) == shared


def test_every_dataset_is_left_out_once():
    jobs = jobs_of("experiment=paper/leave_one_dataset_out")
    assert swept(jobs, "split.test_on") == each_once(DATASETS_MADE_UP)
    jobs = jobs_of("experiment=paper/leave_one_dataset_out", "data=dodh_and_dodo", *TWO_FOLDERS)
    assert swept(jobs, "split.test_on") == each_once(["dodh", "dodo"])


@pytest.mark.parametrize(
    ("family", "experiments"),
    [
        ("base_models", SIX),
        (
            "ablations",
            [
                "average_pooling",
                "no_channel_recombination",
                "no_frequency_reduction",
                "no_positional_features",
                "no_skip_connection",
                "single_gru_layer",
            ],
        ),
        ("model_sizes", ["model_size_small", "model_size_medium", "model_size_large"]),
        ("training_duration", SIX),
    ],
)
def test_a_family_of_networks_is_their_experiments_and_nothing_else(family, experiments):
    jobs = jobs_of(f"experiment=paper/{family}")
    assert swept(jobs, "experiment/paper") == each_once(experiments)
    for job in (jobs[0], jobs[-1]):
        config, alone = config_of(job), of(job["experiment/paper"], "simulated")
        if family == "training_duration":
            assert (config.trainer.max_epochs, config.split.validation) == (2, 0.05)
            assert config.split.test == 0.25
            alone.trainer, alone.split = config.trainer, config.split
        assert config == alone


def test_mass_is_its_six_experiments_in_31_folds():
    jobs = jobs_of("experiment=paper/mass", "data.folder=somewhere")
    assert swept(jobs, "experiment/paper/mass", "split.fold") == each_once(SIX, range(31))
    config, alone = config_of(jobs[-1]), of(f"mass/{SIX[-1]}", "mass")
    assert (config.split.folds, config.split.fold) == (31, 30)
    alone.split = config.split
    assert config == alone


def test_the_commands_of_the_readme_run_as_many_jobs_as_the_paper_has():
    rows = re.findall(
        r"^\| `(paper/\w+)` `([^`]* [^`]*|data.folder=PATH)` \|", README, re.MULTILINE
    )
    numbers = {}
    for experiment, words in rows:
        if "..." not in words:
            told = [word for word in shlex.split(words) if word != "-m"]
            jobs = jobs_of(f"experiment={experiment}", *told)
            numbers[experiment, told[0]] = len(jobs)
            config_of(jobs[-1])
    assert numbers == {
        ("paper/base_models", "data=dodh"): 6 * 25,
        ("paper/base_models", "data=dodo"): 6 * 10,
        ("paper/mass", "data.folder=PATH"): 6 * 31,
        ("paper/ablations", "data=dodh"): 6 * 25,
        ("paper/model_sizes", "data=dodh"): 3 * 25,
        ("paper/temporal_context", "data=dodh"): 11 * 25,
        ("paper/single_channel", "data=dodh"): 25,
        ("paper/learning_curve", "data=dodh"): 9 * 20,
        ("paper/transfer", "data.datasets.dodh.folder=PATH"): 2 * 20,
        ("paper/training_duration", "data=dodh"): 6,
    }


def test_what_is_typed_wins_over_what_a_family_goes_through():
    jobs = jobs_of("experiment=paper/learning_curve", "split.trial=7", "split.training_nights=2,9")
    assert swept(jobs, "split.training_nights", "split.trial") == each_once([2, 9], [7])
    (job,) = jobs_of("experiment=paper/base_models", "experiment/paper=chambon")
    assert config_of(job) == of("chambon", "simulated")


@pytest.fixture
def two_jobs(command, tmp_path):
    """Trains a family cut to two jobs; gives what each job's `split.json` and metrics say."""

    def run(family, *words):
        words = [f"experiment=paper/{family}", *words, "hydra.sweep.dir=sweep"]
        outcome = command(train_main, *words)
        assert outcome.status == 0, outcome.error
        folders = [path for path in (tmp_path / "sweep").iterdir() if path.is_dir()]
        assert sorted(folder.name for folder in folders) == ["0", "1"]
        for folder in sorted(folders):
            split = json.loads((folder / "split.json").read_text())
            metrics = json.loads((folder / "metrics.json").read_text())
            assert sorted(metrics["nights"]) == [part["night"] for part in split["test"]]
            yield {name: {part["night"] for part in split[name]} for name in PARTS}, metrics

    return run


def test_the_learning_curve_trains_on_ever_more_nights_and_is_tested_on_the_same(two_jobs):
    people = [f"data.learning_curve.{part}=1" for part in ("validation", "test")]
    sizes = ["split.training_nights=1,2", "split.trial=3"]
    (one, _), (two, _) = two_jobs("learning_curve", *SMALL, *people, *sizes)
    assert (len(one["train"]), len(two["train"])) == (1, 2)
    assert one["train"] < two["train"]
    assert one["test"] == two["test"]


def test_transfer_is_tested_on_the_datasets_that_it_was_not_trained_on(two_jobs):
    jobs = two_jobs("transfer", *THREE_DATASETS, "split.train_on=first,second", "split.trial=0")
    for dataset, (split, metrics) in zip(("first", "second"), jobs, strict=True):
        learnt = split["train"] | split["validation"]
        assert {night.partition("-")[0] for night in learnt} == {dataset}
        tested = {night.partition("-")[0] for night in metrics["nights"]}
        assert tested == DATASETS_MADE_UP - {dataset}


def test_a_dataset_that_is_left_out_is_what_robust_sleep_net_is_tested_on(two_jobs):
    jobs = two_jobs("leave_one_dataset_out", *THREE_DATASETS, "split.test_on=first,third")
    for dataset, (split, metrics) in zip(("first", "third"), jobs, strict=True):
        assert {night.partition("-")[0] for night in metrics["nights"]} == {dataset}
        learnt = split["train"] | split["validation"]
        assert {night.partition("-")[0] for night in learnt} == DATASETS_MADE_UP - {dataset}


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("temporal_context", ["context.length=1,3"]),
        ("training_duration", ["experiment/paper=simple_sleep_net,mixed_neural_network"]),
        (
            "mass",
            ["experiment/paper/mass=simple_sleep_net,tsinalis", "split.folds=4", "split.fold=3"],
        ),
    ],
)
def test_every_other_family_trains(family, words, two_jobs):
    for _, metrics in two_jobs(family, "data=simulated", *SMALL, *words):
        assert metrics["pooled"]["scored"] > 0
