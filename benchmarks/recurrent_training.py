# SPDX-License-Identifier: Apache-2.0
"""A training step of a recurrent population of 1,000 neurons and 137,000 synapses: sparse against
dense, and in windows.

    python benchmarks/recurrent_training.py [--out benchmarks/recurrent_training.md]

100 steps, batch 32, 100 input channels of 5 % activity, one thread, float32: forward, backward and
AdamW. Every case runs in a process of its own. Time is that of the processor, the least of five
steps; memory is what the process grew by, at its peak, after a step of 2 time steps. The dense case
is the same population with a weight for every pair of neurons. The floor is the sparse
multiply-adds (forward, and both gradients) at the rate of a matrix product on this machine.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from outputs import write_page
from torch.nn.functional import cross_entropy

from neurohw import Integrator, Lif, Network, Population, Projection, Source
from neurohw.connections import Dense, Sparse
from neurohw.train import SpikingModule
from neurohw.train.recurrence import scale_recurrence
from neurohw.train.truncation import backward_in_windows

NEURONS, SYNAPSES, STEPS, SAMPLES, INPUTS, CLASSES = 1000, 137_000, 100, 32, 100, 10
CASES = (("dense", STEPS), ("sparse", STEPS), ("sparse", 50), ("sparse", 25), ("sparse", 10))
REPEATS = 5


def module_of(kind: str) -> SpikingModule:
    """The network; distinct pairs of neurons, weights of spectral radius 0.9."""
    connection = Sparse(SYNAPSES) if kind == "sparse" else Dense()
    network = Network(
        (
            Population("input", INPUTS, Source()),
            Population("hidden", NEURONS, Lif(0.9)),
            Population("output", CLASSES, Integrator()),
        ),
        (
            Projection("input", "hidden"),
            Projection("hidden", "hidden", 1, connection=connection),
            Projection("hidden", "output"),
        ),
    )
    module = SpikingModule(network)
    if kind == "sparse":
        pairs = np.random.default_rng(0).permutation(NEURONS * NEURONS)[:SYNAPSES]
        for end, values in (("source", pairs % NEURONS), ("target", pairs // NEURONS)):
            module.array(f"hidden_to_hidden.{end}").copy_(torch.from_numpy(values))
    scale_recurrence(module, 0.9)
    return module


def memory() -> float:
    """The most memory this process has held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(kind: str, window: int) -> tuple[float, float, float]:
    """Seconds of a step, MB that it takes, and spikes per neuron and step."""
    torch.set_num_threads(1)
    module, generator = module_of(kind), torch.Generator().manual_seed(0)
    spikes = (torch.rand(STEPS, SAMPLES, INPUTS, generator=generator) < 0.05).float()
    labels = torch.randint(CLASSES, (SAMPLES,), generator=generator)
    optimizer = torch.optim.AdamW(module.parameters())

    def step(counts: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        backward_in_windows(module, counts, window, "membrane", lambda v: cross_entropy(v, labels))
        optimizer.step()

    step(spikes[:2])  # libraries are loaded, code is compiled, and the optimizer has its moments
    before, times = memory(), []
    for _ in range(REPEATS):
        begin = time.process_time()
        step(spikes)
        times.append(time.process_time() - begin)
    grown = memory() - before
    with torch.no_grad():
        rate = float(module(spikes)["spikes.hidden"].mean())
    return min(times), grown, rate


def matrix_rate() -> float:
    """Multiply-adds per second of a matrix product with one thread."""
    torch.set_num_threads(1)
    a, b, times = torch.randn(1000, 1000), torch.randn(1000, 1000), []
    for _ in range(5):
        begin = time.process_time()
        a @ b
        times.append(time.process_time() - begin)
    return 1e9 / min(times)


def main() -> None:
    """Measure every case in its own process, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    if arguments.case:
        print(*measure(arguments.case[0], int(arguments.case[1])))
        return
    rows = []
    for kind, window in CASES:
        command = [sys.executable, __file__, "--case", kind, str(window)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        seconds, grown, rate = (float(v) for v in printed.split()[-3:])
        rows.append((kind, window, seconds, grown, rate))
        print(rows[-1], flush=True)
    speed = matrix_rate()
    floor = 3 * SYNAPSES * SAMPLES * STEPS / speed
    lines = [
        "# Training a recurrent population of 1,000 neurons and 137,000 synapses",
        "",
        f"{STEPS} steps, batch {SAMPLES}, one thread, float32, with AdamW; processor time, least "
        f"of {REPEATS}. `python benchmarks/recurrent_training.py` writes this page. A window is "
        "that of truncated backpropagation; one of all steps is the whole gradient.",
        "",
        (
            "| recurrent weights | window [steps] | step [ms] | of the floor | memory of a step "
            "[MB] | spikes per neuron and step |"
        ),
        "|---|---|---|---|---|---|",
    ]
    for kind, window, seconds, grown, rate in rows:
        ratio = f"{seconds / floor:.0f}" if kind == "sparse" else "–"
        lines.append(
            f"| {kind} | {window} | {1000 * seconds:.0f} | {ratio} | {grown:.0f} | {rate:.3f} |"
        )
    lines += [
        "",
        f"Floor: {3 * SYNAPSES * SAMPLES * STEPS / 1e9:.2f}e9 multiply-adds (forward, gradients "
        f"by spikes and by weights) at the {speed / 1e9:.0f}e9 per second of a matrix product: "
        f"{1000 * floor:.0f} ms. Every step of the loop works on 32 x 1,000 numbers in some "
        "thirty operators, and reads an index with every weight.",
    ]
    write_page(arguments.out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
