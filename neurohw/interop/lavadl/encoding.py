# SPDX-License-Identifier: Apache-2.0
"""The spikes that a file's `input` layer makes of an image."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidModel, Unsupported
from neurohw.interop.lavadl.file import read
from neurohw.interop.lavadl.neurons import WEIGHT_SHIFT, neurons_of


def encode_input(
    path: Path | str, drive: NDArray[Any], steps: int, strict: bool = True
) -> NDArray[np.uint8]:
    """Spikes [time, 1, neuron] of the file's `input` layer under a constant drive.

    drive: whole numbers [channel, row, column], the bias mantissa of every input neuron; for a
        pixel x it is weight x + bias, with the two numbers that the layer stores. Each step adds
        drive << 6 to the current, or to the membrane of a neuron without one.

    Raises Unsupported if there is no input layer with neurons, InvalidModel for a drive of another
    shape.
    """
    layer = read(Path(path))[0][0]
    if layer.kind != "input":
        raise Unsupported(
            f"{layer.node}: it is of type {layer.kind!r}, there is no input layer to encode an "
            "image with"
        )
    if not layer.has_neurons:
        raise Unsupported(
            f"{layer.node}: the input layer has no neurons: its input is spikes already"
        )
    shape = tuple(int(n) for n in layer.integers("shape").ravel())
    if drive.shape != shape:
        raise InvalidModel(f"{layer.node}: the drive has shape {drive.shape}, {shape} is needed")
    neurons = neurons_of(layer, shape[0])
    current = drive.astype(np.int64).ravel() << WEIGHT_SHIFT
    threshold = np.repeat(neurons.threshold, current.size // len(neurons.threshold))
    u, v = np.zeros_like(current), np.zeros_like(current)
    spikes = np.zeros((steps, 1, current.size), np.uint8)
    for t in range(steps):
        u = current if neurons.synapse_decay is None else neurons.synapse_decay.apply(u) + current
        v = neurons.decay.apply(v) + u
        fired = v > threshold if strict else v >= threshold
        spikes[t, 0] = fired
        v = np.where(fired, 0, v)
    return spikes
