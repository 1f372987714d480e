# SPDX-License-Identifier: Apache-2.0
"""Smooth against rectified activations under quantized analog noise.

    python benchmarks/smooth_activations.py WORK [--out benchmarks/smooth_activations.md]

A projection that does not spike, on resistive memory, is  y = act(Q_b(x) + noise),  x = W h + bias:
Q_b is the ADC of a column (`neurohw.memristor.converters`, 2^b - 1 codes), the noise is what the
devices add to the sum,  noise = (W' - W) h  with W' the weights as a chip gives them back
(`neurohw.memristor.crossbar`). A rectifier's derivative is a step, that of GELU and SiLU is smooth,
and the gradient needs it where the noise has moved the argument.

First, E|act'(x + n) - act'(x)| for x uniform in -sigma ... sigma and n normal with deviation sigma,
sampled and by its expansion for small sigma. Then the same multilayer perceptron is trained with
each activation at b = 2 ... 6 bits, with a new chip for every four mini-batches, and tested on
chips that it has not seen. Learning rates are chosen for every activation, device and b on the
validation part, by seeds of their own. WORK: folder for results; a run that is there is not
repeated, so that an interrupted benchmark goes on.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track
from smooth_activations_page import BITS, RATES, SEEDS, TUNING_SEEDS, Case, write_page
from smooth_activations_perceptron import ACTIVATIONS, DEVICES, Result, run
from work_folder import WorkFolder


def kept_run(
    work: WorkFolder, activation: str, bits: int, device: str, seeds: Sequence[int], rate: float
) -> Result:
    """The run, from its file where that is there."""
    key = f"{activation}-{bits}-{device}-{seeds[0]}-{len(seeds)}-{rate}"
    return work.result(key, lambda: run(activation, bits, device, seeds, rate))


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    work = WorkFolder(arguments.work)
    cases = [(a, bits, device) for device in DEVICES for bits in BITS for a in ACTIVATIONS]
    rates: dict[Case, float] = {}
    for case in track(cases, "learning rates"):
        tried = {rate: kept_run(work, *case, TUNING_SEEDS, rate)["validation"] for rate in RATES}
        rates[case] = max(RATES, key=lambda rate, tried=tried: np.mean(tried[rate]))  # type: ignore[misc]
    found = {case: kept_run(work, *case, SEEDS, rates[case]) for case in track(cases, "training")}
    write_page(found, rates, arguments.out)


if __name__ == "__main__":
    main()
