"""Which simulated channel sees what: electrodes and the sources near them."""

import re
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError, nearest
from sleep_lab.recordings.channel import Kind
from sleep_lab.recordings.channel_kind import channel_kind

RHYTHMS = ("background", "slow", "theta", "alpha", "sigma", "beta", "muscle", "mains")
"""Sources that are always there."""

SOURCES = (*RHYTHMS, "eyes", "lids", "body", "heart")
"""All that a channel may pick up."""

# How much of each source an electrode at a site picks up, in the order of SOURCES: slow waves are
# largest in front, spindles in the centre, alpha at the back.
_SITES = {
    "Fp": (0.9, 1.00, 0.8, 0.35, 0.55, 0.9, 0.08, 1.0, 0.30, 0.80, 1.0, 0.0),
    "F": (1.0, 1.00, 0.9, 0.45, 0.85, 1.0, 0.06, 1.0, 0.12, 0.25, 1.0, 0.0),
    "C": (1.0, 0.90, 1.0, 0.60, 1.00, 1.0, 0.04, 1.0, 0.04, 0.05, 1.0, 0.0),
    "T": (0.8, 0.60, 0.8, 0.55, 0.45, 0.9, 0.10, 1.0, 0.06, 0.05, 1.0, 0.0),
    "P": (0.9, 0.70, 0.8, 0.90, 0.75, 0.8, 0.04, 1.0, 0.02, 0.02, 1.0, 0.0),
    "O": (0.9, 0.55, 0.6, 1.00, 0.35, 0.8, 0.05, 1.0, 0.01, 0.01, 1.0, 0.0),
    "M": (0.2, 0.10, 0.1, 0.15, 0.05, 0.1, 0.05, 1.0, 0.00, 0.00, 0.3, 0.0),
    "eye": (0.7, 0.50, 0.4, 0.20, 0.15, 0.5, 0.08, 1.0, 1.00, 0.40, 1.0, 0.0),
    "chin": (0.1, 0.00, 0.0, 0.00, 0.00, 0.0, 1.00, 1.0, 0.00, 0.00, 0.4, 0.005),
    "chest": (0.6, 0.00, 0.0, 0.00, 0.00, 0.0, 0.50, 1.0, 0.00, 0.00, 1.5, 1.000),
}
_SITE_OF_ELECTRODE = {"AF": "Fp", "FP": "Fp", "FC": "F", "CP": "C", "PO": "O", "A": "M"}
_SITE_OF_KIND = {"eeg": "C", "eog": "eye", "emg": "chin", "ecg": "chest"}
# two electrodes see the same source alike, not equally
_LIKENESS = 0.85

_ELECTRODE = re.compile(r"\b(FP|AF|FC|CP|PO|[FCTPOAM])(?:Z|\d{1,2})\b", re.IGNORECASE)
_RIGHT_EYE = re.compile(r"EOG ?2|\bE2\b|\bROC\b|\bright\b|EOG ?R\b", re.IGNORECASE)


def kind_of(name: str, kind: str | None = None) -> Kind:
    """The kind given to a channel, or the one that its name stands for.

    Raises:
        InputError: the kind cannot be simulated, or the name stands for none.
    """
    found = kind or channel_kind(name)
    for known in get_args(Kind):
        if found == known and found in _SITE_OF_KIND:
            return known
    if kind is None:
        raise InputError(
            f"simulated nights: the name {name!r} does not say the channel's kind; "
            f"give it too, as in {{{name!r}: eeg}}"
        )
    raise InputError(
        f"simulated nights: channel {name!r} is of unknown kind {kind!r}; "
        f"{nearest(kind, _SITE_OF_KIND)}"
    )


def sensitivity(name: str, kind: Kind) -> NDArray[np.float64]:
    """How much of each source a channel shows, with the sign: (sources,).

    An EEG channel is the difference of the two electrodes in its name; one whose name has none is
    taken for a central one.
    """
    words = _words(name)
    electrodes = [match.upper() for match in _ELECTRODE.findall(words)]
    sites = [_SITES[_SITE_OF_ELECTRODE.get(electrode, electrode)] for electrode in electrodes]
    if kind != "eeg" or not sites:
        sites = [_SITES[_SITE_OF_KIND[kind]], *(sites if kind == "eog" else [])]
    active = np.array(sites[0])
    reference = np.array(sites[1]) if len(sites) > 1 else np.zeros(len(SOURCES))
    difference = active - reference
    shown = np.copysign(
        np.sqrt(difference**2 + 2 * (1 - _LIKENESS) * active * reference), difference
    )
    if kind == "eog" and _RIGHT_EYE.search(words):
        shown[SOURCES.index("eyes")] *= -1  # looking left is looking away from the right electrode
    return shown


def _words(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name)
