# SPDX-License-Identifier: Apache-2.0
"""How far the membranes of a network can get: populations that can never fire, and those that could
fire several times a step.
"""

import numpy as np
from numpy.typing import NDArray

from neurohw.network import Population, TrainedNetwork
from neurohw.neurons import Lif

FloatArray = NDArray[np.float64]


def largest_drive(model: TrainedNetwork, population: Population) -> FloatArray:
    """The most that can arrive at each neuron in one step [neuron].

    One spike from every source, its bias and all positive weights.
    """
    drive = np.maximum(population.expand(model.values(population, "bias")), 0)
    for projection in model.network.into(population.name):
        for _, matrix in model.matrices(projection):
            drive = (
                drive
                + np.asarray(
                    matrix.clip(min=0).sum(axis=1)
                    if isinstance(matrix, np.ndarray)
                    else matrix.maximum(0).sum(axis=1)
                ).ravel()
            )
    return drive


def _sum_of_powers(decay: FloatArray, steps: int) -> FloatArray:
    """1 + decay + ... + decay^(steps-1)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(decay >= 1, float(steps), (1 - decay**steps) / (1 - decay))


def highest_membrane(model: TrainedNetwork, population: Population, steps: int) -> FloatArray:
    """A bound of each membrane [neuron] after so many steps of the largest drive, never reset."""
    drive = largest_drive(model, population)
    neuron = population.neuron
    for name in ("synapse_decay", "decay"):
        if name == "decay" or getattr(neuron, "synapse_decay", None) is not None:
            drive = drive * _sum_of_powers(population.expand(model.values(population, name)), steps)
    return drive


def silent(model: TrainedNetwork) -> dict[str, tuple[float, float]]:
    """Populations of which no neuron can fire within a sample: highest membrane, threshold."""
    found = {}
    for population in model.network.populations[1:]:
        if not isinstance(population.neuron, Lif):
            continue
        threshold = population.expand(model.values(population, "threshold"))
        highest = highest_membrane(model, population, model.steps)
        if np.all(highest < threshold):
            nearest = int(np.argmax(highest / threshold))
            found[population.name] = (float(highest[nearest]), float(threshold[nearest]))
    return found


def several(model: TrainedNetwork) -> list[str]:
    """Populations that may reach two thresholds at once.

    A membrane that keeps what is above the threshold starts a step below one threshold, so that it
    stays below two if b threshold + drive does.
    """
    found = []
    for population in model.network.populations[1:]:
        if not isinstance(population.neuron, Lif):
            continue
        threshold = population.expand(model.values(population, "threshold"))
        drive = largest_drive(model, population)
        if population.neuron.synapse_decay is not None:
            drive = drive * _sum_of_powers(
                population.expand(model.values(population, "synapse_decay")), model.steps
            )
        if np.any(
            population.expand(model.values(population, "decay")) * threshold + drive
            >= 2 * threshold
        ):
            found.append(population.name)
    return found
