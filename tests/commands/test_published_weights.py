"""Staging with weights that others have trained, as the README's first commands do."""

import csv
import json

import numpy as np
import pytest

from sleep_lab.commands.evaluate import main as evaluate_main
from sleep_lab.models import ModuloNet
from sleep_lab.recordings import simulated_nights, write_h5
from tests.shared import SHARED, needs_shared

ROBUST = SHARED / "pretrained" / "robust_sleep_net_dodh"
SIMPLE = SHARED / "pretrained" / "simple_sleep_net_dodh"
SLEEP_EDF = SHARED / "recordings" / "sleep_edf"
DODH = [
    *("C3_M2", "F4_M1", "F3_F4", "F3_M2", "F4_O2", "F3_O1"),
    *("FP1_F3", "FP1_M2", "FP1_O1", "FP2_F4", "FP2_M1", "FP2_O2"),
    *("EMG", "ECG", "EOG1", "EOG2"),
]


def hypnodensity(path):
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(v) for k, v in row.items() if k.startswith("p_")] for row in rows])


@needs_shared
def test_robust_sleep_net_stages_the_real_night_as_its_authors_did(command, tmp_path):
    outcome = command(
        evaluate_main,
        f"model={ROBUST / 'best_model.gz'}",
        "data=sleep_edf",
        f"data.folder={SLEEP_EDF}",
        "hydra.run.dir=out",
    )
    assert outcome.status == 0, outcome.error
    pooled = json.loads((tmp_path / "out" / "metrics.json").read_text())["pooled"]
    assert pooled["scored"] == 840
    assert pooled["accuracy"] == pytest.approx(743 / 840, abs=1e-12)
    assert pooled["cohen_kappa"] == pytest.approx(0.8494549, abs=1e-7)
    assert pooled["weighted_f1"] == pytest.approx(0.8846478, abs=1e-7)
    assert pooled["macro_f1"] == pytest.approx(0.8577100, abs=1e-7)
    golden = np.load(SHARED / "golden" / "robust_sleep_net_sc4001.npz")
    staged = hypnodensity(tmp_path / "out" / "hypnograms" / "SC4001E0.csv")
    np.testing.assert_allclose(staged, golden["probabilities"], atol=1e-5)
    np.testing.assert_array_equal(staged.argmax(1), golden["stages"])
    log = next((tmp_path / "out").glob("*.log")).read_text()
    assert "group eeg: EEG Fpz-Cz, EEG Pz-Oz, EOG horizontal (SC4001E0)" in log


@needs_shared
def test_the_bare_recording_is_staged_whole_with_any_eeg_and_eog(command, tmp_path):
    outcome = command(
        evaluate_main,
        f"model={ROBUST}",
        f"recordings=[{SLEEP_EDF / 'SC4001E0-PSG.edf'}]",
        "hydra.run.dir=out",
    )
    assert outcome.status == 0, outcome.error
    staged = hypnodensity(tmp_path / "out" / "hypnograms" / "SC4001E0-PSG.csv")
    assert staged.shape == (2650, 5)
    assert (tmp_path / "out" / "plots" / "SC4001E0-PSG.png").stat().st_size > 10_000
    assert not (tmp_path / "out" / "metrics.json").exists()
    # its night is the one that is staged alone, but for what the day does to the signals' scale
    golden = np.load(SHARED / "golden" / "robust_sleep_net_sc4001.npz")
    night = staged[961:1801].argmax(1)
    assert (night == golden["stages"]).mean() > 0.95


@pytest.fixture
def dodh_night(tmp_path):
    """A night with the sixteen signals of DOD-H, under names of our choice."""

    def written(name, names):
        simulated = ["C3-M2", "F4-M1", "F3-F4", "F3-M2", "F4-O2", "F3-O1", "FP1-F3", "FP1-M2"]
        simulated += ["FP1-O1", "FP2-F4", "FP2-M1", "FP2-O2", "EMG", "ECG", "E1-M2", "E2-M2"]
        night = simulated_nights(1, 0.3, 128, simulated, seed=4)[0].open()
        channels = tuple(
            channel.__class__(new, channel.kind, channel.sampling_rate, channel.samples)
            for channel, new in zip(night.channels, names, strict=True)
        )
        object.__setattr__(night, "channels", channels)
        write_h5(night, tmp_path / name)
        return tmp_path / name

    return written


