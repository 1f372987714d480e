# SPDX-License-Identifier: Apache-2.0
"""A plastic liquid in our kernel and in Brian2 with Cython, side by side, with equal spikes; and
how far the kernel is from what it cannot avoid.

    python benchmarks/plasticity_speed.py MNIST_NPZ [--samples 200] [--brian-samples 4] [--out
        benchmarks/plasticity_speed.md]

1,000 neurons with astrocyte, MNIST digits of 250 ms, by the encoding phase of `neurohw.plasticity`.
The Brian2 script is written as one would for speed: traces are variables of neurons and not of
synapses, synapses do work only on spikes, the two kinds of recurrent synapses have code of their
own, and nothing in the loop is Python. Compilation is not timed.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from outputs import write_page

from neurohw.network import TrainedNetwork
from neurohw.plasticity import Bernoulli, Plasticity, initialise, intensity_rates, nalsm
from neurohw.plasticity.native import PlasticKernel
from neurohw.reservoir import grid_liquid

STEPS = 250
FADING = 0.99


def processor_seconds(work: Callable[[], Any]) -> float:
    """What a call takes of all processors together, which other work on the machine disturbs
    least.
    """
    started = time.process_time()
    work()
    return time.process_time() - started


class BrianLiquid:
    """The liquid as a Brian2 network, whose state can be stored and restored."""

    def __init__(self, trained: TrainedNetwork, rule: Plasticity) -> None:
        import brian2 as b2

        b2.prefs.codegen.target = "cython"
        b2.prefs.codegen.cpp.extra_compile_args_gcc = ["-O3", "-march=native", "-ffp-contract=off"]
        b2.defaultclock.dt = 1 * b2.ms
        self.b2 = b2
        neuron: Any = trained.network.output.neuron
        stdp, astrocyte = rule.stdp, rule.astrocyte
        assert astrocyte is not None
        self.inputs, self.size = trained.network.input.size, trained.network.output.size
        constants = {
            "leak": neuron.decay,
            "fall": neuron.synapse_decay,
            "increment": stdp.trace_increment,
            "trace_decay": stdp.trace_decay,
            "tau": astrocyte.time_constant,
            "fading": FADING,
        }
        # amplitudes are shared by all neurons; `surplus` counts spikes of the liquid less those of
        # the input
        control = b2.NeuronGroup(
            1, "A : 1\nP : 1\ngain : 1\nrest : 1\nsurplus : 1", namespace=constants
        )
        control.A, control.P, control.gain, control.rest = (
            stdp.depression,
            stdp.potentiation,
            astrocyte.gain,
            astrocyte.bias,
        )
        control.run_regularly(
            (
                "A = (A + (gain * surplus + rest - A) / tau) * fading\nP *= fading\ngain *= "
                "fading\nrest *= fading\nsurplus = 0"
            ),
            when="end",
        )
        source = b2.NeuronGroup(
            self.inputs,
            "r : 1\ndrawn : 1",
            threshold="drawn > 0",
            reset="r += increment",
            namespace=constants,
        )
        liquid = b2.NeuronGroup(
            self.size,
            "v : 1\nc : 1\nI : 1\nr : 1",
            threshold=f"v >= {neuron.threshold}",
            reset="v = 0; r += increment",
            refractory=(neuron.refractory + 1) * b2.ms,
            namespace=constants,
        )
        liquid.run_regularly("c = fall * c + I\nI = 0\nv = leak * v + c", when="groups")
        for group in (source, liquid):
            group.run_regularly("r *= trace_decay", when="end")
        objects = [control, source, liquid]
        self.weights = []
        for name, group, kind in (
            ("input", source, None),
            ("liquid", liquid, False),
            ("liquid", liquid, True),
        ):
            ends = [
                trained.parameters[f"{name}_to_liquid.{end}"].astype(int)
                for end in ("source", "target")
            ]
            chosen = (
                np.ones(len(ends[0]), bool) if kind is None else rule.inhibitory[ends[0]] == kind
            )
            low, high = {None: (-3, 3), False: (0, 3), True: (-3, 0)}[kind]
            at_source, at_target = (
                ("P * r_post", "- A * r_pre") if kind else ("- A * r_post", "P * r_pre")
            )
            synapses = b2.Synapses(
                group,
                liquid,
                "w : 1\nA : 1 (linked)\nP : 1 (linked)",
                on_pre={
                    "change": f"w = clip(w + {at_source}, {low}, {high})",
                    "deliver": "I_post += w",
                },
                on_post={"raise": f"w = clip(w + {at_target}, {low}, {high})"},
            )
            synapses.A, synapses.P = b2.linked_var(control, "A"), b2.linked_var(control, "P")
            synapses.connect(i=ends[0][chosen], j=ends[1][chosen])
            synapses.w = trained.parameters[f"{name}_to_liquid.weight"][chosen]
            for order, pathway in enumerate(("change", "raise", "deliver")):
                getattr(synapses, pathway).order = order
            objects.append(synapses)
            self.weights.append(synapses)
        for group, sign in ((liquid, "+="), (source, "-=")):
            counter = b2.Synapses(group, control, on_pre=f"surplus_post {sign} 1")
            counter.connect()
            objects.append(counter)
        self.source, self.monitor = source, b2.SpikeMonitor(liquid)
        self.network = b2.Network(*objects, self.monitor)
        self.network.store()

    def sample(self, spikes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
        """Spikes [time, neuron] of one sample, and the processor's seconds of its simulation."""
        b2 = self.b2
        self.network.restore()
        array = b2.TimedArray(spikes.astype(np.float64), dt=1 * b2.ms)
        update = self.source.run_regularly("drawn = stimulus(t, i)", when="before_groups")
        self.network.add(update)
        namespace = {"stimulus": array}
        self.network.run(0 * b2.ms, namespace=namespace)  # compiles
        seconds = processor_seconds(
            lambda: self.network.run(len(spikes) * b2.ms, namespace=namespace)
        )
        self.network.remove(update)
        result = np.zeros((len(spikes), self.size), np.uint8)
        result[np.round(self.monitor.t / b2.defaultclock.dt).astype(int), self.monitor.i] = 1
        return result, seconds


