"""The nights of a report as the text that its page draws them from, small enough to send by mail.

A hypnogram is a text of one character per epoch, `0` to `4` or `-`; probabilities and power are
bytes, base64. A night of 1000 epochs with spectrogram takes about 90 kB.
"""

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from sleep_lab.evaluation.plots import DISAGREEMENT
from sleep_lab.evaluation.report.report import Report, ReportNight, Spectrogram
from sleep_lab.stages import (
    HYPNOGRAM_ORDER,
    SLEEP_EPOCH_S,
    STAGE_COLOURS,
    STAGES,
)

MOST_BINS = 64
MOST_COLUMNS = 2000
LEAST_RANGE_DB = 10.0
STAGE_CHARACTERS = np.frombuffer(b"01234-", dtype="S1")  # the last is that of code -1


def packed_nights(report: Report) -> str:
    """JSON of the report's nights and colours, with nothing in it that HTML could take for markup.

    Numbers of epochs in it are counted from each night's `first_epoch`.
    """
    review: dict[str, list[int]] = {night.id: [] for night in report.nights}
    for item in report.review:
        review[item.night].append(item.epoch)
    page = {
        "stages": list(STAGES),
        "colours": [STAGE_COLOURS[stage] for stage in STAGES],
        "levels": [HYPNOGRAM_ORDER.index(stage) for stage in STAGES],
        "disagreement": DISAGREEMENT,
        "epoch_s": SLEEP_EPOCH_S,
        # light and dark alone tell its values apart
        "colourmap": _base64(colormaps["viridis"](np.arange(256), bytes=True)[:, :3]),
        "nights": [_packed_night(night, review[night.id]) for night in report.nights],
    }
    text = json.dumps(page, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _packed_night(night: ReportNight, review: Sequence[int]) -> dict[str, Any]:
    return {
        "id": night.id,
        "epochs": night.epochs,
        "first_epoch": night.first_epoch,
        "start_s": night.start_time and _seconds_of_the_day(night.start_time),
        "hypnograms": [
            {"name": name, "codes": STAGE_CHARACTERS[hypnogram].tobytes().decode()}
            for name, hypnogram in night.hypnograms.items()
        ],
        "reference": night.reference,
        "hypnodensity": None
        if night.hypnodensity is None
        else {
            "name": night.hypnodensity_name,
            "bytes": _base64(_quantised(night.hypnodensity, 0.0, 1.0)),
        },
        "spectrogram": night.spectrogram and _packed_spectrogram(night, night.spectrogram),
        "review": sorted(epoch - night.first_epoch for epoch in review),
    }


def _seconds_of_the_day(time: datetime) -> int:
    return time.hour * 3600 + time.minute * 60 + time.second


def _packed_spectrogram(night: ReportNight, spectrogram: Spectrogram) -> dict[str, Any]:
    power = _thinned(_thinned(spectrogram.power, MOST_COLUMNS).T, MOST_BINS).T
    finite = power[np.isfinite(power)]
    low, high = np.percentile(finite, [5, 98]).tolist() if finite.size else (0.0, 1.0)
    high = max(high, low + LEAST_RANGE_DB)
    times, frequencies = spectrogram.times, spectrogram.frequencies
    column_s = (times[-1] - times[0]) / (len(times) - 1)
    half_bin_hz = (frequencies[-1] - frequencies[0]) / (len(frequencies) - 1) / 2
    return {
        "name": spectrogram.name,
        "columns": power.shape[0],
        "bins": power.shape[1],
        "from": float(times[0]) / SLEEP_EPOCH_S - night.first_epoch,
        "to": float(times[-1] + column_s) / SLEEP_EPOCH_S - night.first_epoch,
        "lowest_hz": float(frequencies[0] - half_bin_hz),
        "highest_hz": float(frequencies[-1] + half_bin_hz),
        "low_db": low,
        "high_db": high,
        "bytes": _base64(_quantised(np.nan_to_num(power, nan=low), low, high)),
    }


def _thinned(values: NDArray[np.floating], most: int) -> NDArray[np.floating]:
    """(at most `most`, columns) means of neighbouring rows, in groups as equal as can be."""
    if len(values) <= most:
        return values
    starts = np.linspace(0, len(values), most, endpoint=False).astype(int)
    sizes = np.diff(starts, append=len(values))
    return np.add.reduceat(values, starts, axis=0) / sizes[:, None]


def _quantised(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.uint8]:
    return (np.clip((values - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)


def _base64(values: NDArray[np.uint8]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
