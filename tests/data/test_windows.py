"""Windows and batches, against a reading of the files one window at a time."""

import pickle

import numpy as np
import pytest
import torch

from sleep_lab.data import (
    Context,
    DrawChannels,
    KillChannel,
    NightPart,
    SleepDataModule,
    WindowDataset,
)
from sleep_lab.data.datamodule import EachPartOnce, StridedSampler
from sleep_lab.data.windows import seeded, training_windows
from sleep_lab.errors import InputError
from tests.nights import prepared_night


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    made = []
    for seed, epochs in enumerate((30, 25, 40)):
        hypnogram = np.random.default_rng(seed).integers(-1, 5, epochs).astype(np.int8)
        made.append(
            prepared_night(store, f"n{seed}", epochs=epochs, seed=seed, hypnogram=hypnogram)
        )
    return made


def slow_window(part, first, context):
    """One window, read epoch by epoch."""
    night = part.night
    signals, stages, features = [], [], []
    for epoch in range(first, first + context.length):
        row = epoch + night.padding
        samples = np.fromfile(night.folder / "signals" / "psg.mm", dtype=np.float32)
        samples = samples.reshape(night.padded_epochs, 300, 2)[row]
        signals.append(samples.T)
        inside = part.first <= epoch < part.last
        stages.append(night.hypnogram[epoch] if inside else -1)
        features.append(night.feature("epoch_cycle_index")[row])
    if context.mode == "concatenated":
        centre = context.length // 2
        return (
            np.concatenate(signals, axis=1)[None],
            stages[centre : centre + 1],
            [features[centre]],
        )
    return np.stack(signals), stages, features


@pytest.mark.parametrize("mode", ["sequential", "concatenated"])
def test_a_batch_holds_what_reading_window_by_window_gives(nights, mode):
    context = Context(5, mode)
    parts = [NightPart.whole(nights[0]), NightPart(nights[2], 4, 30, 2, 33)]
    dataset = WindowDataset(parts, context)
    indices = np.random.default_rng(0).permutation(len(dataset))[:20]
    batch = dataset.__getitems__(indices.tolist())
    assert sorted(zip(batch.night.tolist(), batch.epoch.tolist(), strict=True)) == sorted(
        zip(dataset.part[indices].tolist(), dataset.first_epoch[indices].tolist(), strict=True)
    )
    for row, (part, first) in enumerate(
        zip(batch.night.tolist(), batch.epoch.tolist(), strict=True)
    ):
        signals, stages, features = slow_window(parts[part], first, context)
        np.testing.assert_array_equal(batch.signals["psg"][row], signals)
        np.testing.assert_array_equal(batch.stages[row], stages)
        np.testing.assert_array_equal(batch.features["epoch_cycle_index"][row], features)


def test_every_scored_epoch_with_context_on_both_sides_has_a_window(nights):
    context = Context(9)
    for part in (NightPart.whole(nights[0]), NightPart(nights[0], 5, 20, 3, 24)):
        _, first = training_windows([part], context)
        expected = [
            centre - 4
            for centre in range(part.first, part.last)
            if part.night.hypnogram[centre] >= 0
            and centre - 4 >= part.visible_first
            and centre + 4 < part.visible_last
        ]
        assert first.tolist() == expected
        # padding of three epochs lets the night's second, not its first, epoch be a centre
        assert first.dtype == np.int32


def test_no_scored_epoch_with_context_is_an_error(nights):
    with pytest.raises(InputError, match=r"set context\.length lower"):
        WindowDataset([NightPart(nights[0], 0, 30, 0, 30)], Context(31))


@pytest.mark.parametrize(("length", "mode"), [(20, "sequential"), (0, "sequential"), (3, "both")])
def test_a_context_that_makes_no_sense_is_refused(length, mode):
    with pytest.raises(InputError, match=r"context\.(length|mode)"):
        Context(length, mode)


def test_workers_get_facts_and_not_signals(nights):
    dataset = WindowDataset([NightPart.whole(night) for night in nights], Context(5))
    dataset[0]
    assert len(pickle.dumps(dataset)) < 10_000


