# SPDX-License-Identifier: Apache-2.0
"""Lava as an engine: quantized networks in its fixed-point simulation of Loihi 2, and as exported
scripts.

Equal to the golden model on every spike and state. Lava's own LIF, Dense, DelayDense, Sparse,
DelaySparse and Conv run whatever they compute exactly; the rest, soft resets first of all, runs in
`SoftResetLIF` and `IntegerSynapses`, which any Lava network may use. See `plan` for which is which
and for the offsets of populations, which a Trace no longer has. Importing this package does not
import Lava; the two processes do when they are asked for.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.engines.lava.planning import Plan, check, offsets, plan
from neurohw.engines.lava.script import export
from neurohw.engines.lava.session import run_jobs
from neurohw.errors import Unsupported
from neurohw.integers import QuantizedNetwork
from neurohw.model_files import digest_of
from neurohw.stimulus import Spikes, is_beyond, stimulus_of
from neurohw.trace import Trace

__all__ = [
    "IntegerSynapses",
    "Plan",
    "SoftResetLIF",
    "check",
    "export",
    "offsets",
    "plan",
    "run",
    "run_many",
]


def __getattr__(name: str) -> Any:
    """The Lava processes, imported when first asked for; MissingTool without Lava."""
    if name not in ("SoftResetLIF", "IntegerSynapses"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from neurohw.engines.lava.compat import enable

    enable()
    if name == "SoftResetLIF":
        from neurohw.engines.lava.processes.soft_reset_lif import SoftResetLIF

        return SoftResetLIF
    from neurohw.engines.lava.processes.integer_synapses import IntegerSynapses

    return IntegerSynapses


def run(
    model: QuantizedNetwork,
    spikes: Spikes | NDArray[Any],
    states: bool = True,
    timeout: float = 600,
    side_by_side: bool = True,
    beyond_proof: bool = False,
) -> Trace:
    """Spikes and states of Lava for counts [time, sample, input neuron], without the offsets of
    populations.

    timeout: seconds.
    side_by_side: all samples in one Lava network, where Sparse and IntegerSynapses take the place
        of Dense and Conv; else one after the other, each in a network of its own.
    beyond_proof: allow more steps than the widths are proved for, as in
        `neurohw.golden.run_golden`.
    Raises Unsupported as `check` and for counts above the model's max_count, MissingTool without
    Lava, NeurohwError with Lava's last words if it fails or takes too long.
    """
    return run_many([(model, spikes)], states, timeout, side_by_side, beyond_proof)[0]


def run_many(
    jobs: Sequence[tuple[QuantizedNetwork, Spikes | NDArray[Any]]],
    states: bool = True,
    timeout: float = 600,
    side_by_side: bool = True,
    beyond_proof: bool = False,
) -> list[Trace]:
    """As `run`, for several (model, spikes), whose one child process starts Lava once."""
    known, beyond = [], []
    for model, spikes in jobs:
        check(model)
        given = stimulus_of(model, spikes)
        beyond.append(is_beyond(model, given.steps, 0, beyond_proof))
        if given.counts.max() > model.max_count:
            raise Unsupported(
                f"population {model.network.input.name!r}: a count of {given.counts.max()} is "
                f"above {model.max_count}, for which the sums "
                f"were proved to fit; quantize with max_count={given.counts.max()}"
            )
        known.append((model, given.counts))
    results = run_jobs(known, states, side_by_side, timeout)
    return [
        _trace(model, arrays, b)
        for (model, _), arrays, b in zip(known, results, beyond, strict=True)
    ]


def _trace(model: QuantizedNetwork, arrays: dict[str, NDArray[Any]], beyond: bool) -> Trace:
    spikes = {
        p.name: arrays[f"spikes.{p.name}"].astype(np.uint8) for p in model.network.populations
    }
    states = {name: array for name, array in arrays.items() if not name.startswith("spikes.")}
    return Trace(spikes, states, digest_of(model), beyond_proof=beyond)
