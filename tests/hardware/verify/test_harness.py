# SPDX-License-Identifier: Apache-2.0
"""What goes into the harness, and how a test set is cut for it."""

import numpy as np
import pytest

from neurohw.hardware.verify.comparison import CELLS, CHUNK, chunk_size
from neurohw.hardware.verify.harness import event_words


def plain_words(spikes: np.ndarray) -> list[int]:
    """The words, one after the other."""
    words: list[int] = []
    for sample in range(spikes.shape[1]):
        for step in range(len(spikes)):
            addresses = [n for n, count in enumerate(spikes[step, sample]) for _ in range(count)]
            words += [len(addresses), *addresses]
    return words


@pytest.mark.parametrize("seed", range(30))
def test_events_are_those_of_a_plain_loop(seed: int) -> None:
    """Random counts up to 255, silent steps and samples, any memory order."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 9, 3))
    spikes = rng.integers(0, int(rng.choice([2, 4, 256])), shape).astype(np.uint8)
    spikes *= (rng.random(shape) < rng.random()).astype(np.uint8)
    spikes[rng.integers(shape[0])] = 0
    if seed % 2:
        spikes = np.asfortranarray(spikes)
    assert event_words(spikes).tolist() == plain_words(spikes)
    assert event_words(spikes[:, ::2]).tolist() == plain_words(spikes[:, ::2])


def test_chunks_are_bounded() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        samples, steps, neurons = (int(10 ** rng.uniform(0, high)) for high in (6, 3, 5))
        size = chunk_size(samples, steps, neurons)
        assert 1 <= size <= CHUNK[1] and (size == 1 or size * steps * neurons <= CELLS)
        assert size >= min(CHUNK[0], max(1, CELLS // (steps * neurons)))