def test_a_training_epoch_shows_every_stride_th_window_from_changing_starts(nights):
    dataset = WindowDataset([NightPart.whole(night) for night in nights], Context(5))
    sampler = StridedSampler(dataset, 4)
    seen = set()
    for number in range(40):
        sampler.set_epoch(number)
        indices = list(sampler)
        assert indices == list(sampler)
        assert len(indices) == len(sampler) == len(dataset) // 4
        seen.update(indices)
    assert seen == set(range(len(dataset)))
    assert sorted(StridedSampler(dataset, 1)) == list(range(len(dataset)))


def test_parts_with_fewer_windows_than_the_stride_show_one_in_each_training_epoch(nights):
    dataset = WindowDataset([NightPart.whole(night) for night in nights], Context(5))
    sampler = StridedSampler(dataset, 1000)
    seen = set()
    for number in range(300):
        sampler.set_epoch(number)
        indices = list(sampler)
        assert sorted(dataset.part[indices]) == [0, 1, 2]
        assert len(sampler) == 3
        seen.update(indices)
    assert seen == set(range(len(dataset)))
    for processes in (2, 3, 8):
        shares = [list(StridedSampler(dataset, 1000, 0, processes, r)) for r in range(processes)]
        assert {len(share) for share in shares} == {1}


def test_a_night_scored_at_every_second_epoch_alone_is_seen_in_every_training_epoch(tmp_path):
    hypnogram = np.tile(np.array([2, -1], dtype=np.int8), 10)
    night = prepared_night(tmp_path, epochs=20, hypnogram=hypnogram)
    sampler = StridedSampler(WindowDataset([NightPart.whole(night)], Context(1)), 4)
    for number in range(20):
        sampler.set_epoch(number)
        assert len(list(sampler)) == len(sampler) == 2


@pytest.mark.parametrize("processes", [1, 2])
def test_longer_parts_are_seen_as_ever(nights, processes):
    """The draws behind published figures: windows at the start drawn for their part, shuffled."""
    dataset = WindowDataset([NightPart.whole(night) for night in nights], Context(5))
    for number in range(10):
        shares = []
        for rank in range(processes):
            sampler = StridedSampler(dataset, 7, 3, processes, rank)
            sampler.set_epoch(number)
            shares.append(list(sampler))
        generator = seeded(3, number)
        start = torch.randint(7, (3,), generator=generator).tolist()
        places = zip(dataset.part.tolist(), dataset.first_epoch.tolist(), strict=True)
        due = [i for i, (part, first) in enumerate(places) if (first - start[part]) % 7 == 0]
        order = torch.randperm(len(due), generator=generator).tolist()
        wanted = len(dataset) // (7 * processes)
        expected = ([due[i] for i in order] * 2)[: wanted * processes]
        assert shares == [expected[rank::processes] for rank in range(processes)]