@needs_shared
def test_channels_are_found_by_what_the_field_calls_them_and_the_run_says_so(
    command, tmp_path, dodh_night
):
    exact = dodh_night("exact.h5", DODH)
    other = [name.replace("_", "-") for name in DODH]
    other[0], other[12], other[14], other[15] = "EEG C3-A2", "EMG chin", "LOC", "ROC"
    renamed = dodh_night("renamed.h5", other)
    outcome = command(
        evaluate_main, f"model={SIMPLE}", f"recordings=[{exact},{renamed}]", "hydra.run.dir=out"
    )
    assert outcome.status == 0, outcome.error
    folder = tmp_path / "out" / "hypnograms"
    np.testing.assert_array_equal(
        hypnodensity(folder / "exact.csv"), hypnodensity(folder / "renamed.csv")
    )
    log = next((tmp_path / "out").glob("*.log")).read_text()
    assert f"group eeg: {', '.join(DODH)} (exact)" in log
    assert "group eeg: EEG C3-A2, F4-M1," in log


@needs_shared
def test_a_channel_that_is_not_there_is_an_error_that_lists_those_that_are(command):
    outcome = command(
        evaluate_main, f"model={SIMPLE}", f"recordings=[{SLEEP_EDF / 'SC4001E0-PSG.edf'}]"
    )
    assert outcome.status == 2
    assert "no channel 'C3_M2'" in outcome.last_line
    assert "EEG Fpz-Cz" in outcome.last_line


def test_several_models_average_their_hypnodensities(workplace, command, tmp_path):
    from sleep_lab.commands.train import main as train_main
    from tests.conftest import SMALL

    shared = f"paths.prepared={workplace / 'prepared'}"
    first = workplace / "runs" / "small"
    other = command(train_main, *SMALL, shared, "reducer=max_pool", "hydra.run.dir=other")
    assert other.status == 0, other.error
    staged = {}
    for name, model in {
        "first": first,
        "second": tmp_path / "other",
        "both": f"[{first},{tmp_path / 'other'}]",
    }.items():
        outcome = command(evaluate_main, f"model={model}", shared, f"hydra.run.dir={name}")
        assert outcome.status == 0, outcome.error
        (path,) = (tmp_path / name / "hypnograms").glob("*.csv")
        staged[name] = hypnodensity(path)
    assert not np.allclose(staged["first"], staged["second"], atol=1e-3)
    mean = (staged["first"] + staged["second"]) / 2
    np.testing.assert_allclose(staged["both"], mean, atol=1e-6)


def test_models_with_other_test_nights_are_not_averaged_over_them(workplace, command, tmp_path):
    from sleep_lab.commands.train import main as train_main
    from tests.conftest import SMALL

    shared = f"paths.prepared={workplace / 'prepared'}"
    other = command(train_main, *SMALL, shared, "split.seed=5", "hydra.run.dir=other")
    assert other.status == 0, other.error
    models = f"model=[{workplace / 'runs' / 'small'},{tmp_path / 'other'}]"
    outcome = command(evaluate_main, models, shared)
    assert outcome.status == 2
    assert "the models stage different nights" in outcome.last_line
    assert "give data=... or recordings=[...]" in outcome.last_line


def test_a_saved_model_stages_as_the_run_that_it_came_from(workplace, command, tmp_path):
    run = workplace / "runs" / "small"
    ModuloNet.load(run / "checkpoints" / "best.ckpt").save(tmp_path / "mine.safetensors")
    night = simulated_nights(1, 0.25, 64, ["C3-M2", "E1-M2"], seed=9)[0].open()
    write_h5(night, tmp_path / "new.h5")
    for model, folder in ((run, "a"), ("mine.safetensors", "b")):
        outcome = command(
            evaluate_main, f"model={model}", "recordings=[new.h5]", f"hydra.run.dir={folder}"
        )
        assert outcome.status == 0, outcome.error
    a, b = (tmp_path / folder / "hypnograms" / "new.csv" for folder in ("a", "b"))
    assert a.read_bytes() == b.read_bytes()
    alone = command(evaluate_main, "model=mine.safetensors")
    assert alone.status == 2
    assert "has no nights of its own: say what to stage with recordings=" in alone.last_line
