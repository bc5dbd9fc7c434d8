"""What the field calls the same signal, so that `C3_M2` is found where a file says `EEG C3-A2`.

A name is taken apart into what is recorded and against which reference. Two names fit each other
if they are of one kind and say the same of both, or if one of them leaves out a reference that goes
without saying: `C4` may be `C4-REF` or `C4-CLE`, and `E1` may be `E1-M2`, but `C4` is never
`C4-M1`, which is another signal. Names that are not understood fit none but themselves.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sleep_lab.recordings.channel import Channel, Kind
from sleep_lab.recordings.channel_kind import SCALP, channel_kind

_PREFIXES = {"POL", "EEG", "EOG", "EMG", "ECG", "EKG"}
"""Words that say no more than the kind, or nothing; amplifiers put them before the name."""

_SITES = {"A1": "M1", "A2": "M2", "T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
"""Ears are as good as mastoids; temporal sites of the 10-20 system by their names in the 10-10."""

_EYES = {
    **dict.fromkeys(("LOC", "EOG1", "EOGL", "LEOG", "L", "LEFT", "1"), "E1"),
    **dict.fromkeys(("ROC", "EOG2", "EOGR", "REOG", "R", "RIGHT", "2"), "E2"),
}
_HORIZONTAL = {"HORIZ", "HORIZONTAL"}
"""May follow the name of an eye."""

_CHIN: tuple[list[str], ...] = ([], ["CHIN"], ["SUBMENTAL"], ["EMG1", "EMG2"])
"""EMG whose name says no more is of the two electrodes on the chin."""

_LEADS = {"I", "II", "1-2"}
"""Of the ECG: the limb leads of these names, and two electrodes that have numbers only. A night has
one lead as a rule, which is then the ECG.
"""

_NUMBERED: tuple[list[str], ...] = (["ECG1", "ECG2"], ["EKG1", "EKG2"])

_COMMON = {"REF", "LE", "CLE", "LER"}
"""References of a whole recording: the amplifier's, or the ears linked in one way or another. An
average of electrodes is none of them, as it depends on which there are.
"""
_GOES_WITHOUT_SAYING = {
    "eeg": _COMMON,
    "eog": {*_COMMON, "M1", "M2"},
    "emg": _COMMON,
    "ecg": _LEADS,
}

_NO_ELECTRODE = {None, *_COMMON, *_LEADS}
"""What makes no derivation of a channel."""

_EAR_AT_ONCE = re.compile(rf"({SCALP})([AM][12])")
_SEPARATORS = re.compile(r"[\s_\-:/().]+")
_PLACES = {
    "eeg": re.compile(rf"{SCALP}|M[12]"),
    "eog": re.compile("E[12]"),
    "emg": re.compile(r"CHIN\d"),
    "ecg": re.compile("HEART"),
}


@dataclass(frozen=True)
class Meaning:
    """What a channel's name stands for.

    Attributes:
        kind: eeg, eog, emg or ecg.
        site: what is recorded, under one name for all its synonyms.
        reference: against what, likewise; None if the name does not say.
    """

    kind: Kind
    site: str
    reference: str | None = None

    def fits(self, other: "Meaning") -> bool:
        """Whether both are names of one signal."""
        if (self.kind, self.site) != (other.kind, other.site):
            return False
        said = {self.reference, other.reference}
        return len(said) == 1 or (None in said and said <= {None, *_GOES_WITHOUT_SAYING[self.kind]})


def meaning(name: str) -> Meaning | None:
    """What the name stands for; None if it is not understood."""
    kind = channel_kind(name)
    if kind == "other":
        return None
    joined = re.sub(r"CHIN[\s_]+(?=\d)", "CHIN", name.upper())
    words = [w for w in _SEPARATORS.split(joined) if w and w not in _PREFIXES]
    site, *reference = _places(kind, words) or [""]
    known = _PLACES["eeg"], _PLACES["eog"], _PLACES["emg"]
    if not _PLACES[kind].fullmatch(site) or len(reference) > 1:
        return None
    said = _COMMON | (_LEADS if kind == "ecg" else set())
    if any(r not in said and not any(k.fullmatch(r) for k in known) for r in reference):
        return None
    return Meaning(kind, site, *reference)


def _places(kind: Kind, words: list[str]) -> list[str]:
    """What is recorded and against what, under one name for all synonyms."""
    if kind == "ecg":
        return ["HEART", *(["1-2"] if words in _NUMBERED else words)]
    if kind == "emg" and words in _CHIN:
        return ["CHIN1", "CHIN2"]
    if kind == "eog":
        words = [w for n, w in enumerate(words) if n != 1 or w not in _HORIZONTAL]
        words = [_EYES.get(word, word) for word in words]
    if kind == "eeg" and len(words) == 1 and (both := _EAR_AT_ONCE.fullmatch(words[0])):
        words = list(both.groups())
    return [_SITES.get(word, word) for word in words]


def synonymous(name: str, channels: Sequence[Channel]) -> list[int]:
    """Positions of the channels that the name may mean, though they are called otherwise."""
    wanted = meaning(name)
    if wanted is None:
        return []
    return [n for n, found in enumerate(_meanings(channels)) if found and wanted.fits(found)]


def electrodes_of_derivations(channels: Sequence[Channel]) -> list[int]:
    """Positions of single electrodes that a derivation among the channels is already made from.

    Some recorders keep C3 beside C3-M2: the same brain twice, the first with the noise of the
    amplifier's reference.
    """
    found = _meanings(channels)
    derived = {(m.kind, m.site) for m in found if m and m.reference not in _NO_ELECTRODE}
    return [
        n
        for n, m in enumerate(found)
        if m and m.reference in _NO_ELECTRODE and (m.kind, m.site) in derived
    ]


def _meanings(channels: Sequence[Channel]) -> list[Meaning | None]:
    """What each channel's name stands for; None if its kind is not the one that the name says."""
    meanings = [meaning(channel.name) for channel in channels]
    return [
        m if m and m.kind == channel.kind else None
        for m, channel in zip(meanings, channels, strict=True)
    ]
