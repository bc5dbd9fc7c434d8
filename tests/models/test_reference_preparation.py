"""The description beside an archive says how its nights are prepared, or it is refused."""

import copy
import json
from contextlib import suppress

import pytest

from sleep_lab.errors import InputError
from sleep_lab.models import ModuloNet
from sleep_lab.models.reference_names import DREEM, ROBUST
from sleep_lab.models.reference_preparation import read_description
from sleep_lab.preparation import (
    Bandpass,
    Derivation,
    EpochCycleIndex,
    EpochIndex,
    Filter,
    FourierMagnitude,
    Padding,
    Preparation,
    Resample,
    ResamplePoly,
    RobustScale,
    ShannonEntropy,
    SignalStatistics,
    SpectralPower,
    WeightedSum,
)
from tests.models.archives import STRANGE, leaves, put, small_network
from tests.models.simple_sleep_net import FEATURES


def step(name, **args):
    return {"type": name, "args": args}


def group(*processings, signals=("signals/eeg/C3_M2",), name="eeg"):
    return {"name": name, "signals": list(signals), "processings": list(processings)}


def feature(kind, *, name="f", signals=("signals/eeg/F4_M1",), **args):
    return {"name": name, "signals": list(signals), "processing": step(kind, **args)}


def described(signals=(), features=(), **more):
    return {"memmap_description": {"signals": list(signals), "features": list(features)}} | more


def preparation(dialect=DREEM, **description):
    return read_description(described(**description), dialect).preparation


@pytest.mark.parametrize(
    ("dialect", "processing", "expected"),
    [
        (DREEM, step("filter"), Filter()),
        (DREEM, step("filter_cardio"), Bandpass(0.6, 3, 2, "bessel")),
        (DREEM, step("filter_respiration"), Bandpass(0.1, 0.5, 2, "bessel")),
        (DREEM, step("resample", target_frequency=100), Resample(100)),
        (ROBUST, step("resample", target_frequency=60), ResamplePoly(60)),
        (ROBUST, step("poly_resample", target_frequency=60), ResamplePoly(60)),
        (ROBUST, step("filter_bandpass"), Bandpass(0.2, 30, 2, zero_phase=True)),
        (
            ROBUST,
            step("filter_bandpass", band=[0.5, 20], order=4),
            Bandpass(0.5, 20, 4, zero_phase=True),
        ),
        (ROBUST, step("normalize_signal_IQR", clip_IQR=20), RobustScale(20)),
        (DREEM, step("padding", padding_duration=900, value=1), Padding(900, 1)),
        (DREEM, step("weighted_sum", weights=[1, -1]), WeightedSum((1, -1))),
        (DREEM, step("weighted_sum"), WeightedSum()),
        (DREEM, step("weighted_sum", weights=None), WeightedSum()),
    ],
)
def test_a_processing_is_what_its_authors_made_it(dialect, processing, expected):
    found = preparation(dialect, signals=[group(processing)]).groups["eeg"]
    assert found == Derivation(("C3_M2",), (expected,))


def test_groups_may_hold_groups_with_processings_of_their_own():
    inner = {
        "signals": ["signals/eeg/C3", "signals/eeg/M2"],
        "processings": [step("weighted_sum", weights=[1, -1]), step("filter")],
    }
    outer = group(step("padding", padding_duration=60), signals=[inner, "signals/eog/EOG1"])
    assert preparation(signals=[outer]).groups == {
        "eeg": Derivation(
            (Derivation(("C3", "M2"), (WeightedSum((1, -1)), Filter())), "EOG1"), (Padding(60),)
        )
    }


BANDS = [[0.5, 4], [4, 7]]


