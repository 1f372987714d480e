# SPDX-License-Identifier: Apache-2.0
"""How often states saturate, counted from outside the step: by looking at what its saturations are
given and give.
"""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from neurohw.golden import run_golden, specification
from neurohw.integers import QuantizedNetwork
from neurohw.network import Population
from neurohw.step import Arithmetic
from neurohw.stimulus import Spikes


class Counting:
    """An arithmetic that remembers, for every step, which neurons [sample, neuron] a saturation of
    c, u or a has changed.
    """

    def __init__(self, arithmetic: Arithmetic) -> None:
        self.calls: list[NDArray[np.bool_]] = []
        states = (arithmetic.decay_c, arithmetic.decay_v, arithmetic.decay_a)
        self.per_step = sum(decay is not None for decay in states)
        self.arithmetic = replace(
            arithmetic,
            saturate_v=self._watched(arithmetic.saturate_v),
            saturate_c=self._watched(arithmetic.saturate_c),
        )

    def _watched(self, saturate: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def watched(values: Any) -> Any:
            result = saturate(values)
            self.calls.append(result != values)
            return result

        return watched

    def steps(self) -> NDArray[np.bool_]:
        """[time, sample, neuron]"""
        shape = (len(self.calls) // self.per_step, self.per_step, *self.calls[0].shape)
        return np.array(self.calls).reshape(shape).any(axis=1)


def saturations_while(run: Callable[[], Any], golden: ModuleType = specification) -> dict[str, int]:
    """Neuron updates of every population in which a state saturates while a golden model, which
    lives in that module, runs.
    """
    counting: dict[str, Counting] = {}
    original = specification.integer_arithmetic

    def watched(model: QuantizedNetwork, population: Population) -> Arithmetic:
        counting[population.name] = Counting(original(model, population))
        return counting[population.name].arithmetic

    with mock.patch.object(golden, "integer_arithmetic", watched):
        run()
    return {name: int(c.steps().sum()) for name, c in counting.items()}


def saturations(model: QuantizedNetwork, spikes: NDArray[Any]) -> dict[str, int]:
    """The same for counts [time, sample, input neuron]."""
    return saturations_while(lambda: run_golden(model, Spikes(spikes), beyond_proof=True))
