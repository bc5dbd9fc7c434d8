"""`start.weights=...`: runs that begin with the weights of another, or with published ones."""

import csv
import json
import shutil

import pytest
import torch

from sleep_lab.commands.train import main as train_main
from sleep_lab.models import ModuloNet
from tests.commands.test_survival import finish, start, when
from tests.conftest import SMALL
from tests.shared import SHARED, needs_shared

ROBUST = SHARED / "pretrained" / "robust_sleep_net_dodh"
SIMPLE = SHARED / "pretrained" / "simple_sleep_net_dodh"
SLEEP_EDF = SHARED / "recordings" / "sleep_edf"
UNMOVED = ("optimizer.lr=1e-30",)
"""Steps too small for any weight to move."""


@pytest.fixture
def train(workplace, command):
    """Trains on the small run's nights, in the folder `out`."""

    def run(*options, folder="out"):
        shared = f"paths.prepared={workplace / 'prepared'}"
        return command(train_main, *SMALL, shared, f"hydra.run.dir={folder}", *options)

    return run


def losses(run):
    with (run / "curves" / "metrics.csv").open() as file:
        return [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]


def log_of(run):
    return (run / "train.log").read_text()


def refused(outcome, *said):
    assert outcome.status == 2
    assert outcome.last_line.startswith("error: ")
    for text in said:
        assert text in outcome.last_line


@pytest.mark.parametrize("kind", ["folder", "safetensors"])
def test_training_goes_on_at_the_loss_where_the_weights_were(workplace, train, tmp_path, kind):
    small = workplace / "runs" / "small"
    weights, file = small, small / "checkpoints" / "best.ckpt"
    if kind == "safetensors":
        weights = tmp_path / "mine.safetensors"
        ModuloNet.load(file).save(weights)
        file = weights
    outcome = train(f"start.weights={weights}", *UNMOVED)
    assert outcome.status == 0, outcome.error
    assert losses(tmp_path / "out") == pytest.approx(losses(small), abs=1e-6)
    assert log_of(tmp_path / "out").count(f"training begins with the weights of {file}") == 1


def test_frozen_parts_stay_in_the_runs_weights_and_its_log_says_how_many(
    workplace, train, tmp_path
):
    small = workplace / "runs" / "small"
    outcome = train(f"start.weights={small}", "start.freeze=[encoders]")
    assert outcome.status == 0, outcome.error
    before = ModuloNet.load(small / "checkpoints" / "best.ckpt")
    after = ModuloNet.load(tmp_path / "out" / "checkpoints" / "best.ckpt")
    names = [name for name, _ in before.named_parameters()]
    for name in names:
        same = torch.equal(before.get_parameter(name), after.get_parameter(name))
        assert same == name.startswith("encoders."), name
    frozen = sum(parameter.numel() for parameter in before.encoders.parameters())
    total = sum(parameter.numel() for parameter in before.parameters())
    assert f"{frozen} of {total} parameters are frozen" in log_of(tmp_path / "out")


def test_statistics_are_those_of_the_weights_or_of_the_training_nights(workplace, train, tmp_path):
    small = workplace / "runs" / "small"
    other = ("data.nights.seed=5", "paths.prepared=prepared", *UNMOVED)
    begins = {statistics: [f"start.statistics={statistics}"] for statistics in ("keep", "refit")}
    for folder, begin in {"scratch": [], **begins}.items():
        weights = [f"start.weights={small}"] if begin else []
        outcome = train(*other, *begin, *weights, folder=folder)
        assert outcome.status == 0, outcome.error
    theirs, scratch, kept, refitted = (
        ModuloNet.load(run / "checkpoints" / "best.ckpt").normalizers["psg"][2]
        for run in (small, *(tmp_path / name for name in ("scratch", "keep", "refit")))
    )
    assert not torch.equal(theirs.mean, scratch.mean)
    for begun, expected in ((kept, theirs), (refitted, scratch)):
        assert torch.equal(begun.mean, expected.mean)
        assert torch.equal(begun.std, expected.std)


