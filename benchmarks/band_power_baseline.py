"""What a logistic regression on band powers reaches on the nights of a run: the floor to beat.

The nights, their preparation and their split are those that the run's checkpoint tells; the
regression learns from its training nights and is scored on its test nights as the network was.

    python benchmarks/band_power_baseline.py runs/demo
"""

import argparse
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module
from numpy.typing import NDArray
from omegaconf import DictConfig
from scipy.signal import welch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sleep_lab.data import NightPart, restore
from sleep_lab.errors import InputError
from sleep_lab.evaluation import Scores, evaluate
from sleep_lab.experiment import plain, prepared_nights, stage_parts
from sleep_lab.models.weights import TrainedModel, load_model, weights_at

BANDS_HZ = ((0.5, 4), (4, 8), (8, 12), (12, 16), (16, 30))


def band_powers(part: NightPart) -> NDArray[np.float64]:
    """(epochs, channels * bands) log power of each channel of each group, Welch-averaged."""
    night = part.night
    rows = slice(part.first + night.padding, part.last + night.padding)
    columns = []
    for name, group in night.groups.items():
        signals = np.asarray(night.signals(name)[rows], dtype=np.float64)
        window = round(4 * group.sampling_rate)
        frequencies, power = welch(signals, group.sampling_rate, nperseg=window, axis=1)
        for low, high in BANDS_HZ:
            band = (frequencies >= low) & (frequencies < high)
            columns.append(np.log(power[:, band].mean(1) + 1e-12))
    return np.concatenate(columns, axis=1)


def scored(parts: list[NightPart]) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Band powers and stages of all scored epochs."""
    powers = np.concatenate([band_powers(part) for part in parts])
    stages = np.concatenate([part.night.hypnogram[part.first : part.last] for part in parts])
    return powers[stages >= 0], stages[stages >= 0]


def line(name: str, scores: Scores) -> str:
    """A row of the printed table."""
    f1 = " ".join(f"{stage} {value:.2f}" for stage, value in scores.f1.items())
    return (
        f"{name:20} accuracy {scores.accuracy:.3f}  kappa {scores.cohen_kappa:.3f}  "
        f"macro F1 {scores.macro_f1:.3f}  ({f1})"
    )


def compared(trained: TrainedModel) -> tuple[Scores, Scores, float]:
    """Scores of the regression and of the network, pooled, and the most frequent stage's share."""
    with initialize_config_module("sleep_lab.conf", version_base=None):
        paths = plain(compose("train").paths)
    if trained.config is None or trained.split is None:
        raise InputError("give a run's folder: it says which nights are for training and for test")
    config = DictConfig(dict(trained.config) | {"paths": paths})
    nights = prepared_nights(config, trained.preparations)
    train, test = (restore(trained.split[name], nights) for name in ("train", "test"))

    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    regression.fit(*scored(train))
    powers, stages = scored(test)
    network = np.concatenate(
        [result.hypnogram for result in stage_parts(trained.model, test, config.combine)]
    )
    expert = np.concatenate([part.night.hypnogram[part.first : part.last] for part in test])
    share = float(np.bincount(stages).max() / len(stages))
    return evaluate(regression.predict(powers), stages), evaluate(network, expert), share


def main() -> None:
    """Fit, score and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="a run's folder or a checkpoint")
    trained = load_model(weights_at(parser.parse_args().run))
    regression, network, share = compared(trained)
    print(f"most frequent stage: {share:.3f} of {network.scored} test epochs")
    print(line("logistic regression", regression))
    print(line("network", network))


if __name__ == "__main__":
    main()
