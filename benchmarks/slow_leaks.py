# SPDX-License-Identifier: Apache-2.0
"""Slow leaks in integers: spikes and states that are left of a float network, at the guard bits
before and after they followed every leak.

    python benchmarks/slow_leaks.py [--bits 4] [--seeds 3] [--out PATH] [--json PATH]

Weakly driven populations: 50 inputs fire in 5 % of 1,000 steps into 40 neurons of threshold 1,
whose membranes stand at 0.9 thresholds on average. Each network runs

- in float64 with its own parameters;
- in float64 with the rounded parameters (`dequantize`): what weights and factors lose;
- in integers with the guard bits of a threshold of 32 units alone, as all releases before had them;
- in integers with the guard bits of `neurohw.integers.precision`.

The cases are one neuron or readout each, with the numbers of a single spike or a few.
"""

import argparse
import warnings
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from outputs import add_outputs, write_outputs
from rich.progress import track

from neurohw import (
    Integrator,
    Lif,
    QuantizedNetwork,
    TrainedNetwork,
    feed_forward,
    quantize,
    run_golden,
    run_reference,
)
from neurohw.errors import PrecisionWarning
from neurohw.integers import dequantize, post_training
from neurohw.integers.precision import Guard, Needs, Roundings
from neurohw.network import FloatArray
from neurohw.neurons import Adaptation, Neuron

DECAYS = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)
SYNAPSES = (None, 0.9)
INPUTS, NEURONS, RATE, STEPS, SAMPLES, DRIVE = 50, 40, 0.05, 1000, 4, 0.9
SIXTEENTH, SLOW = 1 - 2.0**-4, 1 - 2.0**-7
EVERY_20 = list(range(0, 2000, 20))


def guard_of_the_threshold(
    roundings: Roundings, step: FloatArray, needs: Needs, resolution_bits: int
) -> Guard:
    """The guard bits of earlier releases: a threshold is worth 2^resolution_bits units, readouts
    have none."""
    bits = 0
    if needs.constants is not None:
        while bits < 16 and float((needs.scale / step).min()) * 2**bits < 2**resolution_bits:
            bits += 1
    return Guard(bits, 0.0, 0.0, 0.0, 0.0, True)


def integers(trained: TrainedNetwork, bits: int, before: bool) -> QuantizedNetwork:
    """The quantized network with the guard bits of before, or of now."""
    rule = guard_of_the_threshold if before else post_training.guard_bits
    with warnings.catch_warnings(), mock.patch.object(post_training, "guard_bits", rule):
        warnings.simplefilter("ignore", PrecisionWarning)
        return quantize(trained, bits, leak_tolerance=np.inf)


def weakly_driven(
    decay: float, synapse: float | None, seed: int
) -> tuple[TrainedNetwork, NDArray[np.uint8]]:
    """A population at DRIVE thresholds on average, and its input."""
    rng = np.random.default_rng(seed)
    network = feed_forward([INPUTS, NEURONS], output=Lif(decay, synapse_decay=synapse))
    weight = rng.normal(1.0, 0.5, (NEURONS, INPUTS))
    gain = 1 / (1 - decay) / (1 - (synapse or 0.0))
    weight *= DRIVE / (weight.sum(axis=1).mean() * RATE * gain)
    parameters = {
        "input_to_output.weight": weight,
        "output.bias": np.zeros(NEURONS),
        "output.threshold": np.ones(NEURONS),
    }
    stimulus = (rng.random((STEPS, SAMPLES, INPUTS)) < RATE).astype(np.uint8)
    return TrainedNetwork(network, parameters, STEPS), stimulus


def single(
    neuron: Neuron, weights: list[float], steps: int, at: list[int], bias: float = 0.0
) -> tuple[TrainedNetwork, NDArray[np.uint8]]:
    """One input into one neuron for every weight; the bias is that of the first."""
    network = feed_forward([1, len(weights)], output=neuron)
    parameters = {
        n: np.full(s, 1.0 if n.endswith("threshold") else 0.0) for n, s in network.shapes().items()
    }
    parameters["input_to_output.weight"] = np.array(weights)[:, None]
    parameters["output.bias"][0] = bias
    stimulus = np.zeros((steps, 1, 1), np.uint8)
    stimulus[at] = 1
    return TrainedNetwork(network, parameters, steps), stimulus


def spikes(trace) -> int:  # type: ignore[no-untyped-def]
    """Of the output population."""
    return int(trace.spikes["output"].sum())


def weak_row(decay: float, synapse: float | None, bits: int, seeds: int) -> dict[str, float]:
    """Spikes of all ways, over all seeds, and the widths of now."""
    row: dict[str, float] = dict.fromkeys(("float", "rounded", "before", "now"), 0)
    for seed in range(seeds):
        trained, stimulus = weakly_driven(decay, synapse, seed)
        old, new = integers(trained, bits, True), integers(trained, bits, False)
        row["float"] += spikes(run_reference(trained, stimulus, False))
        row["rounded"] += spikes(run_reference(dequantize(new), stimulus, False))
        row["before"] += spikes(run_golden(old, stimulus, False))
        row["now"] += spikes(run_golden(new, stimulus, False))
        for name, model in (("before", old), ("now", new)):
            report = model.info["populations"]["output"]
            row[f"guard_{name}"] = report["guard_bits"]
            row[f"membrane_{name}"] = report["membrane_bits"]
    return row


