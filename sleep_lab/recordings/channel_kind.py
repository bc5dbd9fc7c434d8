"""What a channel records, told from its label."""

import re

from sleep_lab.recordings.channel import Kind

SCALP = r"(?:(?:FP|AF|FC|FT|CP|TP|PO|F|C|P|T|O)(?:\d{1,2}|Z)|FPZ|IZ)"
"""Regular expression of the electrodes of the 10-20 system, in capitals."""

_ECG = re.compile(r"E[CK]G")
_EOG = re.compile(r"EOG|\b(LOC|ROC|E[12])(?![A-Z0-9])")
_EMG = re.compile(r"EMG|CHIN|SUBMENT")
_REFERENCE = rf"(?:{SCALP}|[AM][12]|[A-Z]+)"
_EEG = re.compile(rf"EEG|^{SCALP}(?:\W*{_REFERENCE})?$")


def channel_kind(label: str) -> Kind:
    """The kind of an electric signal: by the words EEG, EOG, EMG, ECG or EKG in its label, by the
    names of eye and chin electrodes, or by those of the 10-20 system (Jasper 1958).

    A mastoid or ear electrode alone (M1, A2) is a reference, so it is "other".
    """
    words = label.upper().replace("_", " ").strip().removeprefix("POL ")
    if _ECG.search(words):
        return "ecg"
    if _EOG.search(words):
        return "eog"
    if _EMG.search(words):
        return "emg"
    if _EEG.search(words):
        return "eeg"
    return "other"
