# SPDX-License-Identifier: Apache-2.0
"""A training step with learned delays against the package DCLS, and against the same network
without delays.

    python benchmarks/delays_training.py [--threads 1] [--repeats 5] [--device cpu] [--out
        benchmarks/delays_training.md]

700-256-256-20, LIF, 100 steps, batch 128, 5 % of the inputs fire in a step, float32; 25 possible
delays. A step is forward, backward and Adam. All three share the neurons, the loss and the
optimizer of this package; only the projections differ. Medians; the largest deviation of the
repeats is beside them.

The floor is what the event-driven operators cannot avoid: for every event and target one
multiply-add per tap of the window in the forward pass and one in the gradient of the weights, and
for the gradient of the spikes, which is dense in time, one per step, synapse and tap of the second
projection. The table gives the time of as many multiply-adds in a matrix product of this run, which
is the fastest that this machine computes; docs/adr/0009 says what is in the rest.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from DCLS.construct.modules import Dcls1d
from outputs import write_page
from torch import Tensor, nn

from neurohw.neurons import Lif
from neurohw.train import SpikingModule
from neurohw.train.delays import taps_for
from neurohw.train.recipes import delayed

SIZES, STEPS, BATCH, DENSITY, DELAYS = [700, 256, 256, 20], 100, 128, 0.05, 25
THRESHOLD = 1.9  # hidden neurons fire about as often as inputs


class DclsModule(SpikingModule):
    """The same module, its delayed currents computed by Dcls1d."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.layers = nn.ModuleDict()
        for projection in self.network.projections:
            if projection.max_delay is not None:
                ends = (
                    self.network.population(n).size for n in (projection.source, projection.target)
                )
                layer = Dcls1d(
                    *ends, kernel_count=1, dilated_kernel_size=DELAYS, bias=False, version="gauss"
                )
                with torch.no_grad():
                    layer.weight.copy_(self.array(f"{projection.name}.weight")[..., None])
                    layer.P.copy_(
                        (DELAYS // 2 - self.array(f"{projection.name}.delay"))[None, ..., None]
                    )
                layer.SIG.requires_grad_(False)
                self.layers[projection.name] = layer

    def _delayed_current(self, projection: Any, spikes: Tensor) -> Tensor | None:
        if projection.name not in self.layers:
            return None
        layer = self.layers[projection.name]
        layer.SIG.data.fill_(self.sigma(projection) - 0.27)
        padded = nn.functional.pad(spikes.permute(1, 2, 0), (DELAYS - 1, 0))
        current: Tensor = layer(padded).permute(2, 0, 1)
        return current


def step_of(module: SpikingModule, spikes: Tensor, labels: Tensor) -> Callable[[], float]:
    """A function that does one training step and returns the loss."""
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=1e-3)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(module(spikes, states=False)["v.output"][-1], labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        module.clamp()
        return float(loss.detach())

    return step


def measured(step: Callable[[], float], repeats: int, device: str) -> tuple[float, float, float]:
    """First loss, median and largest deviation in milliseconds; one step before the clock
    starts.
    """
    first = step()
    times = []
    for _ in range(repeats):
        if device != "cpu":
            torch.cuda.synchronize()
        started = time.perf_counter()
        step()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - started))
    median = statistics.median(times)
    return first, median, max(abs(t - median) for t in times)


def floor_operations(taps: int) -> float:
    """Multiply-adds in 10^9, if hidden neurons fire as often as inputs."""
    pairs = list(zip(SIZES, SIZES[1:-1], strict=False))
    events = sum(DENSITY * STEPS * BATCH * a * b * taps * 2 for a, b in pairs)
    dense = STEPS * BATCH * SIZES[1] * SIZES[2] * taps
    return (events + dense) / 1e9


def multiply_adds_per_second(repeats: int, device: str, size: int = 2048) -> float:
    """Of a square float32 matrix product: the rate that no operator exceeds."""
    a = torch.ones(size, size, device=device)

    def product() -> float:
        return float((a @ a)[0, 0])

    return size**3 / (1e-3 * measured(product, repeats, device)[1])


def main() -> None:
    """Measure side by side, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(0)
    spikes = (
        (torch.rand(STEPS, BATCH, SIZES[0], generator=generator) < DENSITY)
        .float()
        .to(arguments.device)
    )
    labels = torch.randint(SIZES[-1], (BATCH,), generator=generator).to(arguments.device)
    neuron = Lif(decay=0.5, threshold=THRESHOLD)
    with_delays, without = delayed(SIZES, neuron, DELAYS), delayed(SIZES, neuron, None)
    with torch.no_grad():
        fired = SpikingModule(with_delays, learn_delays=True, seed=1).to(arguments.device)(spikes)
    rates = ", ".join(
        f"{100 * float(v.mean()):.1f} %" for k, v in fired.items() if k.startswith("spikes.hidden")
    )
    rows = []
    for annealing in (1.0, 0.75, 0.5, 0.0):
        for name, kind, network in (
            ("no delays", SpikingModule, without),
            ("this package", SpikingModule, with_delays),
            ("DCLS", DclsModule, with_delays),
        ):
            if name == "no delays" and annealing != 1.0:
                continue
            module = kind(network, learn_delays=network is with_delays, seed=1).to(arguments.device)
            module.annealing = annealing
            sigma = module.sigma(network.projections[0]) if network is with_delays else 0.0
            loss, median, spread = measured(
                step_of(module, spikes, labels), arguments.repeats, arguments.device
            )
            rows.append((sigma, name, loss, median, spread))
            print(f"sigma {sigma:5.2f} {name:13} {median:8.1f} ms, loss {loss:.5f}", flush=True)
    plain = rows[0][3]
    rate = multiply_adds_per_second(arguments.repeats, arguments.device)
    times = {(sigma, name): median for sigma, name, _, median, _ in rows}
    lines = [
        "# Training with learned delays",
        "",
        f"One step of {'-'.join(map(str, SIZES))}, {STEPS} steps, batch {BATCH}, "
        f"{100 * DENSITY:.0f} % input density (hidden {rates}), {DELAYS} delays, float32, "
        f"{arguments.threads} thread(s) on {arguments.device}, PyTorch {torch.__version__}, DCLS "
        f"0.1.1; median of {arguments.repeats}. Matrix products reach {rate / 1e9:.0f} 10^9 "
        "multiply-adds per second. `python benchmarks/delays_training.py` writes this page.",
        "",
        (
            "| sigma in steps | projections | ms | ± | first loss | DCLS / this | to no delays | "
            "10^9 multiply-adds at least | ms for them in a matrix product |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for sigma, name, loss, median, spread in rows:
        ratio = f"{times[sigma, 'DCLS'] / median:.1f}" if name == "this package" else ""
        floor = floor_operations(taps_for(sigma, DELAYS)) if name == "this package" else 0.0
        operations, least = (f"{floor:.2f}", f"{1e12 * floor / rate:.0f}") if floor else ("", "")
        shown = f"{sigma:.2f}" if sigma else "–"
        lines.append(
            f"| {shown} | {name} | {median:.0f} | {spread:.0f} | {loss:.5f} | {ratio} | "
            f"{median / plain:.2f} | {operations} | {least} |"
        )
    write_page(arguments.out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
