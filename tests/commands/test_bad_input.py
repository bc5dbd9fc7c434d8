"""Bad input ends in one clear line, a status that is not 0, and nothing half-written."""

from dataclasses import replace

import edfio
import h5py
import numpy as np
import pytest

from sleep_lab.commands.evaluate import main as evaluate_main
from sleep_lab.commands.train import main as train_main
from sleep_lab.recordings import simulate, write_h5

CHANNELS = ("C3-M2", "E1-M2")
FAST = ("debug=fast", "context.length=5", "preparation.padding_s=60")


def night(number=0, hours=0.25):
    return simulate(
        id=f"night-{number}",
        person=f"person-{number}",
        seed=0,
        hours=hours,
        sampling_rate=64,
        channels=CHANNELS,
    )


@pytest.fixture
def nights(tmp_path):
    """A folder of four good nights."""
    folder = tmp_path / "nights"
    folder.mkdir()
    for number in range(4):
        write_h5(night(number), folder / f"night-{number}.h5")
    return folder


def h5_data(folder):
    return (
        "data=h5_folder",
        f"data.folder={folder}",
        "data.montage.psg=[C3-M2,E1-M2]",
        "paths.workers=1",
        *FAST,
    )


def left_behind(folder):
    """Files that a failed command must not leave: results, partial nights, the run's folder."""
    return [
        path
        for path in folder.rglob("*")
        if path.name in ("metrics.json", ".hydra", "best.ckpt") or path.suffix == ".partial"
    ]


def assert_refused(outcome, tmp_path, *said):
    assert outcome.status == 2
    assert outcome.last_line.startswith("error: ")
    assert "Traceback" not in outcome.error
    for words in said:
        assert words in outcome.last_line
    assert not left_behind(tmp_path)


def test_the_good_nights_are_good(command, nights, tmp_path):
    outcome = command(train_main, *h5_data(nights))
    assert outcome.status == 0, outcome.error


@pytest.mark.parametrize("data", ["sleep_edf", "h5_folder", "edf_folder"])
def test_a_wrong_path(command, tmp_path, data):
    montage = [] if data == "sleep_edf" else ["data.montage.psg=[A]"]
    outcome = command(train_main, f"data={data}", "data.folder=nowhere", *montage)
    assert_refused(outcome, tmp_path, "nowhere", "no such folder")


def test_a_path_that_was_not_given(command, tmp_path):
    outcome = command(train_main, "data=sleep_edf")
    assert_refused(outcome, tmp_path, "data.folder must be given: add data.folder=...")


def test_an_unknown_channel(command, nights, tmp_path):
    outcome = command(train_main, *h5_data(nights), "data.montage.psg=[C4-M2]")
    assert_refused(
        outcome, tmp_path, "night-0.h5", "no channel 'C4-M2'", "did you mean 'C3-M2'?", "E1-M2"
    )


def test_a_file_that_is_no_recording(command, nights, tmp_path):
    (nights / "night-2.h5").write_text("a diary, not a polysomnography")
    outcome = command(train_main, *h5_data(nights))
    assert_refused(outcome, tmp_path, "night-2.h5", "neither h5 nor EDF")


def test_an_edf_that_is_cut_off(command, tmp_path):
    signal = edfio.EdfSignal(
        np.random.default_rng(0).uniform(-50, 50, 6000),
        100,
        label="C3-M2",
        physical_dimension="uV",
    )
    (tmp_path / "edf").mkdir()
    path = tmp_path / "edf" / "a.edf"
    edfio.Edf([signal]).write(path)
    path.write_bytes(path.read_bytes()[:-4000])
    outcome = command(train_main, "data=edf_folder", "data.folder=edf", "data.montage.psg=[C3-M2]")
    assert_refused(outcome, tmp_path, "a.edf", "truncated")


@pytest.mark.parametrize("epochs", [20, 40])
def test_a_hypnogram_longer_or_shorter_than_the_signals(command, nights, tmp_path, epochs):
    with h5py.File(nights / "night-1.h5", "r+") as file:
        del file["hypnogram"]
        file["hypnogram"] = np.ones(epochs, dtype=np.int8)
    outcome = command(train_main, *h5_data(nights))
    assert_refused(
        outcome,
        tmp_path,
        "night-1.h5",
        f"the hypnogram has {epochs} epochs",
        "have 30 epochs",
        "data.length_mismatch=cut",
    )
    cut = command(train_main, *h5_data(nights), "data.length_mismatch=cut")
    assert cut.status == 0, cut.error


