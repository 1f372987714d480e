"""Lava as an engine: quantized networks in its fixed-point simulation of Loihi 2, and as exported scripts.

Equal to the golden model on every spike and state. Lava's own LIF, Dense, DelayDense, Sparse, DelaySparse and Conv run whatever they compute exactly; the rest,
soft resets first of all, runs in `SoftResetLIF` and `IntegerSynapses`, which any Lava network may use. See `plan` for which is which and for
the offsets of populations, which a Trace no longer has. Importing this package does not import Lava; the two processes do when they are asked for.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.engines.lava.planning import Plan, check, offsets, plan
from neurohw.engines.lava.script import export
from neurohw.engines.lava.session import Job, run_jobs
from neurohw.errors import Unsupported
from neurohw.integers import QuantizedNetwork
from neurohw.model_files import digest_of
from neurohw.reference import check_stimulus
from neurohw.trace import Trace

__all__ = ["IntegerSynapses", "Plan", "SoftResetLIF", "check", "export", "offsets", "plan", "run", "run_many"]


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
    spikes: NDArray[Any],
    states: bool = True,
    timeout: float = 600,
    side_by_side: bool = True,
) -> Trace:
    """Spikes and states of Lava for counts [time, sample, input neuron], without the offsets of populations.

    timeout: seconds. side_by_side: all samples in one Lava network, where Sparse and IntegerSynapses take the place of Dense and Conv; else one after the
    other, each in a network of its own. Raises Unsupported as `check` and for counts above the model's max_count, MissingTool without Lava,
    NeurohwError with Lava's last words if it fails or takes too long.
    """
    return run_many([(model, spikes)], states, timeout, side_by_side)[0]


def run_many(jobs: Sequence[Job], states: bool = True, timeout: float = 600, side_by_side: bool = True) -> list[Trace]:
    """As `run`, for several (model, spikes), whose one child process starts Lava once."""
    for model, spikes in jobs:
        check(model)
        check_stimulus(model.network, spikes)
        if spikes.max() > model.max_count:
            raise Unsupported(
                f"population {model.network.input.name!r}: a count of {spikes.max()} is above {model.max_count}, for which the sums "
                f"were proved to fit; quantize with max_count={spikes.max()}"
            )
    results = run_jobs(jobs, states, side_by_side, timeout)
    return [_trace(model, arrays) for (model, _), arrays in zip(jobs, results, strict=True)]


def _trace(model: QuantizedNetwork, arrays: dict[str, NDArray[Any]]) -> Trace:
    spikes = {p.name: arrays[f"spikes.{p.name}"].astype(np.uint8) for p in model.network.populations}
    states = {name: array for name, array in arrays.items() if not name.startswith("spikes.")}
    return Trace(spikes, states, digest_of(model))