def test_processes_share_out_windows_and_nights(nights):
    parts = [NightPart.whole(night) for night in nights]
    dataset = WindowDataset(parts, Context(5))
    shares = [list(StridedSampler(dataset, 1, seed=3, processes=2, rank=r)) for r in (0, 1)]
    assert len(shares[0]) == len(shares[1]) == len(dataset) // 2
    assert len(set(shares[0] + shares[1])) == 2 * (len(dataset) // 2)
    validated = [list(EachPartOnce(parts, 2, rank)) for rank in (0, 1)]
    assert sorted(validated[0] + validated[1]) == [0, 1, 2]
    with pytest.raises(InputError, match=r"4 processes cannot share 3 .*trainer\.devices=3"):
        EachPartOnce(parts, 4, 0)


def batches(nights, workers, seed):
    parts = [NightPart.whole(night) for night in nights]
    data = SleepDataModule(
        {"train": parts, "validation": parts, "test": parts},
        Context(5),
        KillChannel(0.5),
        batch_size=8,
        workers=workers,
        seed=seed,
    )
    return [batch.signals["psg"].clone() for batch in data.train_dataloader()]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_seed_decides_the_batches_and_the_killed_channels(nights, workers):
    """Whichever processes load them, and whatever else has drawn from torch's own generator."""
    torch.manual_seed(workers)
    state = torch.get_rng_state()
    first, again, other = batches(nights, 0, 1), batches(nights, workers, 1), batches(nights, 0, 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(first) > 3
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_kill_channel_silences_as_many_windows_as_asked_and_spares_one_channel():
    killed = KillChannel(0.3).draw(20_000, 5, seeded(0))
    per_window = killed.sum(1)
    assert per_window.max() == 4
    hit = per_window[per_window > 0]
    assert abs(len(hit) / 20_000 - 0.3) < 0.02
    counts = torch.bincount(hit, minlength=5)[1:] / len(hit)
    assert (counts - 0.25).abs().max() < 0.03
    assert (killed.float().mean(0) - 0.3 * 2.5 / 5).abs().max() < 0.02

    assert KillChannel(1.0, spare_one=False).draw(1000, 3, seeded(0)).sum(1).max() == 3
    assert not KillChannel(1.0).draw(10, 1, seeded(0)).any()


def test_kill_channel_silences_whole_windows_and_nothing_else():
    signals = torch.ones(64, 3, 10, 4).transpose(2, 3)
    silenced = KillChannel(0.5)({"psg": signals}, seeded(0))["psg"]
    totals = silenced.sum((1, 3))
    assert set(totals.flatten().tolist()) == {0.0, 30.0}


def of_different_channels(store):
    """Nights of two, three and four channels, each channel with values of its own."""
    return [
        prepared_night(store, f"n{number}", epochs=25, names=tuple(names))
        for number, names in enumerate(("AB", "CDE", "FGHI"))
    ]


@pytest.mark.parametrize("mode", ["sequential", "concatenated"])
def test_drawn_channels_are_the_window_s_own_in_all_its_epochs(tmp_path, mode):
    parts = [NightPart.whole(night) for night in of_different_channels(tmp_path)]
    dataset = WindowDataset(parts, Context(5, mode), DrawChannels())
    alone = [WindowDataset([part], Context(5, mode)) for part in parts]
    # epochs of padding are the same in all channels
    inside = np.flatnonzero((dataset.first_epoch >= 0) & (dataset.first_epoch <= 20))
    drawn_of = {index: [] for index in range(3)}
    for indices in np.array_split(np.random.default_rng(0).permutation(inside), 6):
        batch = dataset.__getitems__(indices.tolist())
        assert batch.signals["psg"].shape[2] == 4
        for window, part, epoch in zip(
            batch.signals["psg"], batch.night.tolist(), batch.epoch.tolist(), strict=True
        ):
            (own,) = alone[part][alone[part].first_epoch.tolist().index(epoch)].signals["psg"]
            same = (window[:, :, None] == own[:, None]).all(-1)  # (epochs, drawn, channel)
            assert (same.sum(-1) == 1).all()
            assert (same == same[:1]).all()
            drawn_of[part].append(same[0].float().argmax(-1).tolist())
    for part, drawn in drawn_of.items():
        assert {channel for window in drawn for channel in window} == set(range(part + 2))
        assert len({tuple(window) for window in drawn}) > 5


def test_channels_are_drawn_evenly_and_with_replacement():
    there = torch.tensor([2, 3, 5]).repeat_interleave(4000)
    drawn = DrawChannels().draw(there, 5, seeded(0))
    assert drawn.shape == (12_000, 5)
    for own, few in zip((2, 3, 5), drawn.split(4000), strict=True):
        shares = torch.bincount(few.flatten(), minlength=own) / few.numel()
        assert len(shares) == own
        assert (shares - 1 / own).abs().max() < 0.02
        one_channel_alone = (few == few[:, :1]).all(1).float().mean()
        assert abs(one_channel_alone - own**-4) < 0.02
    assert DrawChannels(2).draw(there, 5, seeded(0)).shape == (12_000, 2)
    with pytest.raises(InputError, match=r"augmentation\.channels is 1 or more, not 0"):
        DrawChannels(0)


@pytest.mark.parametrize("augmentation", [None, KillChannel()])
def test_nights_of_different_channels_are_in_one_batch_only_where_channels_are_drawn(
    tmp_path, augmentation
):
    parts = [NightPart.whole(night) for night in of_different_channels(tmp_path)]
    message = (
        r"group psg: night 'n0' has 2 channels, night 'n1' has 3 channels, .* 4 channels; .*"
        r"augmentation=draw_channels.*data\.signals=channels"
    )
    with pytest.raises(InputError, match=message):
        WindowDataset(parts, Context(5), augmentation)
