"""The vocabulary of sleep staging: stages, their codes, names and colours.

A sleep epoch is 30 s of signal with one stage (AASM Manual for the Scoring of Sleep, 2007).
"""

SLEEP_EPOCH_S = 30
"""Duration of a sleep epoch in seconds."""

STAGES = ("W", "N1", "N2", "N3", "REM")
"""Stage names; a stage's code is its index."""

W, N1, N2, N3, REM = range(5)

UNSCORED = -1
"""Code of a sleep epoch without a stage."""

STAGE_COLOURS = {
    "W": "#E69F00",
    "N1": "#56B4E9",
    "N2": "#0072B2",
    "N3": "#1B1F5E",
    "REM": "#CC3311",
}
"""One colour per stage, told apart by people with any of the common colour-vision deficiencies."""

HYPNOGRAM_ORDER = ("N3", "N2", "N1", "REM", "W")
"""Stages from the bottom to the top of a drawn hypnogram."""

STAGE_OF_ANNOTATION = {
    "Sleep stage W": W,
    "Sleep stage N1": N1,
    "Sleep stage N2": N2,
    "Sleep stage N3": N3,
    "Sleep stage N4": N3,
    "Sleep stage R": REM,
    "Sleep stage 1": N1,
    "Sleep stage 2": N2,
    "Sleep stage 3": N3,
    "Sleep stage 4": N3,
    "Sleep stage ?": UNSCORED,
    "Movement time": UNSCORED,
}
"""Stage code of each EDF+ annotation text; Rechtschaffen and Kales' stages 3 and 4 are N3."""
