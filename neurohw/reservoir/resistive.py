# SPDX-License-Identifier: Apache-2.0
"""Reservoirs whose random weights are what forming leaves of resistive devices.

Every pair (input, neuron) and (neuron, neuron) has a pair of devices, and no device is programmed:
forming makes a random subset conduct (`neurohw.memristor.devices.forming`), and that is the weight.

    w = (G+ - G-) step,   G = max(0, N(mean, (spread mean)^2)) with `probability`, else 0
    E w = 0,   E w^2 = 2 (p E[G^2 | formed] - p^2 E[G | formed]^2) step^2,   P(w = 0) = (1 - p)^2

The same chip is seen in two ways: `resistive_liquid` gives its weights as they are, a Liquid for
every engine, the quantizer and the hardware, in which pairs of unformed devices are no synapses;
`Chip.run` gives its spikes with read noise at every step.

    chip = resistive_chip(64, 400, scale=0.3, input_scale=2.4, seed=0)
    liquid = resistive_liquid(chip)
    noisy = chip.run(spikes, 0.0, states=False).spikes["liquid"]

Source: Lin et al., resistive memory-based zero-shot liquid state machine; its equations are not
published, those of the neuron are of the usual kind.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import POSITIVE, real
from neurohw.connections import Sparse
from neurohw.errors import InvalidModel
from neurohw.memristor import Chip, Device, program
from neurohw.memristor.devices import Forming
from neurohw.memristor.read import clipped_moments
from neurohw.network import Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Lif, Source
from neurohw.reservoir.liquid import Liquid

RESISTIVE_NEURON = Lif(decay=0.9, threshold=5.0, reset="hard")


def formed_moments(device: Forming) -> tuple[float, float]:
    """Mean and variance of the conductance of a device that may be formed or not, microsiemens and
    its square, exactly (a negative draw is 0).
    """
    mean = np.array([device.g_max_microsiemens])
    first, variance = (
        float(m[0])
        for m in clipped_moments(
            mean, device.programming_scale * device.spread * mean, device.limits
        )
    )
    p = device.probability
    return p * first, p * (variance + first**2) - (p * first) ** 2


def resistive_chip(
    inputs: int,
    neurons: int = 200,
    scale: float = 0.07,
    input_scale: float | None = None,
    device: Device | None = None,
    neuron: Lif | None = None,
    steps: int = 50,
    seed: int = 0,
) -> Chip:
    """A chip with populations `input` and `liquid`, every pair of neurons on a pair of devices.

    scale, input_scale: standard deviation of recurrent and input weights over all pairs (equal
        unless given); the gain of the sense amplifiers follows from it.
    device: Forming() unless given.
    neuron: Lif(decay 0.9, threshold 5, hard reset) unless given: u <- decay u (1 - s) + W_in x + W
        s, spikes of the input and of neurons one step later.
    seed: of the chip; one seed, one chip.
    Raises InvalidModel for values out of range, and for a device that is programmed: its random
    weights would not be those of forming.
    """
    device, neuron = device or Forming(), neuron or RESISTIVE_NEURON
    if not isinstance(device, Forming):
        raise InvalidModel(
            f"a resistive reservoir is made of devices of the kind 'forming', not {device.kind!r}"
        )
    _, variance = formed_moments(device)
    if not variance > 0:
        raise InvalidModel(
            f"device 'forming': all weights are 0 with probability {device.probability} and "
            f"spread {device.spread}; choose a probability between 0 and 1"
        )
    input_scale = scale if input_scale is None else input_scale
    for name, value in (("scale", scale), ("input_scale", input_scale)):
        real(f"{name} of random weights", value, POSITIVE)
    # the nominal weight of every pair, that of a device at its mean against an unformed one
    relative = math.sqrt(2 * variance) / device.g_max_microsiemens
    populations = (Population("input", inputs, Source()), Population("liquid", neurons, neuron))
    projections = (Projection("input", "liquid", 1), Projection("liquid", "liquid", 1))
    parameters = {
        "input_to_liquid.weight": np.full((neurons, inputs), input_scale / relative),
        "liquid_to_liquid.weight": np.full((neurons, neurons), scale / relative),
        "liquid.bias": np.zeros(neurons),
        "liquid.threshold": np.full(neurons, neuron.threshold),
    }
    info = {"topology": "resistive", "scale": scale, "input_scale": input_scale, "seed": seed}
    return program(
        TrainedNetwork(Network(populations, projections), parameters, steps, info), device, seed
    )


def resistive_liquid(chip: Chip, time_seconds: float = 0.0, read: int | None = None) -> Liquid:
    """The liquid of a chip from `resistive_chip` at a time (`Chip.network`); a weight of 0, which
    both devices unformed make, is no synapse.
    """
    dense = chip.network(time_seconds, read)
    parameters: dict[str, NDArray[Any]] = {
        n: a for n, a in dense.parameters.items() if n.startswith("liquid.")
    }
    projections = []
    for p in dense.network.projections:
        source, target = np.nonzero(dense.parameters[f"{p.name}.weight"].T)
        if not len(source):
            raise InvalidModel(
                f"projection {p.name!r}: no device was formed; raise the probability or take "
                "another seed"
            )
        arrays = {
            "weight": dense.parameters[f"{p.name}.weight"][target, source],
            "source": source,
            "target": target,
        }
        parameters |= {f"{p.name}.{field}": array for field, array in arrays.items()}
        projections.append(Projection(p.source, p.target, p.delay, connection=Sparse(len(source))))
    network = Network(dense.network.populations, tuple(projections), dense.network.dt)
    trained = TrainedNetwork(network, parameters, dense.steps, dense.info, chip.digest())
    return Liquid(trained, np.zeros(network.output.size, np.bool_))