@pytest.mark.parametrize(
    ("described_feature", "expected"),
    [
        (feature("index_window", increment_duration=30), EpochIndex()),
        (feature("cycle_index_window"), EpochCycleIndex()),
        (feature("cycle_index_window", cycles_length=[5, 7]), EpochCycleIndex((5, 7))),
        (feature("fft"), FourierMagnitude(("F4_M1",))),
        (
            feature("spectral_power", frequency_interval=BANDS, statistics=["mean"]),
            SpectralPower(("F4_M1",), BANDS, 5, 3.5, ("mean",)),
        ),
        (
            feature("spectral_power", frequency_interval=BANDS, stft_duration=30, stft_overlap=0),
            SpectralPower(("F4_M1",), BANDS, 30, 0, ()),
        ),
        (
            feature("signal_statistics", statistics=["max"], window_duration=30),
            SignalStatistics(("F4_M1",), 30, ("max",)),
        ),
        (
            feature("signal_statistics", statistics=["max"]),
            SignalStatistics(("F4_M1",), 5, ("max",)),
        ),
        (feature("shannon_entropy", epoch_duration=30), ShannonEntropy(("F4_M1",))),
    ],
)
def test_a_feature_is_what_its_authors_made_it(described_feature, expected):
    assert preparation(features=[described_feature]) == Preparation({}, {"f": expected})


def test_a_night_of_features_is_padded_as_its_features_are():
    entries = [feature(k, name=k, padding_duration=900) for k in ("index_window", "fft")]
    assert preparation(features=entries).padding_s == 900


def test_preprocessing_of_features_is_left_out_as_it_was_in_training(caplog):
    entry = feature("shannon_entropy") | {"signals_preprocessing": [step("filter")]}
    assert preparation(features=[entry]).features == {"f": ShannonEntropy(("F4_M1",))}
    assert "signals_preprocessing is left out" in caplog.text


PADDED = group(step("padding", padding_duration=900))


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ({}, "memmap_description: wants an object"),
        (described(signals=1 * [3]), "wants an object"),
        (described(signals=[group(step("wavelet"))]), "no processing 'wavelet'"),
        (described(signals=[group(step("rescale", scale=2))]), "no processing 'rescale'"),
        (described(signals=[group({"type": ["filter"]})]), "no processing"),
        (described(signals=[group(step("filter", order=2))]), "unknown argument 'order'"),
        (described(signals=[group(step("resample"))]), "'target_frequency' is missing"),
        (described(signals=[group(step("resample", target_frequency="x"))]), "is no number"),
        (described(signals=[group(step("resample", target_frequency=10**8))]), "is beyond"),
        (described(signals=[group(step("resample", target_frequency=-1))]), "positive rate"),
        (
            described(
                signals=[
                    group(step("resample", target_frequency=9, interpolation_args={"kind": "c"}))
                ]
            ),
            "interpolation_args",
        ),
        (described(signals=[group(step("normalize_signal_IQR", clip_value=1))]), "clip_value"),
        (described(signals=[group(step("normalize_signal_IQR"))]), "'clip_IQR' is missing"),
        (
            described(signals=[group(step("padding", padding_duration=9, value="min"))]),
            "'min' is no number",
        ),
        (described(signals=[group(step("filter_bandpass", order=10**6))]), "is beyond 16"),
        (described(signals=[group(step("filter_bandpass", band=[30, 1]))]), "low_hz < high_hz"),
        (described(signals=[group(step("weighted_sum", weights=["a"]))]), "no numbers"),
        (described(signals=[group(signals=[["a/b", "a/c"]])]), "no path of one signal"),
        (described(signals=[group(signals=["signals/eeg/"])]), "no path of one signal"),
        (described(signals=[group(signals=[])]), "no channels"),
        (described(signals=[group(name="../../evil")]), "'../../evil' is no name"),
        (described(signals=[group(name=None)]), "is no name"),
        (described(features=[feature("hjorth")]), "no 'hjorth'"),
        (
            described(features=[feature("index_window", increment_duration=20)]),
            "20 is not possible",
        ),
        (described(features=[feature("index_window", scale=2)]), "unknown argument 'scale'"),
        (described(features=[feature("fft", signals=["a/b", "a/c"])]), "fft mixes 2 signals"),
        (described(features=[feature("shannon_entropy", signals=[])]), "channels is a list"),
        (described(features=[feature("spectral_power")]), "'frequency_interval' is missing"),
        (
            described(features=[feature("spectral_power", frequency_interval=[3])]),
            "frequency_interval",
        ),
        (
            described(features=[feature("signal_statistics", statistics=["mode"])]),
            "no statistic 'mode'",
        ),
        (described(features=[feature("signal_statistics", statistics=7)]), "statistics"),
        (described(features=[feature("index_window", name="a/b")]), "'a/b' is no name"),
        (
            described(signals=[PADDED], features=[feature("index_window", padding_duration=60)]),
            "paddings differ: eeg 900 s, feature f 60 s",
        ),
        (described(features=[feature("index_window", padding_duration="x")]), "padding_duration"),
        (described([PADDED], dataset_parameters=3), "dataset_parameters: wants an object"),
        (described([PADDED], dataset_parameters={"temporal_context": 20}), "20 is no context"),
        (described([PADDED], dataset_parameters={"temporal_context": 10**9 + 1}), "no context"),
    ],
    ids=range(37),
)
def test_what_is_unknown_or_not_possible_is_refused_by_name(description, said):
    with pytest.raises(InputError) as error:
        read_description(description, ROBUST if "IQR" in str(description) else DREEM)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