@pytest.mark.slow
def test_a_run_that_goes_on_does_not_begin_again(workplace, tmp_path):
    small = workplace / "runs" / "small" / "checkpoints" / "best.ckpt"
    weights = tmp_path / "weights.ckpt"
    shutil.copy(small, weights)
    options = ("start.weights=weights.ckpt", "start.freeze=[encoders]")
    process = start(tmp_path, *options)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    when(process, last.is_file)
    process.kill()
    process.communicate()
    weights.unlink()
    log = finish(start(tmp_path, *options, "resume=true"))
    assert f"going on from {last}" in log
    before, after = (ModuloNet.load(file) for file in (small, last))
    for name, parameter in before.named_parameters():
        same = torch.equal(parameter, after.get_parameter(name))
        assert same == name.startswith("encoders."), name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["start.weights=no.ckpt"], ["no.ckpt: no such file of weights"]),
        (["start.weights=."], ["a folder without checkpoints/best.ckpt"]),
        (["start.freeze=[encoders]"], ["add start.weights=FILE_OR_RUN"]),
        (["start.weights=RUN", "start.freeze=[encoder]"], ["no parameter is called 'encoder'"]),
        (["start.weights=RUN", "start.freeze=['*']"], ["leaves nothing to train"]),
        (["start.weights=RUN", "encoder=seq_sleep"], ["set encoder=simple_sleep (now seq_sleep)"]),
        (
            ["start.weights=RUN", "encoder.hidden=8"],
            ["in the config's network; set encoder.hidden=25 (now 8)"],
        ),
        (
            ["start.weights=RUN", "data.channels=[C3-M2,E1-M2,O1-M2]", "paths.prepared=own"],
            ["the weights want 2 channels (C3-M2, E1-M2), the config has 3", "data.channels=[...]"],
        ),
        (
            ["start.weights=RUN", "preparation.sampling_rate=50", "paths.prepared=own"],
            ["want 100 Hz, the config prepares 50 Hz; type preparation.sampling_rate=100"],
        ),
    ],
    ids=lambda value: value[-1].partition("=[")[0] if isinstance(value, list) else None,
)
def test_what_does_not_fit_is_one_line_with_what_to_type(workplace, train, tmp_path, options, said):
    run = str(workplace / "runs" / "small")
    refused(train(*(option.replace("RUN", run) for option in options)), *said)
    assert not (tmp_path / "out").exists()


def test_weights_of_other_signals_keep_no_statistics(workplace, train):
    small = workplace / "runs" / "small"
    other = ["preparation.processings.0.zero_phase=true", "paths.prepared=own"]
    outcome = train(f"start.weights={small}", *other)
    refused(outcome, "Filter(zero_phase=False)", "Filter(zero_phase=True)", "statistics=refit")


@needs_shared
def test_published_weights_are_tuned_to_other_nights(workplace, command, tmp_path):
    outcome = command(
        train_main,
        *SMALL,
        "experiment=paper/robust_sleep_net",
        "data.eeg_and_eog=[C3-M2,E1-M2]",
        "context.length=21",
        "preparation.padding_s=900",
        f"start.weights={ROBUST}",
        "start.freeze=[encoders]",
        "hydra.run.dir=out",
    )
    assert outcome.status == 0, outcome.error
    before = ModuloNet.load(ROBUST / "best_model.gz")
    after = ModuloNet.load(tmp_path / "out" / "checkpoints" / "best.ckpt")
    for name, parameter in before.named_parameters():
        now = after.get_parameter(name.replace(".eeg.", ".psg."))
        assert torch.equal(parameter, now) == name.startswith("encoders."), name
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["pooled"]["scored"] == 30


@needs_shared
def test_published_weights_of_fixed_channels_say_which_they_want(train):
    refused(train(f"start.weights={SIMPLE}"), "want 16 channels (C3_M2, F4_M1,", "config has 2")


@needs_shared
@pytest.mark.slow
def test_published_weights_are_tuned_on_a_real_night(command, tmp_path):
    outcome = command(
        train_main,
        "data=sleep_edf",
        f"data.folder={SLEEP_EDF}",
        "split=within_recording",
        "experiment=paper/robust_sleep_net",
        "debug=fast",
        f"start.weights={ROBUST / 'best_model.gz'}",
        "start.train_only=[sequence_encoder,classifier]",
        *UNMOVED,
        "hydra.run.dir=out",
    )
    assert outcome.status == 0, outcome.error
    # its authors' weights have 88 % on the whole night
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["pooled"]["accuracy"] > 0.7
