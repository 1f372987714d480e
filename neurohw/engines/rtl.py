"""The generated RTL, simulated by Verilator, as an engine."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.hardware.generate import emit
from neurohw.hardware.generate.plan import check_supported
from neurohw.hardware.verify.harness import build_harness, check_proof, run_harness
from neurohw.integers import QuantizedNetwork
from neurohw.model_files import digest_of
from neurohw.reference import check_stimulus
from neurohw.trace import Trace


def check(model: QuantizedNetwork) -> None:
    """Raise Unsupported, naming the node, if the RTL cannot express the model."""
    check_supported(model)


def run(
    model: QuantizedNetwork,
    spikes: NDArray[Any],
    states: bool = True,
    lanes: int = 8,
    idle: float = 0.0,
    backpressure: float = 0.0,
    optimize: bool = True,
    allow_longer: bool = False,
) -> Trace:
    """Spikes and states of the RTL for counts [time, sample, input neuron]. The RTL is emitted and compiled for this one call.

    allow_longer: run more steps than the widths of the model are proved for; else InvalidData.
    """
    check_stimulus(model.network, spikes)
    with tempfile.TemporaryDirectory() as name:
        package = Path(name) / "rtl"
        contents, counts = emit(model, lanes), spikes.astype(np.uint8)
        check_proof(contents, counts, allow_longer)
        contents.write(package)
        program = build_harness(package, Path(name) / "sim", optimize=optimize)
        result = run_harness(program, package, counts, states, idle, backpressure, allow_longer=allow_longer)
    inputs = {model.network.input.name: counts}
    return Trace({**inputs, **result.spikes}, result.states, digest_of(model))
