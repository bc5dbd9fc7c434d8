"""The sleep statistics are the AASM's, and what does not exist is nan."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sleep_lab.errors import InputError
from sleep_lab.evaluation.sleep_statistics import (
    STATISTICS,
    sleep_statistics,
    statistic_values,
    transition_counts,
    transition_probabilities,
)
from sleep_lab.stages import N1, N2, N3, REM, STAGES, UNSCORED, W
from tests.shared import SHARED, needs_shared

STAGES_OF_A_NIGHT = st.lists(
    st.tuples(st.integers(-1, 4), st.integers(1, 30)), min_size=1, max_size=12
).map(lambda bouts: np.repeat(*np.array(bouts, dtype=np.int8).T))
CODES = hnp.arrays(np.int8, st.integers(1, 60), elements=st.integers(-1, 4))
SCORED = hnp.arrays(np.int8, st.integers(1, 60), elements=st.integers(0, 4))
HYPNOGRAMS = st.one_of(STAGES_OF_A_NIGHT, CODES)


def epoch_by_epoch(hypnogram) -> dict[str, float]:
    """The same statistics, told by somebody who walks through the night."""
    nan = math.nan
    minutes = dict.fromkeys([UNSCORED, *range(5)], 0.0)
    onset = persistent = rem = nan
    after_onset = awakenings = shifts = arousals = 0
    run = 0
    previous = UNSCORED
    for number, stage in enumerate(hypnogram):
        minutes[stage] += 0.5
        asleep = stage in (N1, N2, N3, REM)
        run = run + 1 if asleep else 0
        if asleep and math.isnan(onset):
            onset = number / 2
        if run == 20 and math.isnan(persistent):
            persistent = (number - 19) / 2
        if stage == REM and math.isnan(rem):
            rem = number / 2 - onset
        if stage == W and not math.isnan(onset):
            after_onset += 0.5
        if UNSCORED not in (previous, stage) and previous != stage:
            shifts += 1
            awakenings += stage == W
            arousals += stage == W or (stage == N1 and previous != W)
        previous = stage
    sleep = minutes[N1] + minutes[N2] + minutes[N3] + minutes[REM]
    in_bed = len(hypnogram) / 2
    scored = minutes[UNSCORED] < in_bed
    names = [stage.lower() for stage in STAGES]
    return {
        "time_in_bed_min": in_bed,
        "total_sleep_time_min": sleep if scored else nan,
        "sleep_efficiency_percent": 100 * sleep / in_bed if scored else nan,
        "sleep_onset_latency_min": onset,
        "persistent_sleep_latency_min": persistent,
        "rem_latency_min": rem,
        "wake_after_sleep_onset_min": after_onset if sleep else nan,
        "awakenings": awakenings if scored else nan,
        "stage_shifts": shifts if scored else nan,
        "fragmentation_index_per_h": arousals / (sleep / 60) if sleep else nan,
        **{f"{name}_min": minutes[k] if scored else nan for k, name in enumerate(names)},
        **{
            f"{name}_percent": 100 * minutes[k] / sleep if sleep else nan
            for k, name in enumerate(names)
            if k != W
        },
        "unscored_min": minutes[UNSCORED],
    }


def test_a_short_night_has_the_statistics_that_a_person_counts():
    #            3 W, 2 N1, 20 N2, 1 W, 4 REM, 1 N1, 5 N3, 4 W
    hypnogram = np.repeat([W, N1, N2, W, REM, N1, N3, W], [3, 2, 20, 1, 4, 1, 5, 4])
    found = asdict(sleep_statistics(hypnogram))
    assert found == pytest.approx(
        {
            "time_in_bed_min": 20,
            "total_sleep_time_min": 16,
            "sleep_efficiency_percent": 80,
            "sleep_onset_latency_min": 1.5,
            "persistent_sleep_latency_min": 1.5,
            "rem_latency_min": 11.5,
            "wake_after_sleep_onset_min": 2.5,
            "awakenings": 2,
            "stage_shifts": 7,
            "fragmentation_index_per_h": 3 / (16 / 60),
            "w_min": 4,
            "n1_min": 1.5,
            "n2_min": 10,
            "n3_min": 2.5,
            "rem_min": 2,
            "n1_percent": 9.375,
            "n2_percent": 62.5,
            "n3_percent": 15.625,
            "rem_percent": 12.5,
            "unscored_min": 0,
        }
    )


@given(HYPNOGRAMS)
def test_every_statistic_is_that_of_a_walk_through_the_night(hypnogram):
    found = asdict(sleep_statistics(hypnogram))
    assert list(found) == list(STATISTICS)
    assert found == pytest.approx(epoch_by_epoch(hypnogram.tolist()), nan_ok=True, abs=1e-12)


@needs_shared
def test_every_statistic_of_the_dodh_scorers_is_that_of_a_walk_through_the_night():
    with np.load(SHARED / "dod" / "dodh_scorers.npz") as nights:
        hypnograms = {name: nights[name] for name in nights.files}
    assert len(hypnograms) == 125
    for hypnogram in hypnograms.values():
        found = asdict(sleep_statistics(hypnogram))
        assert found == pytest.approx(epoch_by_epoch(hypnogram.tolist()), nan_ok=True, abs=1e-9)


@needs_shared
def test_the_statistics_of_the_dodh_scorers_are_those_of_yasa():
    yasa = pytest.importorskip("yasa", reason="yasa is not installed")
    with np.load(SHARED / "dod" / "dodh_scorers.npz") as nights:
        hypnograms = [nights[name] for name in nights.files]
    for hypnogram in hypnograms[::5]:
        ours = sleep_statistics(hypnogram)
        theirs = yasa.Hypnogram.from_integers(
            np.where(hypnogram == UNSCORED, -2, hypnogram), freq="30s"
        ).sleep_statistics()
        last_sleep = np.flatnonzero(hypnogram > W)[-1]
        wake_at_the_end = (hypnogram[last_sleep:] == W).sum() / 2
        pairs = {
            "TIB": ours.time_in_bed_min,
            "TST": ours.total_sleep_time_min,
            "SE": ours.sleep_efficiency_percent,
            "SOL": ours.sleep_onset_latency_min,
            # from lights off there, from sleep onset in the AASM's manual
            "Lat_REM": ours.rem_latency_min + ours.sleep_onset_latency_min,
            # until the last awakening there, until lights on in the AASM's manual
            "WASO": ours.wake_after_sleep_onset_min - wake_at_the_end,
            # without the shifts to N1 there
            "SFI": ours.awakenings / (ours.total_sleep_time_min / 60),
            "WAKE": ours.w_min,
            **{name: getattr(ours, f"{name.lower()}_min") for name in STAGES[1:]},
            **{f"%{name}": getattr(ours, f"{name.lower()}_percent") for name in STAGES[1:]},
        }
        assert {name: theirs[name] for name in pairs} == pytest.approx(pairs, abs=6e-5)


@given(SCORED)
def test_a_scored_night_is_latency_sleep_and_wake_after_onset(hypnogram):
    found = sleep_statistics(hypnogram)
    if (hypnogram > W).any():
        parts = found.sleep_onset_latency_min, found.wake_after_sleep_onset_min
        assert sum(parts) + found.total_sleep_time_min == pytest.approx(found.time_in_bed_min)
        assert found.n1_percent + found.n2_percent + found.n3_percent + found.rem_percent == (
            pytest.approx(100)
        )
    else:
        assert math.isnan(found.sleep_onset_latency_min)
        assert math.isnan(found.wake_after_sleep_onset_min)


@given(HYPNOGRAMS)
def test_doubling_every_epoch_doubles_times_and_changes_no_count_and_no_share(hypnogram):
    once, twice = sleep_statistics(hypnogram), sleep_statistics(np.repeat(hypnogram, 2))
    for name in set(STATISTICS) - {"persistent_sleep_latency_min", "fragmentation_index_per_h"}:
        factor = 2 if name.endswith("_min") else 1
        expected = pytest.approx(factor * getattr(once, name), nan_ok=True)
        assert getattr(twice, name) == expected, name


def test_an_unscored_epoch_takes_time_and_is_nothing_else():
    hypnogram = np.array([UNSCORED, W, N2, UNSCORED, W, UNSCORED, REM, UNSCORED])
    found = sleep_statistics(hypnogram)
    assert found.time_in_bed_min == 4
    assert found.unscored_min == 2
    assert found.sleep_onset_latency_min == 1
    assert found.rem_latency_min == 2
    assert found.wake_after_sleep_onset_min == 0.5
    assert (found.awakenings, found.stage_shifts) == (0, 1)
    interrupted = np.array([N2] * 19 + [UNSCORED] + [N2] * 20)
    assert sleep_statistics(interrupted).persistent_sleep_latency_min == 10


@pytest.mark.parametrize("epochs", [0, 1, 40])
def test_a_night_that_nobody_scored_has_only_time(epochs):
    found = asdict(sleep_statistics(np.full(epochs, UNSCORED)))
    known = {name for name, value in found.items() if not math.isnan(value)}
    assert known == {"time_in_bed_min", "unscored_min"}
    assert found["unscored_min"] == found["time_in_bed_min"] == epochs / 2


def test_a_night_awake_has_no_sleep_and_no_latency():
    found = sleep_statistics(np.full(100, W))
    assert (found.total_sleep_time_min, found.sleep_efficiency_percent) == (0, 0)
    assert (found.awakenings, found.stage_shifts, found.w_min) == (0, 0, 50)
    undefined = (
        found.sleep_onset_latency_min,
        found.persistent_sleep_latency_min,
        found.rem_latency_min,
        found.fragmentation_index_per_h,
        found.n2_percent,
    )
    assert all(math.isnan(value) for value in undefined)


def test_values_are_in_the_order_of_the_names():
    values = statistic_values(sleep_statistics(np.array([W, N2, N2, REM])))
    assert dict(zip(STATISTICS, values, strict=True))["n2_percent"] == pytest.approx(200 / 3)


@given(HYPNOGRAMS)
@settings(max_examples=50)
def test_transitions_are_counted_between_neighbours_and_become_probabilities(hypnogram):
    counts = transition_counts(hypnogram)
    expected = np.zeros((5, 5), int)
    for before, after in zip(hypnogram[:-1].tolist(), hypnogram[1:].tolist(), strict=True):
        if before >= 0 and after >= 0:
            expected[before, after] += 1
    np.testing.assert_array_equal(counts, expected)
    probabilities = transition_probabilities(counts)
    left = counts.sum(axis=1) > 0
    np.testing.assert_allclose(probabilities[left].sum(axis=1), 1)
    np.testing.assert_allclose(
        probabilities[left] * counts[left].sum(1, keepdims=True), counts[left]
    )
    assert np.isnan(probabilities[~left]).all()


def test_transition_probabilities_of_several_nights_are_one_by_one_the_same():
    counts = np.random.default_rng(0).integers(0, 9, (3, 5, 5))
    together = transition_probabilities(counts)
    np.testing.assert_array_equal(together[1], transition_probabilities(counts[1]))


@pytest.mark.parametrize("odd", [[0, 5], [-2], [[0, 1]], [0.5], ["W"]])
def test_what_is_no_hypnogram_is_refused(odd):
    with pytest.raises(InputError, match="sleep statistics"):
        sleep_statistics(np.array(odd))
