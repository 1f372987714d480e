# SPDX-License-Identifier: Apache-2.0
"""The cochlea: its frequencies, where a tone is heard, how loudness becomes a rate, and what it
refuses.
"""

from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import gammatone, lfilter

from neurohw.data import Cochlea
from neurohw.data.cochlea import erb_spaced, frame_borders, gammatone_filter
from neurohw.errors import InvalidData

RATE = 8000


def tone(frequency: float, seconds: float = 0.3, loudness: float = 1.0) -> np.ndarray:
    return loudness * np.sin(2 * np.pi * frequency * np.arange(int(RATE * seconds)) / RATE)


def test_frequencies_by_hand() -> None:
    """The ends are exact; 1000 Hz is 15.6 bandwidths up the scale (Glasberg and Moore)."""
    frequencies = erb_spaced(80, 3600, 64)
    assert frequencies[0] == pytest.approx(80) and frequencies[-1] == pytest.approx(3600)
    steps = np.diff(21.4 * np.log10(1 + 0.00437 * frequencies))
    assert np.allclose(steps, steps[0])
    assert 21.4 * np.log10(1 + 4.37) == pytest.approx(15.62, abs=0.01)


@pytest.mark.parametrize("channel", [5, 20, 40, 60])
def test_a_tone_is_heard_where_it_belongs(channel: int) -> None:
    cochlea = Cochlea()
    frequency = erb_spaced(cochlea.low, cochlea.high, cochlea.channels)[channel]
    heard = cochlea.hair_cells(tone(frequency), RATE)
    assert heard.shape == (300, 64) and heard.min() >= 0
    assert abs(int(heard[100:].mean(0).argmax()) - channel) <= 1
    time, where = cochlea.spikes(tone(frequency), RATE)
    assert len(time) > 20 and abs(float(np.median(where)) - channel) <= 3
    assert np.all(np.diff(time) >= 0) and time.max() < 300


def test_louder_fires_more_and_silence_never() -> None:
    cochlea = Cochlea()
    counts = [
        len(cochlea.spikes(tone(500, loudness=level), RATE)[0]) for level in (0.0, 0.05, 0.2, 1.0)
    ]
    assert counts[0] == 0 and counts[0] < counts[1] < counts[2] < counts[3]


def test_recordings_hold_every_spike() -> None:
    waves = [tone(300), tone(2000, 0.1), np.zeros(80)]
    cochlea = Cochlea(channels=16)
    recordings = cochlea.recordings("tones", waves, RATE, np.array([0, 1, 1]))
    assert recordings.offsets[-1] == len(recordings.time) and recordings.channels == 16
    assert np.diff(recordings.offsets).tolist() == [len(cochlea.spikes(w, RATE)[0]) for w in waves]
    assert recordings.counts(30, 0.01).sum() == recordings.offsets[-1]


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
def test_a_millisecond_is_one_at_any_rate(rate: int) -> None:
    """rate // 1000 samples make 0.9977 ms at 44.1, 22.05 and 11.025 kHz:

    7 milliseconds too many in three seconds.
    """
    borders = frame_borders(3 * rate, rate)
    assert borders[0] == 0 and borders[-1] == 3 * rate and len(borders) - 1 == 3000
    exact = [Fraction(k * rate, 1000) for k in range(3001)]
    assert max(abs(b - e) for b, e in zip(borders.tolist(), exact, strict=True)) <= Fraction(1, 2)
    click = np.zeros(3 * rate)
    click[int(2.5 * rate) + 2] = 1.0  # two samples after 2.5 s
    heard = Cochlea(channels=4, high=3000.0).hair_cells(click, rate)
    assert heard.shape == (3000, 4)
    assert np.flatnonzero(heard.sum(1))[0] == 2500


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("frequency", [80.0, 200.0, 1000.0])
def test_a_filter_has_gain_1_at_its_frequency_and_ends(frequency: float, rate: int) -> None:
    """Of the polynomials of order 8 at 80 Hz the gain is 1.3 at 22.05 kHz, and at 44.1 kHz they
    grow to 10^36.
    """
    click = np.zeros(rate)
    click[0] = 1.0
    heard = gammatone_filter(click, frequency, rate)
    gain = np.abs(np.sum(heard * np.exp(-2j * np.pi * frequency * np.arange(rate) / rate)))
    assert (
        gain == pytest.approx(1.0, abs=2e-3)
        and np.abs(heard[-rate // 4 :]).max() < 1e-9 * np.abs(heard).max()
    )


def test_sections_are_the_polynomials_where_these_hold() -> None:
    wave = np.random.default_rng(1).normal(size=4000)
    for frequency in (1000.0, 3000.0):
        expected = lfilter(*gammatone(frequency, "iir", fs=22050), wave)
        np.testing.assert_allclose(gammatone_filter(wave, frequency, 22050), expected, atol=1e-6)


def test_a_tone_fires_as_often_at_any_rate() -> None:
    counts = []
    for rate in (8000, 11025, 44100):
        wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
        counts.append(len(Cochlea(channels=16, high=3000.0).spikes(wave, rate)[0]))
    assert max(counts) - min(counts) < 0.02 * max(counts)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_whole_milliseconds_are_as_ever(rate: int) -> None:
    """Where a millisecond is a whole number of samples its mean is that of a plain block of
    samples, to the last bit.
    """
    wave = np.random.default_rng(0).normal(size=rate // 3 + 5)
    cochlea = Cochlea(channels=6, high=3000.0)
    length = rate // 1000
    padded = np.pad(wave, (0, -len(wave) % length))
    for channel, frequency in enumerate(erb_spaced(cochlea.low, cochlea.high, 6)):
        heard = np.maximum(lfilter(*gammatone(frequency, "iir", fs=rate), padded), 0.0)
        expected = np.sqrt(heard.reshape(-1, length).mean(1))
        assert np.array_equal(cochlea.hair_cells(wave, rate)[:, channel], expected)


def test_what_cannot_be_heard_is_refused() -> None:
    with pytest.raises(InvalidData, match="more than 7200 samples per second, not 4000"):
        Cochlea().hair_cells(tone(300), 4000)
    with pytest.raises(InvalidData, match="one channel"):
        Cochlea().hair_cells(np.zeros((2, 100)), RATE)
    for wrong in (np.nan, np.inf):
        with pytest.raises(InvalidData, match="finite numbers"):
            Cochlea().hair_cells(np.array([0.0, wrong]), RATE)
    for rate in (8000.0, 441):
        with pytest.raises(InvalidData, match="samples per second"):
            Cochlea(high=100.0).hair_cells(tone(300), rate)  # type: ignore[arg-type]
    for wrong in (
        {"low": 100.0, "high": 50.0},
        {"high": np.inf},
        {"gain": np.nan},
        {"time_constant": np.inf},
    ):
        with pytest.raises(InvalidData, match="low < high"):
            Cochlea(**wrong)
    for channels in (0, 3.5):
        with pytest.raises(InvalidData, match="channels must be"):
            Cochlea(channels=channels)  # type: ignore[arg-type]
