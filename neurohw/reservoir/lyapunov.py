# SPDX-License-Identifier: Apache-2.0
"""Lyapunov exponents of a liquid: how fast small differences of its state grow, per step; above 0
it is chaotic.

Between spikes a discrete-time neuron forgets differences at the rate of its leak; they grow only by
moving spikes. The tangent takes that into account by a smoothed spike:

    ds[t] = g(u[t] - threshold) du[t]
            g: normal density of standard deviation `width`, 0 where the neuron cannot fire

along the trajectory that an engine recorded. With it, for a recurrence of one step,

    dc[t] = synapse_decay dc[t-1] + W ds[t-1],    du[t] = decay dv[t-1] + dc[t],
    dv[t] = du[t] - theta ds[t]  (soft reset),  (1 - s[t]) du[t] - (u[t] - v_reset) ds[t]
            (hard reset),  du[t]  (none)

`lyapunov_exponents` propagates tangent vectors so, orthonormalises them every step by QR, and takes
the mean of log |R_ii| (Benettin et al. 1980): the exponents of a liquid whose membranes are as
noisy as `width`. `spike_separation` smooths nothing: it is the distance that one spike makes.
"""

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from neurohw.errors import InvalidData, Unsupported
from neurohw.network import Population, TrainedNetwork
from neurohw.neurons import Lif
from neurohw.reservoir.measure import check_raster
from neurohw.support import Implements, attributes
from neurohw.trace import Trace

FloatArray = NDArray[np.float64]
# the neuron whose tangent is that of the equations above
IMPLEMENTS = Implements(
    "the Lyapunov exponents",
    {
        Lif: attributes(
            (
                "decay threshold v_reset synapse_decay refractory strict membrane_bias "
                "integrates_refractory"
            ),
            reset=("soft", "hard", "none"),
            adaptation=(None,),
            delayed_reset=(False,),
            delayed_current=(False,),
            clears_current=(False,),
        )
    },
)
SMALLEST = 1e-300  # a tangent vector that has vanished altogether


def _liquid_of(trained: TrainedNetwork) -> tuple[Population, Lif]:
    """The recurrent population and its neuron;

    Unsupported, naming the value, where the tangent is not that of the equations above.
    """
    recurrent = [p for p in trained.network.projections if p.source == p.target]
    if len(recurrent) != 1 or recurrent[0].delay != 1 or recurrent[0].max_delay is not None:
        found = {p.name: p.delay for p in recurrent}
        raise Unsupported(
            "Lyapunov exponents need one recurrent projection with a delay of one step, not "
            f"{found}"
        )
    population = trained.network.population(recurrent[0].target)
    neuron = population.neuron
    if not isinstance(neuron, Lif):
        raise Unsupported(
            f"population {population.name!r}: Lyapunov exponents are those of a Lif, not of "
            f"{neuron!r}"
        )
    for convention in ("adaptation", "delayed_reset", "delayed_current", "clears_current"):
        if getattr(neuron, convention):
            raise Unsupported(
                f"population {population.name!r}: no Lyapunov exponents of neurons with "
                f"{convention}"
            )
    IMPLEMENTS.refuse(f"population {population.name!r}", neuron)
    if any(m.target == population.name for m in trained.network.modulations):
        raise Unsupported(
            f"population {population.name!r}: no Lyapunov exponents of modulated neurons"
        )
    return population, neuron


