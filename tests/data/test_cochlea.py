"""The cochlea: its frequencies, where a tone is heard, how loudness becomes a rate, and what it refuses."""

import numpy as np
import pytest

from neurohw.data import Cochlea
from neurohw.data.cochlea import erb_spaced
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
    counts = [len(cochlea.spikes(tone(500, loudness=level), RATE)[0]) for level in (0.0, 0.05, 0.2, 1.0)]
    assert counts[0] == 0 and counts[0] < counts[1] < counts[2] < counts[3]


def test_recordings_hold_every_spike() -> None:
    waves = [tone(300), tone(2000, 0.1), np.zeros(80)]
    cochlea = Cochlea(channels=16)
    recordings = cochlea.recordings("tones", waves, RATE, np.array([0, 1, 1]))
    assert recordings.offsets[-1] == len(recordings.time) and recordings.channels == 16
    assert np.diff(recordings.offsets).tolist() == [len(cochlea.spikes(w, RATE)[0]) for w in waves]
    assert recordings.counts(30, 0.01).sum() == recordings.offsets[-1]


def test_what_cannot_be_heard_is_refused() -> None:
    with pytest.raises(InvalidData, match="more than 7200 samples per second, not 4000"):
        Cochlea().hair_cells(tone(300), 4000)
    with pytest.raises(InvalidData, match="one channel"):
        Cochlea().hair_cells(np.zeros((2, 100)), RATE)
    with pytest.raises(InvalidData, match="low < high"):
        Cochlea(low=100, high=50)
