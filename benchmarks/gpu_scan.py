# SPDX-License-Identifier: Apache-2.0
"""The scan of a population in Triton against the steps in PyTorch, forward and backward, on a GPU;
and how far the kernels are from the bytes that they must move.

    python benchmarks/gpu_scan.py [--repeats 30] [--sweep] [--out benchmarks/gpu_scan.md]

float32, soft reset, synaptic current, refractory steps, gradients by spikes and membranes. The
floor is that of `neurohw.train.scan_triton` over the bandwidth of a copy on the same card in the
same run. --sweep: threads of a block and steps in flight, too. Spikes of both are compared before
anything is timed.
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from outputs import write_page

from neurohw.neurons import Lif
from neurohw.train.functional import Constants
from neurohw.train.functional import scan as pytorch_scan
from neurohw.train.scan import fast_scan, usable
from neurohw.train.surrogate import surrogate

SHAPES = ((100, 128, 256), (100, 256, 1024), (1000, 64, 512))  # steps, samples, neurons
NEURON = Lif(0.9, reset="soft", synapse_decay=0.8, refractory=2)
CONSTANTS = Constants(0.9, 0.8, 1.0)
COPIED = 1 << 28  # bytes
BYTES = 4  # of a float32
# that each pass moves: see `neurohw.train.scan_triton`, with membranes and gradients by them
ARRAYS = 4


def milliseconds(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median and spread (largest less smallest) of what the GPU takes, after three calls that
    compile and warm up.
    """
    for _ in range(3):
        work()
    times = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times), max(times) - min(times)


def bandwidth(repeats: int) -> float:
    """Bytes per second, read and written, of a copy."""
    source = torch.empty(COPIED // BYTES, device="cuda")
    target = torch.empty_like(source)
    median, _ = milliseconds(lambda: target.copy_(source), repeats)
    return 2 * COPIED / (median * 1e-3)


def triton_scan(currents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes and membranes by the kernels."""
    return fast_scan(NEURON, CONSTANTS, currents, "arctan", None, True, True)


def steps_in_pytorch(currents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same by one step after another."""
    record = pytorch_scan(NEURON, CONSTANTS, currents, surrogate("arctan"))
    return record.spikes, record.v


Scan = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def measured(
    scan: Scan, currents: torch.Tensor, repeats: int
) -> tuple[tuple[float, float], tuple[float, float], int]:
    """Times of forward and of backward, and the most memory that both take beside the currents, in
    bytes.
    """
    given = currents.clone().requires_grad_()
    by_spikes, by_membrane = torch.randn_like(currents), torch.randn_like(currents)
    forward = milliseconds(lambda: scan(given), repeats)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    results = scan(given)

    def back() -> None:
        torch.autograd.grad(results, given, (by_spikes, by_membrane), retain_graph=True)

    back()
    memory = torch.cuda.max_memory_allocated() - before
    return forward, milliseconds(back, repeats), memory


def rows_of(shape: tuple[int, int, int], speed: float, repeats: int) -> list[str]:
    """Rows of the table for currents [step, sample, neuron], forward and backward."""
    currents = torch.randn(shape, device="cuda", generator=torch.Generator("cuda").manual_seed(0))
    assert usable(NEURON, currents, True)
    if not all(
        torch.equal(a, b)
        for a, b in zip(triton_scan(currents), steps_in_pytorch(currents), strict=True)
    ):
        raise SystemExit(
            f"spikes or membranes of {shape} differ between Triton and PyTorch: nothing was timed"
        )
    floor = ARRAYS * BYTES * currents.numel() / speed * 1e3
    fast = measured(triton_scan, currents, repeats)
    slow = measured(steps_in_pytorch, currents, repeats)
    rows = []
    for number, name in enumerate(("forward", "backward")):
        (ours, spread), (theirs, their_spread) = fast[number], slow[number]
        rows.append(
            f"| {' x '.join(map(str, shape))} | {name} | {ours:.3f} ({spread:.3f}) | {floor:.3f} "
            f"| {ours / floor:.1f} | {theirs:.2f} ({their_spread:.2f}) | {theirs / ours:.1f} | "
            f"{fast[2] / 1e6:.0f} | {slow[2] / 1e6:.0f} |"
        )
    return rows


def sweep(repeats: int) -> list[str]:
    """Forward and backward of the first shape by threads of a block and steps in flight."""
    from neurohw.train import scan_triton

    currents = torch.randn(SHAPES[0], device="cuda")
    rows = [
        "",
        "| threads of a block | steps in flight | forward ms | backward ms |",
        "|---|---|---|---|",
    ]
    for warps in (1, 2, 4, 8):
        for stages in (1, 2, 4, 8):
            scan_triton.BLOCK, scan_triton.STAGES = 32 * warps, stages
            scan_triton.OPTIONS["num_warps"] = warps
            forward, backward, _ = measured(triton_scan, currents, repeats)
            rows.append(f"| {32 * warps} | {stages} | {forward[0]:.3f} | {backward[0]:.3f} |")
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Compare, measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        raise SystemExit(
            "PyTorch finds no GPU here, and nothing else can be measured: run this where "
            "there is one"
        )
    if not usable(NEURON, torch.zeros(1, 1, 1, device="cuda"), True):
        raise SystemExit("the kernels need Triton: pip install -e '.[gpu]'")
    import triton

    speed = bandwidth(options.repeats)
    lines = [
        "# The scan of a population on a GPU",
        "",
        f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, Triton "
        f"{triton.__version__}; a copy moves {speed / 1e9:.0f} GB/s. Medians of "
        f"{options.repeats} calls in ms, spread in brackets; equal spikes and membranes. `python "
        "benchmarks/gpu_scan.py`",
        "",
        (
            "| steps x samples x neurons | pass | Triton | floor | over floor | PyTorch | faster "
            "| memory MB | PyTorch's |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for shape in SHAPES:
        lines += rows_of(shape, speed, options.repeats)
    if options.sweep:
        lines += sweep(options.repeats)
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        write_page(options.out, text)


if __name__ == "__main__":
    main()
