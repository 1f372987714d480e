# SPDX-License-Identifier: Apache-2.0
"""From what the output population did to scores [sample, class]; the largest score wins, the lowest
index among equals.

rate          spikes of each output neuron
membrane      membrane at the last step, for an Integrator (or any other output)
first_spike   T - t for the first spike at step t of T, 0 without one: the earliest wins
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import argument
from neurohw.errors import InvalidData, InvalidModel
from neurohw.network import Network
from neurohw.trace import Trace

Readout = Literal["rate", "membrane", "first_spike"]
READOUTS: tuple[Readout, ...] = ("rate", "membrane", "first_spike")


def check_readout(network: Network, readout: str) -> None:
    """Raise InvalidModel for an unknown readout, and for one that needs spikes from an output that
    never fires.
    """
    if readout not in READOUTS:
        raise InvalidModel(f"unknown readout {readout!r}: known are {', '.join(READOUTS)}")
    if readout != "membrane" and not network.output.neuron.spiking:
        raise InvalidModel(
            f"output {network.output.name!r} is an {type(network.output.neuron).__name__} "
            "and never fires: use the readout 'membrane'"
        )


def default_readout(network: Network) -> Readout:
    """`membrane` for an output that never fires, an Integrator, else `rate`."""
    return "rate" if network.output.neuron.spiking else "membrane"


def rate_scores(spikes: NDArray[Any]) -> NDArray[np.int64]:
    """Spike counts [sample, neuron] of spikes [time, sample, neuron]."""
    return np.asarray(spikes.sum(axis=0, dtype=np.int64))


def membrane_scores(v: NDArray[Any]) -> NDArray[Any]:
    """The membranes of the last step [sample, neuron] of v [time, sample, neuron]."""
    return v[-1]


def first_spike_scores(spikes: NDArray[Any]) -> NDArray[np.int64]:
    """T - t of the first spike, 0 without one, [sample, neuron]."""
    fired = spikes > 0
    return np.where(fired.any(axis=0), len(fired) - fired.argmax(axis=0), 0)


def scores(trace: Trace, network: Network, readout: Readout | None = None) -> NDArray[Any]:
    """Scores [sample, class] of a trace's output population; readout None: `default_readout`.

    Raises InvalidModel for an unknown readout, InvalidData for a trace recorded without the
    membrane that `membrane` needs.
    """
    argument("scores: trace", trace, Trace)
    argument("scores: network", network, Network)
    readout = readout or default_readout(network)
    check_readout(network, readout)
    output = network.output.name
    if readout == "membrane":
        if f"v.{output}" not in trace.states:
            raise InvalidData(
                f"the trace holds no membrane of output {output!r}: record it with states=True"
            )
        return membrane_scores(trace.states[f"v.{output}"])
    if output not in trace.spikes:
        raise InvalidData(f"the trace holds no spikes of output {output!r}")
    spikes = trace.spikes[output]
    return rate_scores(spikes) if readout == "rate" else first_spike_scores(spikes)


def accuracy(values: NDArray[Any], labels: NDArray[Any]) -> float:
    """The fraction of samples whose largest score is at their label; scores [sample, class], labels
    [sample].

    Raises InvalidData if the numbers of samples differ or are 0.
    """
    values, labels = np.asanyarray(values), np.asanyarray(labels)
    if values.ndim != 2 or labels.shape != values.shape[:1] or not len(labels):
        raise InvalidData(
            f"scores of shape {values.shape} do not belong to labels of shape {labels.shape}"
        )
    return float((values.argmax(axis=1) == labels).mean())
