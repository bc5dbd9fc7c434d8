"""Seconds to stage a night, each beside the window-by-window way in the same process.

Two nights: 8 h of 16 channels, as in DOD-H, with SimpleSleepNet (every sleep epoch encoded once);
and 7 h of 3 channels, as in Sleep-EDF, with RobustSleepNet (every spectrogram computed once, every
epoch encoded in each window that holds it). Nights are simulated and weights fresh, which costs the
same; --model and --recording stage a real night with a real model instead.

    python benchmarks/inference.py [--repeats 5] [--model best_model.gz --recording night.edf]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_module

from sleep_lab.data import Context, NightPart
from sleep_lab.experiment import architecture_of, fit_normalizers, preparation_of
from sleep_lab.inference import combine_windows, stage
from sleep_lab.instantiation import instantiate
from sleep_lab.models import ModuloNet, build
from sleep_lab.preparation import PreparedNight, prepare
from sleep_lab.recordings import recording_file

SIXTEEN = (
    "C3-M2,C4-M1,F3-M2,F4-M1,O1-M2,O2-M1,F3-O1,F4-O2,Fp1-M2,Fp2-M1,Fp1-F3,Fp2-F4,"
    "E1-M2,E2-M2,EMG,ECG"
)
CASES = {
    "SimpleSleepNet, 8 h, 16 channels": (
        "experiment=paper/simple_sleep_net",
        "data.nights.hours=8",
        f"data.channels=[{SIXTEEN}]",
    ),
    "RobustSleepNet, 7 h, 3 channels": (
        "experiment=paper/robust_sleep_net",
        "data.nights.hours=7",
        "data.channels=[F3-M2,O1-M2,E1-M2]",
        "data.eeg_and_eog=[F3-M2,O1-M2,E1-M2]",
    ),
}


def simulated(overrides: tuple[str, ...], store: Path) -> tuple[ModuloNet, PreparedNight]:
    """The config's network with fresh weights, and a simulated night for it."""
    with initialize_config_module("sleep_lab.conf", version_base=None):
        config = compose("train", ["data.nights.nights=1", *overrides])
    night = prepare(instantiate(config.data.nights)[0], preparation_of(config), store)
    context: Context = instantiate(config.context)
    model = build(architecture_of(config, context, night))
    fit_normalizers(model, [NightPart.whole(night)], context)
    return model.eval(), night


def recorded(model_file: Path, recording: Path, store: Path) -> tuple[ModuloNet, PreparedNight]:
    """A trained network, and a recording prepared for it."""
    model = ModuloNet.load(model_file)
    source = recording_file(recording)
    return model, prepare(source, model.preparation_for(source.open()), store)


def window_by_window(model: ModuloNet, night: PreparedNight) -> np.ndarray:
    """The hypnodensity from every window through the whole network, 32 at a time."""
    context = model.context
    starts = np.arange(night.padding - (context - 1), night.padding + night.epochs)
    logits = []
    with torch.inference_mode():
        for first in range(0, len(starts), 32):
            rows = starts[first : first + 32, None] + np.arange(context)
            signals = {
                name: torch.from_numpy(night.signals(name)[rows]).transpose(2, 3)
                for name in model.groups
            }
            features = {
                name: torch.from_numpy(night.feature(name)[rows]) for name in model.features
            }
            logits.append(model(signals, features).log_softmax(-1))
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


def report(name: str, model: ModuloNet, night: PreparedNight, repeats: int) -> None:
    """Measure and print."""
    whole = seconds(lambda: stage(model, night), repeats)
    start = time.perf_counter()
    slow = window_by_window(model, night)
    slow_seconds = time.perf_counter() - start
    difference = float(np.abs(slow - stage(model, night)).max())
    fast_seconds = statistics.median(whole)
    print(f"{name}: {night.epochs} sleep epochs, {torch.get_num_threads()} threads")
    print(
        f"  whole night       : {fast_seconds:7.2f} s (median of {repeats}, "
        f"{min(whole):.2f} to {max(whole):.2f})"
    )
    print(f"  window by window  : {slow_seconds:7.2f} s")
    print(f"  ratio             : {slow_seconds / fast_seconds:7.1f}")
    print(f"  largest difference: {difference:.1e}", flush=True)


def cases(
    model: Path | None, recording: Path | None, store: Path
) -> Iterator[tuple[str, ModuloNet, PreparedNight]]:
    """What to measure."""
    if model is not None and recording is not None:
        yield f"{model} on {recording}", *recorded(model, recording, store)
        return
    for name, overrides in CASES.items():
        yield name, *simulated(overrides, store)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--recording", type=Path)
    arguments = parser.parse_args()
    if (arguments.model is None) != (arguments.recording is None):
        parser.error("give --model and --recording, or neither")
    with tempfile.TemporaryDirectory() as store:
        for name, model, night in cases(arguments.model, arguments.recording, Path(store)):
            report(name, model, night, arguments.repeats)


if __name__ == "__main__":
    main()
