# SPDX-License-Identifier: Apache-2.0
"""Sound to spikes, like a cochlea: a bank of gammatone filters, hair cells, and a leaky
integrate-and-fire neuron for each channel.

centre frequencies   evenly spaced on the scale of equivalent rectangular bandwidths (Glasberg and
                     Moore, 1990):
                     E(f) = 21.4 log10(1 + 0.00437 f)
filter               gammatone of order 4 at each of them
hair cell            half-wave rectified, mean over each millisecond, square root; millisecond k
holds the samples round(k rate / 1000) up to
                     the first one of the next, so that it is one on average at any rate (44 or 45
                     samples at 44.1 kHz)
neuron               v = exp(-1 ms / tau) v + gain x, a spike and v - 1 at v >= 1
"""

from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from neurohw.data.spikes import Recordings
from neurohw.data.stepping import whole
from neurohw.errors import InvalidData

POLYNOMIAL_RATE = 16000  # samples per second


def erb_spaced(low: float, high: float, channels: int) -> NDArray[np.float64]:
    """Frequencies in Hz from low to high, evenly spaced in equivalent rectangular bandwidths."""
    scale = 21.4 * np.log10(1 + 0.00437 * np.array([low, high]))
    return np.asarray((10 ** (np.linspace(scale[0], scale[1], channels) / 21.4) - 1) / 0.00437)


def gammatone_filter(wave: NDArray[np.float64], frequency: float, rate: int) -> NDArray[np.float64]:
    """A wave [sample] behind the gammatone of a centre frequency in Hz (Slaney, 1993; gain 1
    there).

    Up to POLYNOMIAL_RATE as one fraction of polynomials, above it as its four sections of order 2:
    the poles of low frequencies are then so near to each other and to the unit circle that the
    coefficients of a polynomial of order 8 do not hold them (at 44.1 kHz and 80 Hz they grow
    without bound).
    """
    from scipy.signal import gammatone, lfilter, sosfilt  # local: takes long to load

    b, a = gammatone(frequency, "iir", fs=rate)
    if rate <= POLYNOMIAL_RATE:
        return np.asarray(lfilter(b, a, wave))
    angle, radius = (
        2 * np.pi * frequency / rate,
        np.exp(-2 * np.pi * 1.019 * 24.7 * (4.37e-3 * frequency + 1) / rate),
    )
    shifts = np.sqrt(3 + np.array([1, 1, -1, -1]) * 2**1.5) * [1, -1, 1, -1]
    sections = np.zeros((4, 6))
    sections[:, 0], sections[:, 1] = 1, -radius * (np.cos(angle) + shifts * np.sin(angle))
    sections[:, 3:] = [1, -2 * radius * np.cos(angle), radius**2]
    return np.asarray(sosfilt(sections, b[0] * wave))


def frame_borders(samples: int, rate: int) -> NDArray[np.int64]:
    """The first sample of every millisecond, and last the end: round(k rate / 1000), halves up.

    As many milliseconds as cover `samples`.
    """
    steps = next(
        k for k in count((samples * 1000) // rate) if (2 * k * rate + 1000) // 2000 >= samples
    )
    return (2 * np.arange(steps + 1, dtype=np.int64) * rate + 1000) // 2000


@dataclass(frozen=True)
class Cochlea:
    """The parameters. low, high in Hz; time_constant in seconds;

    gain: of a full-scale sound (1.0) into the membrane per millisecond.

    Raises InvalidData for values that make no filter bank.
    """

    channels: int = 64
    low: float = 80.0
    high: float = 3600.0
    time_constant: float = 0.02
    gain: float = 0.65

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", whole(self.channels, "cochlea: channels", 1))
        if not (
            0 < self.low < self.high < np.inf
            and 0 < self.time_constant < np.inf
            and 0 < self.gain < np.inf
        ):
            raise InvalidData(
                f"{self}: low < high, time_constant and gain must be above 0 and finite"
            )

    def hair_cells(self, wave: NDArray[np.floating], rate: int) -> NDArray[np.float64]:
        """What the hair cells send [millisecond, channel] for a sound in -1..1 [sample] at `rate`
        samples per second.
        """
        if wave.ndim != 1 or not len(wave):
            raise InvalidData(
                f"a sound is one channel of samples, not an array of shape {wave.shape}"
            )
        if not np.isfinite(wave).all():
            raise InvalidData(
                "a sound holds finite numbers, this one has infinities or what is not a number"
            )
        rate = whole(rate, "samples per second", 1000)
        if not self.high < rate / 2:
            raise InvalidData(
                f"filters up to {self.high:g} Hz need more than {2 * self.high:g} samples "
                f"per second, not {rate}"
            )
        borders = frame_borders(len(wave), rate)
        padded = np.pad(np.asarray(wave, np.float64), (0, borders[-1] - len(wave)))
        lengths, steps = np.diff(borders), len(borders) - 1
        within = np.arange(lengths.max())
        sample = np.minimum(borders[:-1, None] + within, borders[-1] - 1)
        result = np.empty((steps, self.channels))
        for channel, frequency in enumerate(erb_spaced(self.low, self.high, self.channels)):
            heard = np.maximum(gammatone_filter(padded, frequency, rate), 0.0)
            frames = np.where(within < lengths[:, None], heard[sample], 0.0)
            result[:, channel] = np.sqrt(frames.sum(1) / lengths)
        return result

    def spikes(
        self, wave: NDArray[np.floating], rate: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(time in milliseconds, channel) of every spike, in the order of time."""
        drive = self.gain * self.hair_cells(wave, rate)
        decay = float(np.exp(-1e-3 / self.time_constant))
        v = np.zeros(self.channels)
        fired = np.zeros(drive.shape, bool)
        for t, x in enumerate(drive):
            v = decay * v + x
            fired[t] = v >= 1
            v -= fired[t]
        time, channel = np.nonzero(fired)
        return time, channel

    def recordings(
        self,
        name: str,
        waves: list[NDArray[np.floating]],
        rate: int,
        labels: NDArray[np.int64],
        speakers: NDArray[np.int64] | None = None,
    ) -> Recordings:
        """The spikes of many sounds."""
        found = [self.spikes(wave, rate) for wave in waves]
        time, channel = (np.concatenate([f[k] for f in found]) for k in (0, 1))
        offsets = np.cumsum([0, *(len(f[0]) for f in found)])
        return Recordings(name, time / 1000, channel, offsets, labels, self.channels, speakers)
