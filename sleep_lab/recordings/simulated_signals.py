"""Signals of a simulated night: coloured noise that follows the night's course, plus its events."""

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from sleep_lab.recordings.simulated_course import STEP_S, Course, Floats, Person, wander
from sleep_lab.recordings.simulated_events import Rendered
from sleep_lab.recordings.simulated_montage import RHYTHMS, SOURCES
from sleep_lab.stages import REM

# Amplitude of each rhythm in each stage (W N1 N2 N3 REM), microvolts RMS where it is strongest;
# alpha as it is while on.
_LEVELS_UV = {
    "background": (9.0, 8.5, 9.5, 10.5, 8.5),
    "slow": (4.5, 4.5, 7.0, 9.5, 4.5),
    "theta": (3.6, 6.2, 5.4, 5.6, 5.4),
    "alpha": (11.0, 7.5, 6.0, 6.0, 6.5),
    "sigma": (2.2, 2.0, 2.4, 2.4, 2.0),
    "beta": (3.0, 2.4, 2.0, 1.7, 2.4),
    "muscle": (10.0, 6.0, 4.8, 4.4, 4.8),
    "mains": (0.8, 0.8, 0.8, 0.8, 0.8),
}
_ALPHA_OFF = 0.2
# standard deviations of the logarithm of each rhythm's amplitude: slow drifts over the night, and
# fluctuations within the minute
_DRIFT = np.array([0.12, 0.25, 0.25, 0.3, 0.3, 0.25, 0.3, 0.3])
_FLUCTUATION = np.array([0.15, 0.35, 0.35, 0.3, 0.35, 0.3, 0.35, 0.2])
_DRIFT_S = 600.0
_FLUCTUATION_S = 30.0

# share of the variance of their noise that the EEG and EOG channels of a night have in common
_SHARED = 0.5
_MAINS_HZ = 50.0

_BLOCK_STEPS = 2  # a block of noise lasts two steps, the next one starts a step later


def rhythm_amplitudes(course: Course, person: Person, rng: np.random.Generator) -> Floats:
    """Amplitude of every rhythm over the night, where it is strongest: (steps, rhythms) uV RMS."""
    levels = np.array([_LEVELS_UV[rhythm] for rhythm in RHYTHMS]).T[course.stage]
    muscle, alpha, beta = (RHYTHMS.index(name) for name in ("muscle", "alpha", "beta"))
    levels[~course.alpha, alpha] *= _ALPHA_OFF
    levels[course.stage == REM, muscle] *= person.atonia
    levels[course.arousal, muscle] *= 2.0
    levels[course.arousal, beta] *= 1.5
    levels[course.moving, muscle] *= 4.0
    levels[course.eyes_open, muscle] *= 1.4
    steps = len(levels)
    slow = np.stack([wander(steps, _DRIFT_S, rng) for _ in RHYTHMS], axis=1)
    fast = np.stack([wander(steps, _FLUCTUATION_S, rng) for _ in RHYTHMS], axis=1)
    return levels * person.rhythms * np.exp(_DRIFT * slow + _FLUCTUATION * fast)


