# SPDX-License-Identifier: Apache-2.0
"""One leaky neuron in a dozen simulators: which conventions does each of them use?

    python benchmarks/nir_lif.py --data DATA [--out benchmarks/nir_lif.md]

DATA/models/nir holds the neuron (`01_lif__lif_norse.nir`) and, for every simulator, 1,000 steps of
0.1 ms as rows (input spike, membrane, spike), as the NIR paper published them. Every combination of
discretisation, reset and latency is run through the import and compared: the spike times must be
equal, and the membranes equal up to one factor, because some simulators scale them.
"""

import argparse
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurohw import run_reference
from neurohw.interop.nir import from_nir

SIMULATORS = (
    "exact",
    "lava_cpu_fixed",
    "lava_cpu_float",
    "lava_loihi_fixed",
    "nengo",
    "norse",
    "rockpool",
    "sinabs",
    "snntorch",
    "spinnaker2",
    "spyx",
)
DT, TAU = 1e-4, 2.5e-3
EQUAL = 1e-5  # of the largest membrane: float32 rounding


@dataclass(frozen=True)
class Convention:
    """One way to compute the neuron.

    gain: of the input, "matched" to the decay or dt/tau whatever the decay is.
    """

    discretisation: str
    gain: str
    reset: str
    latency: int


@dataclass(frozen=True)
class Match:
    """How well a convention meets a recording: spikes that differ, largest difference of membranes
    relative to the largest one, factor.
    """

    spikes: int
    membrane: float
    factor: float


def recordings(data: Path) -> dict[str, NDArray[np.float64]]:
    """Rows (input, membrane, spike) by simulator."""
    folder = data / "models/nir"
    return {
        name: np.loadtxt(folder / f"01_lif__lif_{name}.csv", delimiter=",") for name in SIMULATORS
    }


def simulate(
    data: Path, stimulus: NDArray[np.uint8], convention: Convention
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Membrane after the reset and spikes of the imported neuron, `latency` steps late."""
    model = from_nir(
        data / "models/nir/01_lif__lif_norse.nir",
        dt=DT,
        discretisation=convention.discretisation,
        reset=convention.reset,
        delayed_reset=False,
        strict=True,
        gain="nir",
        steps=len(stimulus),
    )
    if convention.gain == "dt/tau" and convention.discretisation == "exponential_euler":
        weight = {
            k: v / (1 - np.exp(-DT / TAU)) * (DT / TAU)
            for k, v in model.parameters.items()
            if k.endswith(".weight")
        }
        model = type(model)(model.network, model.parameters | weight, model.steps)
    trace = run_reference(model, stimulus[:, None, None])
    v, s = (
        trace.states[f"v.{model.network.output.name}"][:, 0, 0],
        trace.spikes[model.network.output.name][:, 0, 0],
    )
    pad = convention.latency
    return np.concatenate([np.zeros(pad), v[: len(v) - pad]]), np.concatenate(
        [np.zeros(pad, np.uint8), s[: len(s) - pad]]
    )


def identify(data: Path) -> dict[str, tuple[Convention, Match]]:
    """The convention that meets each recording best: fewest wrong spikes, then the nearest
    membranes.
    """
    found: dict[str, tuple[Convention, Match]] = {}
    every = recordings(data)
    stimulus = (every["norse"][:, 0] != 0).astype(np.uint8)
    conventions = [
        Convention(*c)
        for c in product(
            ("exponential_euler", "forward_euler"), ("matched", "dt/tau"), ("hard", "soft"), (0, 1)
        )
        if not (c[0] == "forward_euler" and c[1] == "dt/tau")  # the same thing
    ]
    runs = {c: simulate(data, stimulus, c) for c in conventions}
    for name, recording in every.items():
        assert np.array_equal(recording[:, 0] != 0, stimulus == 1), name
        ranked = []
        for convention, (v, s) in runs.items():
            factor = float(v @ recording[:, 1] / (v @ v))
            error = float(
                np.abs(recording[:, 1] - factor * v).max() / np.abs(recording[:, 1]).max()
            )
            wrong = int(np.count_nonzero(s != recording[:, 2].astype(np.uint8)))
            ranked.append(
                (wrong, error, conventions.index(convention), Match(wrong, error, factor))
            )
        best = min(ranked[i][:3] for i in range(len(ranked)))
        found[name] = conventions[best[2]], next(r[3] for r in ranked if r[:3] == best)
    return found


def table(found: dict[str, tuple[Convention, Match]]) -> str:
    """The table as Markdown."""
    lines = [
        "# One neuron, a dozen simulators",
        "",
        "`python benchmarks/nir_lif.py --data DATA`. tau 2.5 ms, threshold 0.1, 1,000 steps of "
        "0.1 ms, 34 input spikes. `identified` means: every spike at the same step and the "
        "membrane equal, after one factor, to float32 rounding.",
        "",
        (
            "| simulator | discretisation | input gain | reset | steps late | spikes that differ "
            "| membrane, relative | factor | |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (c, m) in found.items():
        known = (
            "identified"
            if m.spikes == 0 and m.membrane < EQUAL
            else "spikes only"
            if m.spikes == 0
            else "not met"
        )
        gain = "1 - decay" if c.gain == "matched" else "dt/tau"
        lines.append(
            f"| {name} | {c.discretisation} | {gain} | {c.reset} | {c.latency} | {m.spikes} "
            f"| {m.membrane:.1e} | {m.factor:.4g} | {known} |"
        )
    lines += [
        "",
        "`exact` is the solution in continuous time: a step method can only come near. The "
        "fixed-point recordings of Lava round the decay to 12 bits and the membrane to integers. "
        "Spyx records its membrane at another point of the step.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Identify, write and print the table."""
    # of this folder: tests import the rest of this file from elsewhere
    from outputs import write_page

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    text = table(identify(options.data))
    write_page(options.out, text)
    print(text)


if __name__ == "__main__":
    main()
