# SPDX-License-Identifier: Apache-2.0
"""Random networks that learn, and stimuli that make them."""

from typing import Any

import numpy as np

from neurohw import Lif, Network, Population, Projection, Source, TrainedNetwork
from neurohw.connections import Sparse
from neurohw.plasticity.integer import QuantizedPlasticity, quantize_plasticity
from neurohw.plasticity.rule import AstrocyteControl, Plasticity, PlasticProjection, Stdp

PUBLISHED = Lif(
    decay=1 - 1 / 64, threshold=20.0, reset="hard", refractory=2, synapse_decay=float(np.exp(-1))
)


def pairs(rng: np.random.Generator, sources: int, targets: int, density: float) -> np.ndarray:
    """Ends [2, synapse] of a random projection, at least one synapse."""
    chosen = np.argwhere(rng.random((sources, targets)) < density).T
    return chosen if chosen.size else np.array([[0], [0]])


def random_learning(
    rng: np.random.Generator,
    inputs: int,
    neurons: int,
    density: float = 0.3,
    neuron: Lif | None = None,
    inhibitory: float = 0.2,
    at_limits: bool = False,
    recurrent: bool = True,
    learns: tuple[bool, bool] = (True, True),
    astrocyte: bool = True,
    crosses: tuple[bool, bool] = (True, False),
    drive: float = 1.0,
    steps: int = 50,
) -> tuple[TrainedNetwork, Plasticity]:
    """A liquid with the published rule.

    learns, crosses: of the input's projection and of the recurrent one.
    at_limits: all weights start at a limit.
    """
    neuron = neuron or PUBLISHED
    is_inhibitory = rng.random(neurons) < inhibitory
    ends = {
        "input_to_liquid": pairs(rng, inputs, neurons, density),
        "liquid_to_liquid": pairs(rng, neurons, neurons, density),
    }
    if not recurrent:
        del ends["liquid_to_liquid"]
    projections = tuple(
        Projection(*name.split("_to_"), delay=1, connection=Sparse(e.shape[1]))
        for name, e in ends.items()
    )
    network = Network(
        (Population("input", inputs, Source()), Population("liquid", neurons, neuron)), projections
    )
    arrays: dict[str, Any] = {
        "liquid.bias": np.zeros(neurons),
        "liquid.threshold": np.full(neurons, neuron.threshold),
    }
    rules = []
    for (name, e), learning, crossing in zip(ends.items(), learns, crosses, strict=False):
        size = 3.0 if at_limits else 1.0
        source_sign = (
            np.ones(inputs) if name.startswith("input") else np.where(is_inhibitory, -1.0, 1.0)
        )
        sign = rng.choice([-1.0, 1.0, 1.0, 1.0], e.shape[1]) if crossing else source_sign[e[0]]
        arrays |= {
            f"{name}.weight": drive * size * sign if not learning else size * sign,
            f"{name}.source": e[0],
            f"{name}.target": e[1],
        }
        if learning:
            rules.append(PlasticProjection(name, 3.0, crossing))
    control = AstrocyteControl(gain=15.0 / neurons) if astrocyte else None
    plasticity = Plasticity(Stdp(), tuple(rules), is_inhibitory, control)
    return TrainedNetwork(network, arrays, steps), plasticity


def random_quantized(rng: np.random.Generator, **settings: Any) -> QuantizedPlasticity:
    """A random network in integers; awkward sizes, formats and conventions."""
    bits = int(rng.integers(6, 15))
    delivered = min(bits, int(rng.integers(3, 9)))
    neuron = Lif(
        decay=float(rng.choice([0.5, 1 - 1 / 64, 0.9])),
        threshold=float(rng.choice([1.0, 3.0])),
        reset=str(rng.choice(["soft", "hard"])),  # type: ignore[arg-type]
        refractory=int(rng.integers(0, 3)),
        synapse_decay=float(rng.choice([0.3, 0.75])) if rng.random() < 0.5 else None,
        strict=bool(rng.random() < 0.3),
    )
    trained, plasticity = random_learning(
        rng,
        int(rng.integers(1, 20)),
        int(rng.integers(1, 40)),
        float(rng.choice([0.1, 0.4, 1.0])),
        **{"neuron": neuron, **settings},
    )
    return quantize_plasticity(
        trained, plasticity, bits, delivered, int(rng.integers(6, 11)), int(rng.integers(9, 14))
    )


def random_spikes(
    rng: np.random.Generator,
    quantized: QuantizedPlasticity,
    steps: int,
    samples: int,
    density: float = 0.3,
) -> np.ndarray:
    """Spikes [time, sample, input neuron] of several densities, one sample without any."""
    inputs = quantized.model.network.input.size
    densities = rng.choice([density, density / 3, 1.0], samples)
    if samples > 2:
        densities[-1] = 0
    return (rng.random((steps, samples, inputs)) < densities[:, None]).astype(np.uint8)
