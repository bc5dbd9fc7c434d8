"""Nights as people have them: files, folders of them, tables of features, and simulated ones."""

from sleep_lab.recordings.channel import Channel, Kind
from sleep_lab.recordings.feature_table import FeatureTable, feature_tables
from sleep_lab.recordings.folders import edf_folder, h5_folder, mass, recording_file, sleep_edf
from sleep_lab.recordings.h5 import write_h5
from sleep_lab.recordings.night_source import NightFile, NightSource
from sleep_lab.recordings.opening import open_recording
from sleep_lab.recordings.recording import Recording, SignalSource
from sleep_lab.recordings.scoring import LengthMismatch
from sleep_lab.recordings.simulated import SimulatedNight, simulate, simulated_nights

__all__ = [
    "Channel",
    "FeatureTable",
    "Kind",
    "LengthMismatch",
    "NightFile",
    "NightSource",
    "Recording",
    "SignalSource",
    "SimulatedNight",
    "edf_folder",
    "feature_tables",
    "h5_folder",
    "mass",
    "open_recording",
    "recording_file",
    "simulate",
    "simulated_nights",
    "sleep_edf",
    "write_h5",
]
