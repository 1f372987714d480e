# SPDX-License-Identifier: Apache-2.0
"""A resistive liquid with its readout in integers: golden against RTL, every spike and every state
at every step.
"""

import numpy as np
import pytest

from neurohw import first_mismatch, quantize, run_golden
from neurohw.engines import rtl
from neurohw.neurons import Lif
from neurohw.reservoir import attach_readout, resistive_chip, resistive_liquid, ridge, run_liquid
from tests.random_networks import random_stimulus

pytestmark = pytest.mark.rtl


@pytest.mark.parametrize(("bits", "decay", "lanes"), [(8, 1 - 1 / 32, 4), (4, 0.9, 3)])
def test_golden_equals_rtl(bits: int, decay: float, lanes: int) -> None:
    rng = np.random.default_rng(bits)
    neuron = Lif(decay=decay, threshold=5.0, reset="hard")
    liquid = resistive_liquid(resistive_chip(9, 24, 0.8, 3.0, neuron=neuron, steps=25, seed=bits))
    spikes = random_stimulus(rng, liquid.network, 25, 8)
    counts = run_liquid(liquid, spikes).spikes["liquid"].sum(axis=0, dtype=np.int64)
    assert counts.sum() > 100
    network = attach_readout(liquid, ridge(counts, np.arange(8) % 3, 3))
    model = quantize(network, bits)
    golden = run_golden(model, spikes)
    assert golden.spikes["liquid"].sum() > 100 and np.ptp(golden.states["v.output"][-1]) > 0
    found = rtl.run(model, spikes, lanes, optimize=False, idle=0.3, backpressure=0.3)
    mismatch = first_mismatch(golden, found)
    assert mismatch is None, str(mismatch)
