# SPDX-License-Identifier: Apache-2.0
"""Golden against RTL where leaks are slow: membranes of up to 32 bits, and sums shifted by many
guard bits."""

import numpy as np
import pytest

from neurohw import Integrator, Lif, Spikes, feed_forward, first_mismatch, quantize, run_golden
from neurohw.engines import rtl
from neurohw.errors import Unsupported
from neurohw.neurons import Adaptation
from tests.random_networks import random_stimulus, random_trained

pytestmark = [
    pytest.mark.rtl,
    pytest.mark.filterwarnings("ignore::neurohw.errors.PrecisionWarning"),
]

NEURONS = {
    "current and adaptation": Lif(0.98, synapse_decay=0.9, adaptation=Adaptation(1 - 2.0**-7, 0.2)),
    "hard reset": Lif(1 - 2.0**-8, reset="hard", v_reset=-0.25, refractory=2),
    "delayed reset": Lif(0.995, delayed_reset=True, membrane_bias=True),
}


@pytest.mark.parametrize("name", NEURONS)
def test_slow_leaks(name: str) -> None:
    rng = np.random.default_rng(len(name))
    network = feed_forward([6, 5, 3], NEURONS[name], Integrator(0.99, 0.9))
    model = quantize(random_trained(rng, network, 200), 4)
    assert all(p["guard_bits"] >= 7 for p in model.info["populations"].values())
    assert max(p.membrane.bits for p in model.populations.values()) > 24
    stimulus = Spikes(random_stimulus(rng, network, 60, 3))
    golden, found = run_golden(model, stimulus), rtl.run(model, stimulus, 4, optimize=False)
    assert golden.spikes["hidden1"].any()
    assert set(golden.arrays()) == set(found.arrays())
    mismatch = first_mismatch(golden, found)
    assert mismatch is None, str(mismatch)


def test_wider_states_are_refused_by_name_and_a_cap_is_the_cure() -> None:
    """Two leaks of 0.995 in a row gain 200 x 200, and need as much finer units."""
    rng = np.random.default_rng(0)
    network = feed_forward([30, 5], output=Lif(0.995, synapse_decay=0.995))
    trained = random_trained(rng, network, 2000)
    with pytest.raises(
        Unsupported, match="membrane of population 'output' has .* bits, at most 32"
    ):
        rtl.check(quantize(trained, 4))
    rtl.check(quantize(trained, 4, resolution_bits=2, membrane_cap=30))
