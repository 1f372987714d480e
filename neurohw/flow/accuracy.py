# SPDX-License-Identifier: Apache-2.0
"""The accuracy of a model, in parts that fit into memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.network import Network
from neurohw.readout import accuracy, scores
from neurohw.stimulus import Spikes

CHUNK = 500  # samples simulated at once,
STATES = 1 << 24  # and membranes kept at once


def model_accuracy(
    run: Callable[..., Any],
    model: Any,
    network: Network,
    spikes: Spikes,
    labels: NDArray[np.int64],
) -> float:
    """Accuracy of `run(model, spikes)` with labels [sample]."""
    parts = []
    # of one sample, in each of v, c and r
    states = spikes.steps * sum(p.size for p in network.populations)
    chunk = min(CHUNK, max(1, STATES // states))
    for start in range(0, spikes.samples, chunk):
        trace = run(model, spikes.part(slice(start, start + chunk)))
        parts.append(scores(trace, network))
    return accuracy(np.concatenate(parts), labels)
