"""Hypnograms for other programs: lists of stages, EDF+ annotations, BIDS events."""

import csv
import io
import json
from pathlib import Path

import edfio
import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError, one_line
from sleep_lab.evaluation.night_result import NightResult
from sleep_lab.stages import SLEEP_EPOCH_S, STAGES, UNSCORED
from sleep_lab.whole_file import write_whole

EDF_TEXTS = (
    "Sleep stage W",
    "Sleep stage N1",
    "Sleep stage N2",
    "Sleep stage N3",
    "Sleep stage R",
)
"""The standard text of each stage's annotation (EDF+ specification, standard texts)."""

NOT_AVAILABLE = "n/a"
"""What BIDS has for a missing value."""


def write_exports(folder: Path, night: NightResult, model: str) -> None:
    """Write a night's hypnogram into the folder, in three formats.

    - `json/MODEL/ID.json`: see `stages_json`; `evaluate.py predictions=` reads the folder `json`.
    - `edf/ID.edf`: see `annotations_edf`.
    - `bids/ID_events.tsv` and `bids/ID_events.json`: see `events_tsv` and `events_columns`.

    Raises:
        InputError: the id cannot name a file, EDF+ cannot hold the start time, or a file cannot be
            written.
    """
    if night.id in ("", ".", "..") or Path(night.id).name != night.id:
        raise InputError(f"a night is called {night.id!r}, which cannot name its files; rename it")
    files = {
        f"json/{model}/{night.id}.json": stages_json(night),
        f"edf/{night.id}.edf": annotations_edf(night),
        f"bids/{night.id}_events.tsv": events_tsv(night),
        f"bids/{night.id}_events.json": events_columns(),
    }
    for name, content in files.items():
        write_whole(folder / name, content)


def stages_json(night: NightResult) -> bytes:
    """A list of stage codes, the first of them for the recording's first sleep epoch.

    Epochs before those that were staged are -1, so that lists of one recording fit together.
    """
    before = np.full(night.first_epoch, UNSCORED)
    return f"{json.dumps([*before.tolist(), *night.hypnogram.tolist()])}\n".encode()


def annotations_edf(night: NightResult) -> bytes:
    """An EDF+ file without signals: one annotation of 30 s per sleep epoch.

    It starts when the recording does, so that onsets count from the recording's first sample, and
    is dated 1985-01-01 0:00 if that is unknown.

    Raises:
        InputError: the start time is not between 1985 and 2084.

    Source: Kemp and Olivan, "European data format 'plus' (EDF+), an EDF alike standard format for
    the exchange of physiological data", 2003.
    """
    rows = zip(_onsets(night).tolist(), night.hypnogram.tolist(), strict=True)
    annotations = [
        edfio.EdfAnnotation(onset, SLEEP_EPOCH_S, EDF_TEXTS[stage]) for onset, stage in rows
    ]
    start = night.start_time
    day, time = (None, None) if start is None else (start.date(), start.time())
    try:
        edf = edfio.Edf(
            [],
            recording=edfio.Recording(startdate=day, equipment_code="sleep_lab"),
            starttime=time,
            annotations=annotations,
        )
        return edf.to_bytes()
    except ValueError as error:
        raise InputError(
            f"{night.id}: an EDF+ file cannot say that it starts at {start}: {one_line(error)}; "
            "correct the recording's start time"
        ) from error


def events_tsv(night: NightResult) -> bytes:
    """One event per sleep epoch, tab-separated: what `events_columns` describes.

    Source: Brain Imaging Data Structure, section "events".
    """
    expert = [NOT_AVAILABLE] * night.epochs
    if night.expert is not None:
        names = np.array([*STAGES, NOT_AVAILABLE])
        expert = names[night.expert].tolist()
    stages = np.array(STAGES)[night.hypnogram].tolist()
    probabilities = ([f"{value:.6f}" for value in row] for row in night.hypnodensity.tolist())
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(("onset", "duration", "trial_type", "expert", *map("p_{}".format, STAGES)))
    onsets = _onsets(night).tolist()
    for onset, stage, scored, row in zip(onsets, stages, expert, probabilities, strict=True):
        writer.writerow((onset, SLEEP_EPOCH_S, stage, scored, *row))
    return text.getvalue().encode()


def events_columns() -> bytes:
    """What the columns of `events_tsv` mean: the JSON that BIDS has beside an events file."""
    levels = {stage: f"sleep stage {stage}" for stage in STAGES}
    columns = {
        "onset": {"Description": "from the recording's first sample", "Units": "s"},
        "duration": {"Description": "of the sleep epoch", "Units": "s"},
        "trial_type": {"Description": "the model's stage", "Levels": levels},
        "expert": {"Description": "the expert's stage, n/a if unscored", "Levels": levels},
        **{
            f"p_{stage}": {"Description": f"the model's probability of {stage}"} for stage in STAGES
        },
    }
    return f"{json.dumps(columns, indent=2)}\n".encode()


def _onsets(night: NightResult) -> NDArray[np.int64]:
    """(epochs,) in seconds from the recording's first sample."""
    return (night.first_epoch + np.arange(night.epochs)) * SLEEP_EPOCH_S
