# SPDX-License-Identifier: Apache-2.0
"""Networks whose weights vanish, cancel or double: every width is proved, so that nothing is left
over for a linter to find.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurohw import (
    Lif,
    Network,
    Population,
    Projection,
    Source,
    TrainedNetwork,
    feed_forward,
    quantize,
)
from neurohw.connections import Sparse
from neurohw.errors import Unsupported
from neurohw.hardware.generate import emit
from neurohw.hardware.verify import verify
from neurohw.integers import QuantizedNetwork
from tests.random_networks import random_graph, random_trained
from tests.rtl.common import verilator_complaints


def silent() -> QuantizedNetwork:
    """A population whose weights are all 0, without a bias: its sums fit 1 bit, its rows do not."""
    network = feed_forward([3, 2], output=Lif(0.9))
    arrays = {
        "input_to_output.weight": np.zeros((2, 3)),
        "output.bias": np.zeros(2),
        "output.threshold": np.ones(2),
    }
    return quantize(TrainedNetwork(network, arrays, 5), 4)


def opposite() -> QuantizedNetwork:
    """Two synapses of opposite sign between one pair of neurons: they cancel, and only the way
    there needs bits.
    """
    network = Network(
        (Population("input", 3, Source()), Population("cells", 2, Lif(0.9))),
        (Projection("input", "cells", connection=Sparse(2)),),
    )
    ends = {f"input_to_cells.{k}": np.array([v, v]) for k, v in (("source", 0), ("target", 1))}
    arrays = {
        "input_to_cells.weight": np.array([0.5, -0.5]),
        "cells.bias": np.zeros(2),
        "cells.threshold": np.ones(2),
    }
    return quantize(TrainedNetwork(network, {**ends, **arrays}, 5), 4)


@pytest.mark.rtl
@pytest.mark.parametrize("make", [silent, opposite])
def test_they_pass_verilator_and_equal_golden(
    make: Callable[[], QuantizedNetwork], tmp_path: Path
) -> None:
    model = make()
    emit(model, 4).write(tmp_path / "rtl")
    spikes = np.ones((5, 2, 3), np.uint8)
    result = verify(tmp_path / "rtl", model, spikes, states=True, jobs=1, optimize=False)
    assert result.mismatches == 0 and result.states_compared > 0


def degenerate(seed: int) -> TrainedNetwork:
    """A random graph with all weights 0, most of them 0, all of one size and both signs, or as they
    came; several synapses between one pair.
    """
    rng = np.random.default_rng(seed)
    trained = random_trained(rng, random_graph(rng), 6)
    arrays, kind = dict(trained.parameters), seed % 4
    for name, values in trained.parameters.items():
        if name.endswith(".weight"):
            kept = rng.random(values.shape) < 0.3
            arrays[name] = (0 * values, values * kept, np.where(kept, 0.25, -0.25), values)[kind]
        if name.endswith((".source", ".target")) and kind != 3:
            arrays[name] = np.full_like(values, values[0])
        if name.endswith(".bias") and kind != 3:
            arrays[name] = 0 * values
    return TrainedNetwork(trained.network, arrays, 6)


@pytest.mark.rtl
@pytest.mark.parametrize("first", range(0, 32, 8))
def test_random_ones_have_no_warning(first: int, tmp_path: Path) -> None:
    """By Verilator; by slang, too, as every package that a test writes."""
    done = 0
    for seed in range(first, first + 8):
        rng = np.random.default_rng(1000 + seed)
        try:
            package = emit(
                quantize(degenerate(seed), int(rng.integers(2, 9))), int(rng.integers(1, 6))
            )
        except Unsupported:
            continue
        folder = tmp_path / str(seed)
        package.write(folder)
        complaints = verilator_complaints(
            [folder / n for n in package.sources()], "nhw_network", "-DNHW_PROBE"
        )
        assert not complaints, f"seed {seed}: {complaints}"
        done += 1
    assert done >= 4
