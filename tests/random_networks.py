"""Random networks and stimuli for property tests."""

import numpy as np
from numpy.typing import NDArray

from neurohw import Integrator, Lif, Network, TrainedNetwork, feed_forward


def random_network(rng: np.random.Generator, sizes: list[int] | None = None) -> Network:
    """A feed-forward network with random sizes, decays, resets, synapses and refractory periods."""
    sizes = sizes or [int(n) for n in rng.integers(1, 14, size=int(rng.integers(2, 5)))]
    reset = ("soft", "hard")[int(rng.integers(2))]
    lif = Lif(
        decay=float(rng.choice([0.0, 0.5, 0.75, 0.9, 0.96875, 1.0])),
        reset=reset,  # type: ignore[arg-type]
        v_reset=float(rng.choice([-0.5, 0.0, 0.25])) if reset == "hard" else 0.0,
        synapse_decay=[None, 0.5, 0.8, 1.0][int(rng.integers(4))],
        refractory=int(rng.integers(3)),
    )
    output = Integrator(float(rng.choice([0.5, 0.93, 1.0]))) if rng.random() < 0.5 else lif
    return feed_forward(sizes, lif, output)


def random_trained(
    rng: np.random.Generator, network: Network | None = None, steps: int = 7, dyadic: bool = False
) -> TrainedNetwork:
    """Random parameters; `dyadic` ones are multiples of 1/64, whose sums are exact in float64 in any order."""
    network = network or random_network(rng)
    parameters = {}
    for name, shape in network.shapes().items():
        if name.endswith(".threshold"):
            array = rng.uniform(0.5, 1.5, shape)
        elif name.endswith(".variance"):
            array = rng.uniform(0.5, 2.0, shape)
        else:
            array = rng.normal(0.0, 0.6 if name.endswith(".weight") else 0.1, shape)
        parameters[name] = (
            np.maximum(np.round(array * 64), 1 if name.endswith((".threshold", ".variance")) else -999) / 64
            if dyadic
            else array
        )
    return TrainedNetwork(network, parameters, steps)


def random_stimulus(
    rng: np.random.Generator, network: Network, steps: int, samples: int, max_count: int = 1
) -> NDArray[np.uint8]:
    """Counts [time, sample, neuron]; some steps are empty and some have every input firing."""
    spikes = (rng.random((steps, samples, network.input.size)) < 0.3) * rng.integers(
        1, max_count + 1, (steps, samples, network.input.size)
    )
    kind = rng.random((steps, samples, 1))
    spikes = np.where(kind < 0.1, 0, np.where(kind > 0.9, max_count, spikes))
    return spikes.astype(np.uint8)