SPIKING: tuple[tuple[str, Neuron, float, int, list[int], int], ...] = (
    # case, neuron, weight, steps, steps with a spike, bits
    (
        "current 1 - 2^-4 into 1 - 2^-4, one spike of 0.1, 1,000 steps",
        Lif(SIXTEENTH, synapse_decay=SIXTEENTH),
        0.1,
        1000,
        [0],
        4,
    ),
    (
        "adaptation 1 - 2^-7 of 0.3, 1.5 every 20 of 2,000 steps",
        Lif(0.5, adaptation=Adaptation(SLOW, 0.3)),
        1.5,
        2000,
        EVERY_20,
        8,
    ),
    (
        "adaptation 0.995 of 0.3, the same",
        Lif(0.5, adaptation=Adaptation(0.995, 0.3)),
        1.5,
        2000,
        EVERY_20,
        8,
    ),
    ("membrane 1 - 2^-7, 0.6 at steps 0 and 900", Lif(SLOW), 0.6, 1000, [0, 900], 8),
)
BIASED = "scores of weights -1 and 1, biases 0.05 and 0, one spike, 100 steps"
READOUTS: tuple[tuple[str, Neuron, list[float], int, float, int, int], ...] = (
    # case, neuron, weights, steps, bias of the first, bits, step that is looked at
    ("v[10] of 0.99, one spike of 1", Integrator(0.99), [1.0], 20, 0.0, 4, 10),
    (BIASED, Integrator(1.0), [-1.0, 1.0], 100, 0.05, 4, 99),
    (BIASED, Integrator(1.0), [-1.0, 1.0], 100, 0.05, 2, 99),
)


def case_rows() -> list[tuple[str, int, str, str, str]]:
    """Case, bits, and what float, the integers of before and those of now give."""
    rows = []
    for case, neuron, weight, steps, at, bits in SPIKING:
        trained, stimulus = single(neuron, [weight], steps, at)
        wanted = spikes(run_reference(trained, stimulus))
        before, now = (
            spikes(run_golden(integers(trained, bits, old), stimulus)) for old in (True, False)
        )
        rows.append((f"spikes: {case}", bits, str(wanted), str(before), str(now)))
    for case, neuron, weights, steps, bias, bits, step in READOUTS:
        trained, stimulus = single(neuron, weights, steps, [0], bias)
        values = [run_reference(trained, stimulus).states["v.output"][step, 0]]
        for old in (True, False):
            model = integers(trained, bits, old)
            unit = np.array(model.info["populations"]["output"]["unit"])
            values.append(run_golden(model, stimulus).states["v.output"][step, 0] * unit)
        shown = [", ".join(f"{x:.3f}" for x in v) for v in values]
        rows.append((case, bits, shown[0], shown[1], shown[2]))
    return rows


def change(value: float, reference: float) -> str:
    """In percent."""
    return f"{100 * (value / reference - 1):+.1f} %" if reference else "–"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    add_outputs(parser, __file__)
    arguments = parser.parse_args()
    weak = [
        {
            "decay": decay,
            "synapse": synapse,
            **weak_row(decay, synapse, arguments.bits, arguments.seeds),
        }
        for decay, synapse in track([(d, s) for s in SYNAPSES for d in DECAYS], "weakly driven")
    ]
    cases = case_rows()
    lines = [
        "# Slow leaks in integers",
        "",
        "`python benchmarks/slow_leaks.py` writes this page; its docstring says what is measured.",
        "",
        f"{NEURONS} neurons at {DRIVE} thresholds on average, {arguments.bits}-bit weights, "
        f"{arguments.seeds} seeds of {SAMPLES} samples of {STEPS:,} steps. "
        "Spikes, and their change: of rounded parameters against float, of integers against "
        "rounded parameters.",
        "",
        "| leak | current | float | rounded | integers before | integers now | guard bits | "
        "membrane bits |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in weak:
        wanted, rounded, before, now = (row[n] for n in ("float", "rounded", "before", "now"))
        cells = (
            row["decay"],
            row["synapse"] or "–",
            f"{wanted:,}",
            f"{rounded:,} ({change(rounded, wanted)})",
            f"{before:,} ({change(before, rounded)})",
            f"{now:,} ({change(now, rounded)})",
            f"{row['guard_before']} → {row['guard_now']}",
            f"{row['membrane_before']} → {row['membrane_now']}",
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += [
        "",
        "| case | bits | float | integers before | integers now |",
        "|---|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in cases]
    lines += [
        "",
        "- A leak of 0.5 keeps its guard bits: it forgets a rounding before the next adds up.",
        "- Rounded parameters hold the factor per step, too: 0.995 is 0.99512 in 12 bits, which "
        "alone is worth 2.3 % of the drive, and near the threshold far more in spikes. "
        "The quantizer warns of it.",
        "",
    ]
    write_outputs(arguments, "\n".join(lines), {"weak": weak, "cases": cases})


if __name__ == "__main__":
    main()
