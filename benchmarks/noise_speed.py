# SPDX-License-Identifier: Apache-2.0
"""How fast chips are judged: images per second of one thread, for 784-128-10 in 4 steps, against
the arithmetic that cannot be left out.

    python benchmarks/noise_speed.py [--repeats 5] [--samples 4000] [--out
        benchmarks/noise_speed.md]

One chip at four times, programming included. The floor of a network is the matrix products of its
two projections in float64; with read noise at every step it is those for means and variances, and a
normal number for every sum of a tile. Weights are random, inputs fire with the probability that
those of MNIST have.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from outputs import write_page
from threadpoolctl import threadpool_limits
from timing import median_seconds

from neurohw.memristor import Converter, device_named
from neurohw.network import feed_forward
from neurohw.neurons import Integrator, Lif
from neurohw.noise import Experiment, Scenario, judge_chip
from neurohw.train import SpikingModule

SIZES, STEPS, RATE = (784, 128, 10), 4, 0.12
TIMES = (25.0, 3600.0, 86400.0, 365 * 86400.0)
TILE_ROWS = 256
SCENARIOS = {
    "no read noise": Scenario(device_named("pcm"), read_noise="none"),
    "one read": Scenario(device_named("pcm"), read_noise="read"),
    "one read, 4-bit integers, native golden": Scenario(
        device_named("pcm"), read_noise="read", bits=4
    ),
    "read noise at every step": Scenario(device_named("pcm")),
    "read noise at every step, 8-bit ADC": Scenario(device_named("pcm"), adc=Converter(8)),
}


def floors(samples: int, repeats: int) -> tuple[float, float]:
    """Seconds of one time: matrix products, and those of means and variances with normal
    numbers.
    """
    rng = np.random.default_rng(0)
    inputs = [
        (rng.random((STEPS * samples, size)) < RATE).astype(np.float64) for size in SIZES[:-1]
    ]
    weights = [rng.normal(size=(a, b)) for a, b in zip(SIZES, SIZES[1:], strict=False)]
    sums = sum(-(-a // TILE_ROWS) * b for a, b in zip(SIZES, SIZES[1:], strict=False))

    def products() -> None:
        for x, w in zip(inputs, weights, strict=True):
            _ = x @ w

    def noisy() -> None:
        products()
        products()
        rng.standard_normal((STEPS * samples, sums))

    return median_seconds(products, repeats), median_seconds(noisy, repeats)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    count, rng = arguments.samples, np.random.default_rng(1)
    trained = SpikingModule(feed_forward(list(SIZES), Lif(decay=0.5), Integrator(1.0))).to_trained(
        STEPS
    )
    spikes = (rng.random((STEPS, count, SIZES[0])) < RATE).astype(np.uint8)
    labels = rng.integers(SIZES[-1], size=count)
    lines = [
        "# Monte Carlo over chips: speed",
        "",
        (
            f"{'-'.join(str(s) for s in SIZES)}, {STEPS} steps, {count} samples at {len(TIMES)} "
            "times on one PCM chip."
        ),
        "",
        "| | images per second | floor | ratio | a chip of 10,000 images at 4 times, s |",
        "|---|---|---|---|---|",
    ]
    with threadpool_limits(1):
        quiet, noisy = floors(count, arguments.repeats)
        for name, scenario in SCENARIOS.items():
            experiment = Experiment(trained, scenario, TIMES, spikes, labels, spikes[:, :200])
            taken = median_seconds(lambda e=experiment: judge_chip(e, 0), arguments.repeats)  # type: ignore[misc]
            floor = noisy if scenario.read_noise == "step" else quiet
            rate, most = count * len(TIMES) / taken, count / floor
            text = "" if scenario.bits else f"{most:,.0f} | {most / rate:.1f}"
            lines.append(f"| {name} | {rate:,.0f} | {text or ' | '} | {40_000 / rate:.1f} |")
    lines += [
        "",
        "Floor: matrix products in float64; with noise at every step those of means and "
        "variances, and one normal number for every sum of a tile. Integers are event driven "
        f"and have no such floor. Processor time of one thread, medians of {arguments.repeats}. "
        "`python benchmarks/noise_speed.py` writes this page.",
        "",
    ]
    write_page(arguments.out, "\n".join(lines))


if __name__ == "__main__":
    main()