def lyapunov_exponents(
    trained: TrainedNetwork,
    trace: Trace,
    width: float | None = None,
    count: int = 1,
    sample: int = 0,
    settle: int = 20,
    seed: int = 0,
) -> FloatArray:
    """The `count` largest exponents along one sample, per step, the largest first.

    trace: of `trained`, with states, from a float engine.
    width: of the smoothed spike, in the membrane's unit, a tenth of the mean threshold unless
        given; the exponents depend on it, so keep it when comparing.
    settle: steps in which the tangent vectors, drawn from `seed`, align before the mean begins.
        -inf where differences vanish altogether.
    Raises Unsupported for neurons with further states, InvalidData for a trace without states or
    too short.
    """
    population, neuron = _liquid_of(trained)
    name, size = population.name, population.size
    if f"v.{name}" not in trace.states:
        raise InvalidData(
            f"the trace holds no membranes of population {name!r}: record it with states=True"
        )
    spikes, v, c, r = (
        array[:, sample].astype(np.float64)
        for array in (trace.spikes[name], *(trace.states[f"{letter}.{name}"] for letter in "vcr"))
    )
    threshold = population.expand(trained.parameters[f"{name}.threshold"])[:, None]
    width = float(threshold.mean()) / 10 if width is None else width
    if not width > 0:
        raise InvalidData(f"width of the smoothed spike must be above 0, not {width}")
    if len(spikes) < settle + 2:
        raise InvalidData(
            f"{len(spikes)} steps are too few: {settle} settle, and at least 2 more are needed"
        )
    if not 1 <= count <= 3 * size:
        raise InvalidData(f"there are 1..{3 * size} exponents of {size} neurons, not {count}")

    def values(parameter: str) -> FloatArray:
        return population.expand(trained.values(population, parameter))[:, None]

    decay = values("decay")
    keeps = values("synapse_decay") if neuron.synapse_decay is not None else np.zeros((size, 1))
    recurrent = next(p for p in trained.network.projections if p.source == p.target)
    ((_, weight),) = trained.matrices(recurrent)
    matrix = scipy.sparse.csr_array(weight)
    reset_to = values("v_reset") if neuron.reset == "hard" else np.zeros((size, 1))
    tangent = np.linalg.qr(np.random.default_rng(seed).standard_normal((3 * size, count)))[0]
    dv, dc, ds = tangent[:size], tangent[size : 2 * size], tangent[2 * size :]
    bias = (
        population.expand(trained.parameters[f"{name}.bias"])[:, None]
        if neuron.membrane_bias
        else 0.0
    )
    logs = []
    gone = np.zeros(count, np.bool_)
    for t in range(1, len(spikes)):
        dc = keeps * dc + matrix @ ds
        held = (r[t - 1] > 0)[:, None]  # refractory in this step
        u = decay * v[t - 1][:, None] + c[t][:, None] + bias
        du = decay * dv + dc
        slope = np.exp(-(((u - threshold) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))
        ds = np.where(held, 0.0, slope) * du
        fired = spikes[t][:, None]
        match neuron.reset:
            case "soft":
                after = du - threshold * ds
            case "hard":
                after = (1 - fired) * du - (u - reset_to) * ds
            case "none":
                after = du
        dv = np.where(held, du if neuron.integrates_refractory else dv, after)
        tangent, upper = np.linalg.qr(np.concatenate([dv, dc, ds]))
        dv, dc, ds = tangent[:size], tangent[size : 2 * size], tangent[2 * size :]
        growth = np.abs(np.diag(upper))
        gone |= growth < SMALLEST
        if t > settle:
            logs.append(np.log(np.maximum(growth, SMALLEST)))
    return np.where(gone, -np.inf, np.mean(logs, axis=0))


def spike_separation(first: NDArray[Any], second: NDArray[Any], decay: float = 0.97) -> FloatArray:
    """Distance of two runs of a liquid over time, [time]: |x1[t] - x2[t]| with x[t] = decay x[t-1]
    + s[t], mean over samples.

    first, second: spikes [time, sample, neuron] after two inputs, for instance with and without one
        spike (`with_one_more_spike`). It decays to 0 where the liquid forgets the difference and
        grows where it is chaotic.
    """
    check_raster(first)
    if first.shape != second.shape:
        raise InvalidData(
            f"the rasters of a separation differ in shape: {first.shape} and {second.shape}"
        )
    difference = first.astype(np.float64) - second
    state = np.zeros(first.shape[1:])
    distance = np.zeros(len(first))
    for t, change in enumerate(difference):
        state = decay * state + change
        distance[t] = np.linalg.norm(state, axis=-1).mean()
    return distance


def with_one_more_spike(spikes: NDArray[Any], step: int, seed: int) -> NDArray[np.uint8]:
    """Input spikes [time, sample, neuron] in which, at `step`, one input neuron of every sample,
    drawn from `seed`, fires if it did not and does not if it did.
    """
    check_raster(spikes)
    changed = (spikes > 0).astype(np.uint8)
    samples = np.arange(spikes.shape[1])
    changed[
        step, samples, np.random.default_rng(seed).integers(spikes.shape[2], size=len(samples))
    ] ^= 1
    return changed