def copied_bytes_per_second(size: int) -> float:
    """Bytes read and written by copying arrays of `size` bytes, best of many."""
    a, b = np.zeros(size // 8), np.zeros(size // 8)
    best = np.inf
    for _ in range(300):
        started = time.perf_counter()
        for _ in range(20):
            np.copyto(a, b)
        best = min(best, time.perf_counter() - started)
    return 2 * size * 20 / best


def visits(
    trained: TrainedNetwork, inputs: NDArray[np.uint8], spikes: NDArray[np.uint8]
) -> tuple[float, float]:
    """Synapses walked per step by rows (once to change, once to deliver) and by columns; spikes
    [sample, time, neuron].
    """
    rows = columns = 0.0
    for name, sent in (("input", inputs), ("liquid", spikes)):
        source, target = (
            trained.parameters[f"{name}_to_liquid.{end}"].astype(int)
            for end in ("source", "target")
        )
        rows += float((sent.sum(axis=(0, 1)) * np.bincount(source, minlength=sent.shape[2])).sum())
        for given, fired in zip(sent, spikes, strict=True):
            heard = given.any(axis=0)[source] if name == "input" else np.ones(len(source), bool)
            columns += float(
                fired.sum(axis=0) @ np.bincount(target[heard], minlength=spikes.shape[2])
            )
    steps = spikes.shape[0] * spikes.shape[1]
    return rows / steps, columns / steps


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mnist", type=Path)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--brian-samples", type=int, default=4)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    with np.load(arguments.mnist) as file:
        rates = intensity_rates(file["x_train"])
    liquid = grid_liquid(784, seed=0)
    rule = nalsm(liquid.inhibitory)
    trained = initialise(liquid.trained, rule, Bernoulli(rates[:5000], 1))
    stimulus = Bernoulli(rates[-arguments.samples :], 2)
    kernel = PlasticKernel(trained, replace(rule, fading=FADING))
    few = kernel.run(stimulus, STEPS, 0, arguments.brian_samples, record=("spikes", "input_spikes"))
    assert few.spikes is not None and few.input_spikes is not None
    brian = BrianLiquid(trained, rule)
    ours: dict[int, list[float]] = {1: [], 2: []}
    theirs: list[float] = []
    differing = 0
    # in turns, so that both see the same load of the machine
    for _ in range(arguments.repetitions):
        for k in range(arguments.brian_samples):
            spikes, seconds = brian.sample(few.input_spikes[k])
            differing += int(np.count_nonzero(spikes != few.spikes[k]))
            theirs.append(seconds)
        for threads, times in ours.items():
            times.append(
                processor_seconds(
                    lambda threads=threads: kernel.run(stimulus, STEPS, threads=threads)
                )
            )  # type: ignore[misc]

    def per_step(times: list[float], samples: int) -> tuple[float, float]:
        """Microseconds: best and median."""
        values = 1e6 * np.array(times) / STEPS / samples
        return float(values.min()), float(np.median(values))

    them, us = (
        per_step(theirs, 1),
        {threads: per_step(times, arguments.samples) for threads, times in ours.items()},
    )
    rows, columns = visits(trained, few.input_spikes, few.spikes)
    # to change a row: weight and target read, weight written; to deliver: weight, target and sum
    # read, sum written; in a column: entry read, and a line of the cache
    # (64 bytes) that holds one wanted weight read and written
    moved = rows * (8 + 4 + 8) + rows * (8 + 4 + 8 + 8) + columns * (8 + 2 * 64)
    speed = copied_bytes_per_second(1 << 18)
    floor = 1e6 * moved / speed
    compared = few.spikes.size
    lines = [
        "# A plastic liquid: our kernel and Brian2",
        "",
        "1,000 neurons, "
        f"{sum(len(w) for n, w in trained.parameters.items() if n.endswith('weight')):,} plastic "
        f"synapses, astrocyte, fading amplitudes; MNIST digits of {STEPS} steps, microseconds "
        f"per step, best (median) of {arguments.repetitions} turns, in processor time, since the "
        f"machine has other work. {differing // arguments.repetitions} of {compared:,} spike "
        "entries differ. `python benchmarks/plasticity_speed.py` writes this page.",
        "",
        "| | processor time | ratio |",
        "|---|---|---|",
        f"| Brian2, Cython | {them[0]:.0f} ({them[1]:.0f}) | |",
        *(
            (
                f"| neurohw.plasticity, {threads} thread{'s' if threads > 1 else ''} | "
                f"{best:.1f} ({middle:.1f}) | {them[0] / best:.0f} ({them[1] / middle:.0f}) |"
            )
            for threads, (best, middle) in us.items()
        ),
        "",
        (
            "The samples are shared out: as much processor time with two threads as with one "
            "means half the time on the clock, where two processors are free."
        ),
        "",
        f"The floor of one thread: a step walks {rows:,.0f} synapses by rows, once to change and "
        f"once to deliver, and {columns:,.0f} by columns. That moves {moved / 1e3:,.0f} kB "
        "through the second cache (a column touches a cache line of its own for every synapse), "
        f"which at the speed of a copy, {speed / 1e9:.0f} GB/s, takes {floor:.1f} us: the kernel "
        f"takes {us[1][0] / floor:.1f} times that.",
    ]
    write_page(arguments.out, "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