WHOLE = described(
    [
        group(step("filter"), step("resample", target_frequency=100), PADDED["processings"][0]),
        group(step("weighted_sum", weights=[1, 2]), signals=["a/b", group()], name="sums"),
    ],
    [
        feature("spectral_power", name="power", frequency_interval=BANDS, statistics=["mean"]),
        feature("cycle_index_window", cycles_length=[5], padding_duration=0),
    ],
    dataset_parameters={"temporal_context": 21},
)


def test_any_strange_value_anywhere_is_refused_or_read_and_nothing_else():
    for place in leaves(WHOLE):
        for value in STRANGE if place else ():
            changed = copy.deepcopy(WHOLE)
            put(*place, value=value)(changed)
            with suppress(InputError):
                read_description(changed, DREEM)


def nested(depth):
    inner = "signals/eeg/C3"
    for _ in range(depth):
        inner = {"signals": [inner], "processings": []}
    return group(signals=[inner])


def test_groups_in_groups_without_end_are_refused():
    with pytest.raises(InputError, match="nested too deeply"):
        preparation(signals=[nested(200)])


@pytest.fixture
def archive(tmp_path):
    """An archive, and what writes the description beside it."""
    small_network().save(tmp_path / "model.gz")

    def describe(text):
        (tmp_path / "description.json").write_text(text)
        return tmp_path / "model.gz"

    return describe


FEATURES_OF_NIGHT = [
    feature(kind, name=name, padding_duration=900)
    for kind, name in zip(("index_window", "cycle_index_window"), FEATURES, strict=True)
]


def test_the_description_beside_an_archive_gives_preparation_and_context(archive):
    whole = described([PADDED], FEATURES_OF_NIGHT, dataset_parameters={"temporal_context": 7})
    model = ModuloNet.load(archive(json.dumps(whole)))
    assert model.context == 7
    assert model.preparation == read_description(whole, DREEM).preparation


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "holds no JSON object"),
        ("{", "no JSON"),
        ("[" * 10**5, "no JSON"),
        (json.dumps(described([PADDED])), "has no feature epoch_cycle_index, epoch_index"),
        (
            json.dumps(described([group(signals=["a/b", "a/c"])], FEATURES_OF_NIGHT[:0])),
            "prepares channels {'eeg': 2}, the network wants {'eeg': 1}",
        ),
        (json.dumps(described([group(name="eog")])), "prepares channels {'eog': 1}"),
    ],
    ids=range(6),
)
def test_a_description_that_does_not_fit_the_archive_is_refused(archive, text, said):
    path = archive(text)
    with pytest.raises(InputError) as error:
        ModuloNet.load(path)
    assert str(error.value).startswith(f"{path}: description.json beside it")
    assert said in str(error.value)
