# SPDX-License-Identifier: Apache-2.0
"""What our definition of a plastic liquid changes against the published one: an independent
simulation in NumPy, one difference at a time.

    python benchmarks/nalsm_definition.py MNIST_NPZ [--initialising 300] [--samples 20] [--out
        benchmarks/nalsm_definition.md]

The simulation shares nothing with neurohw but the liquid and the input spikes. With our conventions
it must fire the spikes of the kernel, which is checked; then each convention of the published model
is switched on alone, and at last all of them:

    replaced   a spike sets the current of its synapse to w, instead of adding w to what is left of
               the last one; the weight of the moment counts while it decays
    once       the two changes of a synapse in one step are added and clipped once, instead of each
    carried    the astrocyte keeps its state from one sample to the next while weights are
               initialised (the description leaves this open)
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from outputs import write_page

from neurohw.plasticity import Bernoulli, initialise, intensity_rates, nalsm, spikes_of
from neurohw.reservoir import Liquid, grid_liquid
from neurohw.reservoir.measure import branching_factor, connectivity

Floats = NDArray[np.float64]
THRESHOLD, LEAK, REFRACTORY, SYNAPSE = 20.0, 1 / 64, 2, np.exp(-1.0)
POTENTIATION, BIAS, GAIN, TIME_CONSTANT, INCREMENT, TRACE_DECAY, FADING = (
    0.15,
    0.15,
    0.015,
    100.0,
    0.1,
    np.exp(-0.1),
    0.99,
)


@dataclass(frozen=True)
class Conventions:
    """Which of the published conventions hold."""

    replaced: bool = False
    once: bool = False
    carried: bool = False


class Simulation:
    """All synapses in flat arrays, neurons numbered inputs first."""

    def __init__(self, liquid: Liquid, conventions: Conventions) -> None:
        p, self.c = liquid.trained.parameters, conventions
        self.inputs, self.neurons = liquid.trained.network.input.size, liquid.neurons
        recurrent = p["liquid_to_liquid.source"].astype(int) + self.inputs
        self.source = np.concatenate([p["input_to_liquid.source"].astype(int), recurrent])
        self.target = np.concatenate(
            [p[f"{n}_to_liquid.target"].astype(int) for n in ("input", "liquid")]
        )
        self.w = np.concatenate([p[f"{n}_to_liquid.weight"] for n in ("input", "liquid")])
        self.inhibitory = np.concatenate([np.zeros(self.inputs, bool), liquid.inhibitory])[
            self.source
        ]
        from_input = self.source < self.inputs
        self.low = np.where(from_input | self.inhibitory, -3.0, 0.0)
        self.high = np.where(self.inhibitory, 0.0, 3.0)
        self.amplitude = BIAS

    def sample(self, input_spikes: NDArray[np.uint8], fading: float) -> NDArray[np.uint8]:
        """Spikes [time, neuron] of one sample, from rest."""
        u, left = np.zeros(self.neurons), np.zeros(self.neurons, int)
        since = np.full(self.inputs + self.neurons, np.inf)
        trace, current = np.zeros(self.inputs + self.neurons), np.zeros(self.neurons)
        if not self.c.carried:
            self.amplitude = BIAS
        fade, result = 1.0, np.zeros((len(input_spikes), self.neurons), np.uint8)
        for t, given in enumerate(input_spikes):
            fired = (u >= THRESHOLD) & (left == 0)
            u[fired] = 0.0
            left = np.where(fired, REFRACTORY, np.maximum(left - 1, 0))
            result[t] = fired
            sent = np.concatenate([given > 0, fired])
            self.learn(sent, trace, fade)
            trace = TRACE_DECAY * (trace + INCREMENT * sent)
            surplus = int(fired.sum()) - int(given.sum())
            self.amplitude += (GAIN * fade * surplus + BIAS * fade - self.amplitude) / TIME_CONSTANT
            self.amplitude *= fading
            fade *= fading
            since = np.where(sent, 0, since + 1)
            if self.c.replaced:
                current = np.bincount(
                    self.target, self.w * (SYNAPSE**since)[self.source], self.neurons
                )
            else:
                current = SYNAPSE * current + np.bincount(
                    self.target, self.w * sent[self.source], self.neurons
                )
            u = u - LEAK * u + current
        return result

    def learn(self, sent: NDArray[np.bool_], trace: Floats, fade: float) -> None:
        """STDP of the synapses that one of their ends has fired on."""
        k = np.flatnonzero(sent[self.source] | sent[self.target + self.inputs])
        pre, post = self.source[k], self.target[k] + self.inputs
        up, down = POTENTIATION * fade, -self.amplitude
        at_source = np.where(self.inhibitory[k], up, down) * trace[post] * sent[pre]
        at_target = np.where(self.inhibitory[k], down, up) * trace[pre] * sent[post]
        low, high = self.low[k], self.high[k]
        if self.c.once:
            self.w[k] = np.clip(self.w[k] + at_source + at_target, low, high)
        else:
            self.w[k] = np.clip(np.clip(self.w[k] + at_source, low, high) + at_target, low, high)

    def run(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Spikes [time, sample, neuron] of `second` from the weights that `first` leave; both
        [time, sample, input].
        """
        for k in range(first.shape[1]):
            self.sample(first[:, k], 1.0)
        initialised, result = self.w.copy(), []
        for k in range(second.shape[1]):
            self.w[:] = initialised
            self.amplitude = BIAS
            result.append(self.sample(second[:, k], FADING))
        self.w[:] = initialised
        return np.stack(result, axis=1)


