# SPDX-License-Identifier: Apache-2.0
"""What a network decides, in integers: scores of any number of samples, without a trace.

Only the output is recorded, some samples at a time, and the stimulus is read where it lies: a
`numpy.memmap` larger than the memory is streamed from its file.
"""

import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import at_least, exactly, whole
from neurohw.errors import SaturationWarning
from neurohw.golden.native import NativeModel, run_native
from neurohw.integers.quantized import QuantizedNetwork
from neurohw.readout import Readout, check_readout, default_readout, scores
from neurohw.stimulus import Spikes, is_beyond, stimulus_of
from neurohw.trace import Trace

CHUNK = 1024  # samples at a time


def warn_of_saturation(
    model: QuantizedNetwork, counts: Mapping[str, int], steps: int, samples: int
) -> None:
    """A SaturationWarning that names every population of `counts` that saturated.

    It says how often of how many neuron updates, and why that is possible.
    """
    lines = []
    for name, count in counts.items():
        if count:
            updates = steps * samples * model.network.population(name).size
            q = model.populations[name]
            proved = f"widths proved for {model.steps} steps"
            why = f"the {q.membrane.bits}-bit cap of its membrane" if q.capped else proved
            lines.append(
                f"population {name!r}: {count:,} of {updates:,} neuron updates of {steps} steps "
                f"saturated at {why}"
            )
    if lines:
        cure = f"quantize for steps={steps}, without a cap, and for the largest count of the input"
        warnings.warn(f"{'; '.join(lines)}: {cure}", SaturationWarning, stacklevel=3)


def infer(
    model: QuantizedNetwork,
    spikes: Spikes | NDArray[Any],
    readout: Readout | None = None,
    threads: int | None = None,
    beyond_proof: bool = False,
) -> NDArray[np.int64]:
    """Scores [sample, class] of counts [time, sample, input neuron]: those of
    `scores(run_golden(model, spikes), ...)`.

    - readout: None for the network's default
    - threads: over samples, by default one per processor
    - beyond_proof: as of `run_golden`

    Raises InvalidModel for a readout that the output does not have, InvalidData as `run_golden`.
    Where a state saturates, a SaturationWarning names the population and says how often.
    """
    exactly("infer: model", model, QuantizedNetwork)
    if threads is not None:
        threads = whole("infer: threads", threads, at_least(1))
    network, output = model.network, model.network.output
    readout = readout or default_readout(network)
    check_readout(network, readout)
    given = stimulus_of(model, spikes)
    is_beyond(model, given.steps, 0, beyond_proof)
    counts = given.counts
    if counts.strides[2] != 1:
        counts = np.ascontiguousarray(counts)
    native, found = NativeModel.of(model, model.max_count), []
    saturations: Counter[str] = Counter()
    for begin in range(0, counts.shape[1], CHUNK):
        part = counts[:, begin : begin + CHUNK]
        shape = (part.shape[1], output.size)
        array: NDArray[Any]
        if readout == "membrane":
            name, array = f"v.{output.name}", np.zeros(shape, np.int64)
        else:
            name, array = f"spikes.{output.name}", np.zeros((len(part), *shape), np.uint8)
        if native is None or not native.run(
            part, {name: array}, threads, last=readout == "membrane"
        ):
            trace = run_native(model, Spikes(part), readout == "membrane", threads, beyond_proof)
            saturations.update(trace.saturations)
            found.append(scores(trace, network, readout))
            continue
        saturations.update(native.saturations)
        if readout != "membrane":
            array = scores(Trace({output.name: array}), network, readout)
        found.append(array)
    warn_of_saturation(model, saturations, *counts.shape[:2])
    return np.concatenate(found)
