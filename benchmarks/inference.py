"""Seconds to stage a simulated night of 8 h and 16 channels with SimpleSleepNet.

The night as sleep_lab stages it (every sleep epoch encoded once) beside the window-by-window way
(every window through the whole network, 21 encodings of each epoch), in one process.

    python benchmarks/inference.py [--repeats 5]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_module

from sleep_lab.data import Context, NightPart, WindowDataset
from sleep_lab.experiment import architecture_of, preparation_of, training_signals
from sleep_lab.inference import combine_windows, stage
from sleep_lab.instantiation import instantiate
from sleep_lab.models import ModuloNet, build, fit_standardization
from sleep_lab.preparation import PreparedNight, prepare

CHANNELS = (
    "C3-M2 C4-M1 F3-M2 F4-M1 O1-M2 O2-M1 F3-O1 F4-O2 Fp1-M2 Fp2-M1 Fp1-F3 Fp2-F4 "
    "E1-M2 E2-M2 EMG ECG"
)


def network_and_night(store: Path) -> tuple[ModuloNet, PreparedNight]:
    """A SimpleSleepNet of the default config with fresh weights, and a night for it."""
    with initialize_config_module("sleep_lab.conf", version_base=None):
        channels = ",".join(CHANNELS.split())
        config = compose(
            "train", ["data.nights.nights=1", "data.nights.hours=8", f"data.channels=[{channels}]"]
        )
    print("preparing the night ...", flush=True)
    night = prepare(instantiate(config.data.nights)[0], preparation_of(config), store)
    context: Context = instantiate(config.context)
    model = build(architecture_of(config, context, night))
    fit_standardization(model.normalizers, training_signals([NightPart.whole(night)], context))
    return model.eval(), night


def window_by_window(model: ModuloNet, night: PreparedNight) -> np.ndarray:
    """The hypnodensity from every window through the whole network, 32 at a time."""
    context = model.context
    unpadded = NightPart.whole(night)
    dataset = WindowDataset([unpadded], Context(context))
    starts = np.arange(-(context - 1), night.epochs, dtype=np.int32)
    dataset.part, dataset.first_epoch = np.zeros_like(starts), starts
    with torch.inference_mode():
        logits = [
            model(batch.signals, batch.features).log_softmax(-1)
            for batch in (
                dataset.__getitems__(range(first, min(first + 32, len(starts))))
                for first in range(0, len(starts), 32)
            )
        ]
        combined = combine_windows(torch.cat(logits), "geometric")
    return combined[context - 1 : context - 1 + night.epochs].numpy()


def seconds(run: Callable[[], object], repeats: int) -> list[float]:
    """Wall-clock seconds of each of `repeats` runs after one that does not count."""
    run()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as store:
        model, night = network_and_night(Path(store))
        whole = seconds(lambda: stage(model, night), arguments.repeats)
        start = time.perf_counter()
        slow = window_by_window(model, night)
        slow_seconds = time.perf_counter() - start
        difference = float(np.abs(slow - stage(model, night)).max())
    fast_seconds = statistics.median(whole)
    print(
        f"{night.epochs} sleep epochs, {len(CHANNELS.split())} channels, "
        f"{torch.get_num_threads()} threads"
    )
    print(
        f"each epoch encoded once : {fast_seconds:7.2f} s (median of {arguments.repeats}, "
        f"{min(whole):.2f} to {max(whole):.2f})"
    )
    print(f"window by window        : {slow_seconds:7.2f} s")
    print(f"ratio                   : {slow_seconds / fast_seconds:7.1f}")
    print(f"largest difference      : {difference:.1e}")


if __name__ == "__main__":
    main()