def main() -> None:
    """Compare, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mnist", type=Path)
    parser.add_argument("--initialising", type=int, default=300)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    with np.load(arguments.mnist) as file:
        rates = intensity_rates(file["x_train"])
    first = Bernoulli(rates[: arguments.initialising], 1)
    second = Bernoulli(rates[-arguments.samples :], 2)
    liquid = grid_liquid(784, seed=0)
    connected = connectivity(liquid.trained)
    rule = nalsm(liquid.inhibitory)
    initialised = initialise(liquid.trained, rule, first, 20)
    ours = spikes_of(initialised, rule, second, second.samples, 250)
    given = first.spikes(20), second.spikes(250)
    rows = []
    for name, conventions in {
        "ours": Conventions(),
        "currents replaced": Conventions(replaced=True),
        "clipped once": Conventions(once=True),
        "astrocyte carried over": Conventions(carried=True),
        "all three": Conventions(True, True, True),
    }.items():
        simulation = Simulation(liquid, conventions)
        spikes = simulation.run(*given)
        if name == "ours":
            differing = int(np.count_nonzero(spikes != ours))
            print(
                (
                    f"{differing} of {spikes.size} entries differ between simulation and kernel; "
                    "weights by at most "
                ),
                end="",
            )
            weights = np.concatenate(
                [initialised.parameters[f"{n}_to_liquid.weight"] for n in ("input", "liquid")]
            )
            print(f"{np.abs(weights - simulation.w).max():.1e}", flush=True)
        counts, reference = spikes.sum(axis=0, dtype=np.float64), ours.sum(axis=0, dtype=np.float64)
        alike = float(np.corrcoef(counts.ravel(), reference.ravel())[0, 1])
        rows.append(
            (
                name,
                1000 * spikes.mean(),
                branching_factor(spikes, connected),
                alike,
                np.abs(simulation.w).mean(),
            )
        )
        print(*rows[-1], flush=True)
    lines = [
        "# Our conventions of a plastic liquid against the published ones",
        "",
        f"1,000 neurons, weights initialised by {first.samples} MNIST digits of 20 ms, then "
        f"{second.samples} digits of 250 ms; an independent simulation in NumPy, one convention "
        f"changed at a time. With our conventions {differing:,} of its {spikes.size:,} spike "
        "entries differ from the kernel's. `python benchmarks/nalsm_definition.py` writes this "
        "page.",
        "",
        (
            "| conventions | spikes per s and neuron | branching factor | correlation of counts "
            "with ours | mean absolute weight after initialisation |"
        ),
        "|---|---|---|---|---|",
        *(
            f"| {name} | {rate:.1f} | {factor:.3f} | {alike:.3f} | {size:.3f} |"
            for name, rate, factor, alike, size in rows
        ),
    ]
    write_page(arguments.out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