@dataclass(frozen=True)
class Blocks:
    """How a signal is cut into overlapping blocks of noise.

    Attributes:
        sampling_rate: samples per second.
        samples: length of the signal.
    """

    sampling_rate: float
    samples: int

    @property
    def hop(self) -> int:
        """Samples from the start of a block to the start of the next."""
        return round(STEP_S * self.sampling_rate)

    @property
    def count(self) -> int:
        """Number of blocks; the first starts a hop before the signal."""
        return -(-self.samples // self.hop) + 1

    @property
    def frequencies(self) -> Floats:
        """Frequencies of a block's spectrum in Hz: (hop + 1,)."""
        length = _BLOCK_STEPS * self.hop
        return np.arange(length // 2 + 1) * (self.sampling_rate / length)

    def noise(self, rng: np.random.Generator) -> NDArray[np.complex64]:
        """Spectra of white noise, real and imaginary parts of variance 1: (blocks, frequencies)."""
        shape = (self.count, self.hop + 1, 2)
        return rng.standard_normal(shape, np.float32).view(np.complex64)[..., 0]

    def joined(self, spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
        """The signal whose blocks have these spectra, faded into each other: (samples,)."""
        blocks = scipy.fft.irfft(spectra, _BLOCK_STEPS * self.hop, axis=-1, overwrite_x=True)
        # halves of a sine: the squares of two that overlap add up to 1, so the variance is even
        blocks *= np.sin(np.pi * (np.arange(blocks.shape[1]) + 0.5) / blocks.shape[1])
        signal = blocks[:-1, self.hop :] + blocks[1:, : self.hop]
        return signal.reshape(-1)[: self.samples]


def background(
    blocks: Blocks, amplitudes: Floats, person: Person, noise: NDArray[np.complex64]
) -> NDArray[np.float32]:
    """Noise with the rhythms' spectra: (samples,) uV.

    Args:
        blocks: how the signal is cut.
        amplitudes: (steps, rhythms) uV RMS.
        person: whose alpha and spindle frequencies are used.
        noise: spectra of white noise.
    """
    shapes = _spectra(blocks.frequencies, person)
    step = np.round(np.arange(blocks.count) * blocks.hop / blocks.sampling_rate / STEP_S)
    step = np.clip(step.astype(int) - 1, 0, len(amplitudes) - 1)
    power = (amplitudes[step] ** 2).astype(np.float32) @ shapes.astype(np.float32)
    # half of a spectrum with E|noise|^2 = 2 makes a signal of variance sum(power)
    scale = np.float32(_BLOCK_STEPS * blocks.hop / 2)
    return blocks.joined(noise * (scale * np.sqrt(power)))


def _spectra(frequencies: Floats, person: Person) -> Floats:
    """Share of every rhythm's variance at every frequency: (rhythms, frequencies)."""
    f = np.maximum(frequencies, 1e-3)

    def peak(centre: float, width: float) -> Floats:
        return np.exp(-0.5 * ((f - centre) / width) ** 2)

    high_pass = f**4 / (f**4 + 0.3**4)
    shapes = np.stack(
        [
            (f + 0.5) ** -2.0,
            peak(1.0, 0.8),
            peak(5.5, 1.2),
            peak(person.alpha_hz, 0.6),
            peak(person.spindle_hz, 1.0),
            peak(19.0, 4.5),
            f**2 / (f**2 + 15.0**2) / (1 + (f / 60.0) ** 4),
            peak(_MAINS_HZ, 0.2),
        ]
    )
    shapes *= high_pass * (frequencies > 0) * (frequencies < frequencies[-1])
    return shapes / np.maximum(shapes.sum(1, keepdims=True), 1e-9)


def channel_signal(
    blocks: Blocks,
    amplitudes: Floats,
    person: Person,
    events: tuple[Rendered, ...],
    shown: Floats,
    shared: NDArray[np.complex64] | None,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """One channel's whole night: (samples,) uV.

    Args:
        blocks: how the signal is cut.
        amplitudes: (steps, rhythms) of the night.
        person: whose night it is.
        events: of the night.
        shown: (sources,) what the channel picks up.
        shared: the noise that it has in common with others, if any.
        rng: the channel's own chance.
    """
    steps = len(amplitudes)
    contact = rng.lognormal(0, 0.12)  # of this electrode, this night
    sway = np.exp(0.25 * wander(steps, _DRIFT_S, rng))  # sweat, a loose electrode
    seen = amplitudes * shown[: len(RHYTHMS)]
    seen[:, RHYTHMS.index("slow")] *= sway
    noise = blocks.noise(rng)
    if shared is not None:
        noise *= np.float32(np.sqrt(1 - _SHARED))
        noise += np.float32(np.sqrt(_SHARED)) * shared
    signal = background(blocks, seen, person, noise)
    for group in events:
        gain = shown[SOURCES.index(group.source)]
        if gain:
            np.add.at(signal, group.where, np.float32(gain) * group.values)
    return signal * np.float32(contact)
