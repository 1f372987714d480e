# SPDX-License-Identifier: Apache-2.0
"""Random networks, the same in all engines: not one spike and not one state differs.

200 in Python and C++, some of them in Lava and in RTL.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from neurohw import first_mismatch, quantize, run_golden, run_reference
from neurohw.engines import engine_named
from neurohw.engines.lava import run_many
from neurohw.errors import Unsupported
from tests.random_networks import FEATURES, random_graph, random_stimulus, random_trained

NETWORKS = 200
RTL_NETWORKS = 28  # each is compiled; the others of the 200 meet every other engine
LAVA_NETWORKS = 80  # a second each, and more in tests/engines/test_lava.py


def case(seed: int) -> tuple[Any, Any, Any]:
    """A trained network, its integers, and a stimulus.

    The first RTL_NETWORKS have nothing that the RTL refuses, but for some domains of astrocytes.
    """
    rng = np.random.default_rng(1000 + seed)
    features = FEATURES - {"synapse_delay"} if seed < RTL_NETWORKS else FEATURES
    trained = random_trained(rng, random_graph(rng, features), 9, dyadic=True, each_neuron=True)
    model = quantize(trained, 3 + seed % 6, resolution_bits=3, max_count=2)
    return trained, model, random_stimulus(rng, trained.network, 9, 3, 2)


@pytest.mark.slow
def test_random_networks_in_torch_brian2_native_and_lava() -> None:
    fired, jobs, kinds = 0, [], set()
    for seed in range(NETWORKS):
        trained, model, spikes = case(seed)
        reference = run_reference(trained, spikes)
        for engine in ("torch", "brian2"):
            assert (
                first_mismatch(reference, engine_named(engine).run(trained, spikes), 1e-9) is None
            ), (seed, engine)
        golden = run_golden(model, spikes)
        for engine in ("native", "brian2"):
            assert first_mismatch(golden, engine_named(engine).run(model, spikes)) is None, (
                seed,
                engine,
            )
        fired += sum(int(s.sum()) for s in list(golden.spikes.values())[1:])
        kinds |= {type(p.connection).__name__ for p in trained.network.projections}
        kinds |= {"delay" for p in trained.network.projections if p.delay or p.max_delay}
        kinds |= {"recurrent" for p in trained.network.projections if p.source == p.target}
        try:
            engine_named("lava").check(model)
            jobs.append((seed, model, spikes, golden))
        except Unsupported:
            pass  # loops with less delay than Lava's hops: tests/engines/test_lava.py
    assert fired > 10_000 and kinds == {"Dense", "Sparse", "Convolution", "delay", "recurrent"}
    assert len(jobs) > NETWORKS // 2 > LAVA_NETWORKS
    for start in range(0, LAVA_NETWORKS, 40):
        part = jobs[start : start + 40]
        for (seed, _, _, golden), trace in zip(
            part, run_many([(m, s) for _, m, s, _ in part]), strict=True
        ):
            assert first_mismatch(golden, trace) is None, seed


@pytest.mark.rtl
@pytest.mark.slow
def test_random_networks_in_rtl() -> None:
    rtl = engine_named("rtl")

    def run(seed: int) -> int:
        _, model, spikes = case(seed)
        try:
            rtl.check(model)
        except Unsupported as error:
            assert "neither a neuron nor whole channels" in str(error), error
            return 0
        golden = run_golden(model, spikes)
        # fewer or more lanes than neurons, with and without gaps and stalls
        gaps = {"idle": 0.3 * (seed % 2), "backpressure": 0.3 * (seed // 2 % 2)}
        trace = rtl.run(model, spikes, lanes=1 + seed % 9, optimize=False, **gaps)
        assert first_mismatch(golden, trace) is None, seed
        return sum(int(s.sum()) for s in list(golden.spikes.values())[1:])

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        assert sum(pool.map(run, range(RTL_NETWORKS))) > 1500