@pytest.mark.parametrize(
    ("value", "said"),
    [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), ("flat", "is flat")],
)
def test_samples_that_mean_nothing(command, nights, tmp_path, value, said):
    with h5py.File(nights / "night-3.h5", "r+") as file:
        name = next(n for n in ("signals/eog/E1-M2",) if n in file)
        samples = file[name][:]
        if value == "flat":
            samples[:] = 1.0
        else:
            samples[500] = value
        file[name][:] = samples
    outcome = command(train_main, *h5_data(nights))
    assert_refused(outcome, tmp_path, "night-3.h5", "channel 'E1-M2'", said, "data.montage")
    skipped = command(train_main, *h5_data(nights), "skip_bad_nights=true")
    assert skipped.status == 0, skipped.error


def test_a_night_shorter_than_the_context(command, nights, tmp_path):
    outcome = command(train_main, *h5_data(nights), "context.length=31")
    assert_refused(
        outcome,
        tmp_path,
        "night 'night-",
        "30 sleep epochs, fewer than the context's 31",
        "context.length",
    )


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("encoder=simple_slep", "simple_sleep"),
        ("encoder.hiden=3", "There is no encoder.hiden: did you mean 'hidden'?"),
        ("reducr=attention", "There is no reducr: did you mean 'reducer'?"),
        ("optimizer.lr=-3", "optimizer or scheduler: Invalid learning rate: -3"),
        ("context.mode=both", "context.mode is sequential or concatenated, not 'both'"),
        ("combine=median", "available: geometric, arithmetic, vote"),
        ("normalizer=raw", "set normalizer=spectrogram"),
        ("loader.batch_size=0", "loader.batch_size is a whole number from 1 on"),
        ("trainer.max_epochs=many", "trainer.max_epochs is a whole number from 1 on"),
        ("trainer.precision=wide", "cannot build pytorch_lightning.Trainer"),
        ("split.test=0.9", "split.test"),
        ("split.test=1.5", "split.test is a share of the people below 1, or a whole number of"),
        ("resume=no", "resume is true or false, not 'no'"),
        ("skip_bad_nights=yes_please", "skip_bad_nights is true or false, not 'yes_please'"),
        ("temperature_scaling=1", "temperature_scaling is true or false, not 1"),
        ("start.weights=5", "start.weights is one path, or null for none, not 5"),
        ("data=named[", "data=named["),
    ],
)
def test_an_unknown_config_value(command, nights, tmp_path, override, said):
    outcome = command(train_main, *h5_data(nights), override)
    assert_refused(outcome, tmp_path, said)


def test_a_checkpoint_of_another_montage(workplace, command, nights, tmp_path):
    model = f"model={workplace / 'runs/small'}"
    data = ("data=h5_folder", f"data.folder={nights}", "data.montage.psg=[C3-M2]")
    outcome = command(evaluate_main, model, *data)
    assert_refused(outcome, tmp_path, "the model wants 2 channels (C3-M2, E1-M2), not 1 (C3-M2)")
    other = replace(
        night(7),
        channels=tuple(
            replace(channel, name=name)
            for channel, name in zip(night(7).channels, ("Fpz-Cz", "Pz-Oz"), strict=True)
        ),
    )
    write_h5(other, tmp_path / "other.h5")
    outcome = command(evaluate_main, model, "recordings=[other.h5]")
    assert_refused(outcome, tmp_path, "other.h5", "no channel 'C3-M2'", "Fpz-Cz, Pz-Oz")
    outcome = command(evaluate_main, model, "recordings=[other.h5]", "+montage.psg=[Fpz-Cz,Pz-Oz]")
    assert outcome.status == 0, outcome.error


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nowhere.ckpt", "nowhere.ckpt: no such file"),
        (".", "a folder without checkpoints/best.ckpt"),
        ("text.ckpt", "text.ckpt: no weights that are known here"),
    ],
)
def test_a_model_that_is_none(command, tmp_path, model, said):
    (tmp_path / "text.ckpt").write_text("not weights")
    assert_refused(command(evaluate_main, f"model={model}"), tmp_path, said)
