# SPDX-License-Identifier: Apache-2.0
"""The specification of integer behaviour. RTL and every integer engine equal this, bit for bit.

Per population and step, in integers, with all sums complete before the one saturation:

    sum_p = sum_j w_ij s_j[t - d]
            in the accumulator format (proved, never exceeded)
    I     = bias + sum over projections of sum_p << exponent
    c     = saturate(decay_c(c) + I)                    with a synaptic current, else c = I
    u     = saturate(decay(v) + c)
    theta = threshold + a
    s     = u >= theta, v = u - theta (soft) or v_reset (hard) where s, else u
    a     = saturate(decay_a(a) + strength s)           with an adaptive threshold

An astrocyte's level m = v + offset after the step before acts on its target with the `shift` and
the `table` of `QuantizedModulation`:

    I     = bias + ((sum over projections of sum_p << exponent) g >> 8)
          g = table[clip(m >> shift, -64, 63) + 64]
    theta = threshold + a + (max(m, 0) >> shift)
            a negative shift is one to the left

in the order, and with the refractory steps and conventions, of `neurohw.step.advance`, which the
float64 reference executes, too. What integers add is in this file and in `neurohw.fixedpoint`:
exact sums, the rounding of every decay, and saturation.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import exactly
from neurohw.connections import MATRICES, Matrix, apply_matrix
from neurohw.errors import InvalidModel
from neurohw.fixedpoint import DECAYS, IntArray, exact_matmul
from neurohw.integers.quantized import QuantizedNetwork, scaled
from neurohw.modulation import MODULATION
from neurohw.network import GRAPH, Population, Projection
from neurohw.reference import simulate
from neurohw.step import STEP, Arithmetic
from neurohw.stimulus import Spikes, proved_stimulus
from neurohw.support import Implements
from neurohw.trace import Trace

IMPLEMENTS = Implements("the golden model", STEP | GRAPH | MATRICES | MODULATION | DECAYS)


def integer_arithmetic(model: QuantizedNetwork, population: Population) -> Arithmetic:
    """The integer constants, decays and saturations of a population."""
    q = model.populations[population.name]
    strength = np.zeros_like(q.bias) if q.adaptation_strength is None else q.adaptation_strength
    return Arithmetic(
        bias=population.expand(q.bias),
        threshold=population.expand(q.threshold),
        v_reset=population.expand(q.v_reset),
        adaptation_strength=population.expand(strength),
        decay_v=q.decay.apply,
        decay_c=None if q.synapse_decay is None else q.synapse_decay.apply,
        decay_a=None if q.adaptation_decay is None else q.adaptation_decay.apply,
        saturate_v=q.membrane.saturate,
        saturate_c=q.current.saturate,
        offset=population.expand(np.zeros_like(q.bias) if q.offset is None else q.offset),
        scale=scaled,
    )


def run_golden(
    model: QuantizedNetwork,
    spikes: Spikes | NDArray[Any],
    states: bool = True,
    beyond_proof: bool = False,
) -> Trace:
    """Simulate in integers.

    spikes: counts [time, sample, input neuron]. Returns spikes, (if `states`) v, c, r and a of
        every population, int64, and how many neuron updates saturated.
    beyond_proof: allow more steps and larger counts than the widths are proved for; the trace then
        says so.
    Raises InvalidData for a stimulus of the wrong shape or an unknown order of axes
    (`neurohw.stimulus`), and one beyond the proof, InvalidModel if a sum leaves its accumulator
    format, Unsupported for a node that `IMPLEMENTS` does not name.
    """
    exactly("run_golden: model", model, QuantizedNetwork)
    IMPLEMENTS.check(model.network, model.populations)
    given, beyond = proved_stimulus(model, spikes, beyond_proof)

    def arriving(projection: Projection, matrix: Matrix, sent: NDArray[np.uint8]) -> IntArray:
        counts = sent.astype(np.int64)
        total = (
            exact_matmul(counts, matrix.T)
            if isinstance(matrix, np.ndarray)
            else apply_matrix(matrix, counts)
        )
        accumulator = model.populations[projection.target].accumulator
        if not accumulator.allows(total):
            raise InvalidModel(
                f"projection {projection.name!r}: a sum left its {accumulator.bits}-bit accumulator"
            )
        return total << model.projections[projection.name].exponent

    trace = simulate(
        model.network,
        given,
        lambda population: integer_arithmetic(model, population),
        arriving,
        model.matrices,
        lambda modulation, levels: model.modulations[modulation.name].values(levels),
        np.int64,
        states,
    )
    return replace(trace, beyond_proof=beyond)
