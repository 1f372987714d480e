# SPDX-License-Identifier: Apache-2.0
"""The generated RTL, simulated by Verilator, as an engine."""

import tempfile
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from neurohw.hardware.generate import emit
from neurohw.hardware.generate.plan import check_supported
from neurohw.hardware.verify.harness import build_harness, run_harness
from neurohw.integers import QuantizedNetwork
from neurohw.model_files import digest_of
from neurohw.stimulus import Spikes, proved_stimulus
from neurohw.trace import Trace


def check(model: QuantizedNetwork) -> None:
    """Raise Unsupported, naming the node, if the RTL cannot express the model."""
    check_supported(model)


def run(
    model: QuantizedNetwork,
    spikes: Spikes | NDArray[Any],
    states: bool = True,
    lanes: int = 8,
    idle: float = 0.0,
    backpressure: float = 0.0,
    optimize: bool = True,
    beyond_proof: bool = False,
) -> Trace:
    """Spikes and states of the RTL for counts [time, sample, input neuron].

    The RTL is emitted and compiled for this one call.
    beyond_proof: as of `neurohw.golden.run_golden`.
    """
    given, beyond = proved_stimulus(model, spikes, beyond_proof)
    with tempfile.TemporaryDirectory() as name:
        package = Path(name) / "rtl"
        emit(model, lanes).write(package)
        program = build_harness(package, Path(name) / "sim", optimize=optimize)
        result = run_harness(
            program, package, given.counts, states, idle, backpressure, beyond_proof=beyond_proof
        )
    inputs = {model.network.input.name: given.counts}
    spikes_of_all = {**inputs, **result.spikes}
    return Trace(
        spikes_of_all, result.states, digest_of(model), result.saturations, beyond_proof=beyond
    )
