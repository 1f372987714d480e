# SPDX-License-Identifier: Apache-2.0
"""What the noise of devices costs in training, for 784-128-10 in 4 steps on one thread.

    python benchmarks/noise_training_speed.py MNIST [--repeats 30] [--out
        benchmarks/noise_training_speed.md]

MNIST: see `neurohw.data.images`. Processor time, medians of a mini-batch; encoding and augmentation
are left out but in the epochs, which are one each. The floor of drawing a chip is one normal number
per weight.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from outputs import write_page
from timing import median_seconds

from neurohw.data import load
from neurohw.memristor import CrossbarMapping, device_named, layout_of, sample_weights
from neurohw.train import DeviceNoise, SpikingModule, TrainConfig, fit
from neurohw.train.clip import weight_clipper
from neurohw.train.device_noise import ChipNoise
from neurohw.train.recipes import recipe_named

MAPPING = CrossbarMapping(scale_per="column")
PCM = device_named("pcm")
DAY = 86400.0
CLIP = 2.0


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mnist", type=Path)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset, recipe = load(arguments.mnist), recipe_named("mnist")
    batch = recipe.config.batch_size
    module = SpikingModule(recipe.network).train()
    counts = torch.from_numpy(recipe.encoder.encode(dataset.x_train[:batch]).counts)
    labels = torch.from_numpy(dataset.y_train[:batch].copy())
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4)
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    trained = module.to_trained(recipe.encoder.steps)
    programmed = [
        (trained.parameters[f"{p.name}.weight"].astype(np.float32), layout_of(trained, p))
        for p in recipe.network.projections
    ]
    weights = sum(weight.size for weight, _ in programmed)
    plain, compensated = (
        ChipNoise(module, DeviceNoise(PCM, MAPPING, compensate=c), 0) for c in (False, True)
    )
    clip = weight_clipper(module, TrainConfig(weight_clip=CLIP))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        membrane = module(counts, states=False)["v.output"][-1]
        torch.nn.functional.cross_entropy(membrane, labels).backward()
        optimizer.step()

    def every_device() -> None:
        for weight, layout in programmed:
            sample_weights(weight, layout, PCM, rng, MAPPING, time_seconds=DAY)

    def epoch_seconds(config: TrainConfig) -> float:
        start = time.process_time()
        fit(recipe.network, dataset, recipe.encoder, replace(config, epochs=1))
        return time.process_time() - start

    calls: dict[str, Callable[[], object]] = {
        "step: forward, backward, optimizer": step,
        "a chip drawn (pcm, tabulated moments)": lambda: plain.draw(0),
        "a chip drawn with compensation of drift": lambda: compensated.draw(0),
        "floor: one normal number per weight": lambda: torch.randn(weights, generator=generator),
        "every device drawn (`sample_weights`)": every_device,
        f"weights clipped at {CLIP:g} deviations of their layer": clip,
    }
    rows = [
        f"| {name} | {1e3 * median_seconds(call, arguments.repeats, warm_up=3):.2f} |"
        for name, call in calls.items()
    ]
    noise = DeviceNoise(PCM, MAPPING, compensate=True)
    for name, config in (
        ("without noise", recipe.config),
        ("with noise and compensation", replace(recipe.config, device_noise=noise)),
    ):
        rows.append(f"| epoch {name}, s | {epoch_seconds(config):.1f} |")
    sizes = "-".join(str(p.size) for p in recipe.network.populations)
    lines = [
        "# Training with the noise of devices: speed",
        "",
        (
            f"{sizes}, {recipe.encoder.steps} steps, one thread, processor time. `python "
            "benchmarks/noise_training_speed.py MNIST` writes this page."
        ),
        "",
        f"| mini-batch of {batch} | ms |",
        "|---|---|",
        *rows,
        "",
    ]
    write_page(arguments.out, "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
