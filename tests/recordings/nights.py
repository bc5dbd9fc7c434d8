"""Small nights on disk for the tests of recordings."""

import json
from pathlib import Path

import edfio
import h5py
import numpy as np

CHANNELS = {"EEG C3-M2": 100.0, "EOG E1-M2": 50.0}


def signals(epochs: float, channels: dict[str, float] | None = None) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        name: rng.normal(0, 40, round(epochs * 30 * rate)).clip(-200, 200)
        for name, rate in (channels or CHANNELS).items()
    }


def stage_annotations(stages: list[str], start: float = 0.0) -> list[edfio.EdfAnnotation]:
    return [
        edfio.EdfAnnotation(start + 30 * n, 30, f"Sleep stage {stage}")
        for n, stage in enumerate(stages)
    ]


def write_edf(
    path: Path,
    epochs: float = 4,
    annotations: list[edfio.EdfAnnotation] | None = None,
    channels: dict[str, float] | None = None,
    unit: str = "uV",
    **header,
) -> Path:
    """An EDF (EDF+C if there are annotations) with data records of 1 s."""
    scale = {"uV": 1.0, "mV": 1e-3, "V": 1e-6}.get(unit, 1.0)
    edf_signals = [
        edfio.EdfSignal(
            samples * scale,
            (channels or CHANNELS)[name],
            label=name,
            physical_dimension=unit,
            physical_range=(-200 * scale, 200 * scale),
        )
        for name, samples in signals(epochs, channels).items()
    ]
    edfio.Edf(edf_signals, annotations=annotations, data_record_duration=1, **header).write(path)
    return path


def write_scoring(path: Path, annotations: list[edfio.EdfAnnotation], **header) -> Path:
    """An EDF+ file with annotations alone."""
    edfio.Edf([], annotations=annotations, **header).write(path)
    return path


def patched(path: Path, offset: int, text: str, width: int) -> Path:
    """The file with one header field replaced."""
    content = bytearray(path.read_bytes())
    content[offset : offset + width] = text.encode("latin-1").ljust(width)
    path.write_bytes(content)
    return path


def patched_signal(path: Path, signal: int, field: str, text: str) -> Path:
    """The file with one field of one signal's header replaced."""
    widths = {
        "label": 16, "transducer": 80, "unit": 8, "pmin": 8, "pmax": 8, "dmin": 8, "dmax": 8,
        "prefiltering": 80, "samples": 8,
    }  # fmt: skip
    count = int(path.read_bytes()[252:256])
    before = list(widths)[: list(widths).index(field)]
    offset = 256 + count * sum(widths[name] for name in before) + signal * widths[field]
    return patched(path, offset, text, widths[field])


def write_reference_h5(
    path: Path,
    datasets: dict[str, np.ndarray],
    fs: float = 100,
    hypnogram: np.ndarray | None = None,
    description: object = None,
) -> Path:
    """An h5 record as the Dreem Open Datasets have them."""
    with h5py.File(path, "w") as file:
        for name, samples in datasets.items():
            file[name] = samples
        if hypnogram is not None:
            file["hypnogram"] = hypnogram
        if description is None:
            description = json.dumps([{"path": name, "fs": fs} for name in datasets])
        file.attrs["description"] = description
    return path
