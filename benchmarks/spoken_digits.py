# SPDX-License-Identifier: Apache-2.0
"""Spoken digits with no delays, fixed random delays and learned delays, on the official split and
leaving each speaker out.

    python benchmarks/spoken_digits.py SPIKES WORK [--jobs 2] [--out benchmarks/spoken_digits.md]

SPIKES: fsdd_spikes64.npz, see `neurohw.data.spoken_digits`. WORK: folder for models and results; a
run that is there is not repeated, so that an interrupted benchmark goes on. Every epoch was chosen
on the validation part (a tenth of the training part); the test part was only measured.

Parameters are what the hardware stores: weights and delays. Without delays the hidden populations
are wider, so that the number is the same.
"""

import argparse
import json
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from outputs import write_page

from neurohw import quantize, save
from neurohw.data import spoken_digits
from neurohw.golden.native import run_native
from neurohw.network import Network
from neurohw.neurons import Lif
from neurohw.readout import accuracy, scores
from neurohw.storage import write_atomically
from neurohw.train import SpikingModule, evaluate, fit
from neurohw.train.recipes import delayed, spoken_digits_recipe

VARIANTS = ("none", "random", "learned")
SPLITS = ("official", *range(6))
SEEDS = (0, 1, 2)
WIDE = 190  # hidden neurons without delays


def network_of(variant: str) -> Network:
    """64-128-128-10 with delays; the same number of parameters without them.

    The decays are those that did best on the official validation part.
    """
    recipe = spoken_digits_recipe()
    return (
        delayed([64, WIDE, WIDE, 10], Lif(decay=0.9), None) if variant == "none" else recipe.network
    )


def parameters_of(network: Network) -> int:
    """Weights and delays."""
    return sum(
        int(np.prod(s)) for n, s in network.shapes().items() if n.endswith((".weight", ".delay"))
    )


def test_accuracy(model: Any, spikes: Any, labels: Any) -> float:
    """Of the integer model, in percent."""
    return 100 * accuracy(scores(run_native(model, spikes), model.network), labels)


def run(job: tuple[Path, Path, str, Any, int]) -> dict[str, Any]:
    """Train one network, and measure it: float, float before rounding the delays, int8, and on the
    official split int4.
    """
    data, work, variant, split, seed = job
    folder = work / f"{variant}-{split}-{seed}"
    result_file = folder / "result.json"
    if result_file.is_file():
        return dict(json.loads(result_file.read_text()))
    torch.set_num_threads(1)
    recipe = spoken_digits_recipe()
    dataset = spoken_digits(
        data, None if split == "official" else int(split), steps=recipe.encoder.steps
    )
    network = network_of(variant)
    config = replace(recipe.config, seed=seed, learn_delays=variant == "learned")
    started = time.monotonic()
    trained = fit(network, dataset, recipe.encoder, config, folder / "float")
    result: dict[str, Any] = {
        "variant": variant,
        "split": split,
        "seed": seed,
        "seconds": time.monotonic() - started,
    }
    module = SpikingModule(network, dtype=torch.float32).load_trained(trained)
    spikes, labels = recipe.encoder.encode(dataset.samples("test")), dataset.y_test
    result["float"] = (
        100 * evaluate(module, recipe.encoder, dataset.samples("test"), labels, "membrane")[0]
    )
    if variant == "learned":
        saved = torch.load(folder / "float" / "checkpoint.pt", weights_only=True)["best"]
        spread = SpikingModule(network, dtype=torch.float32, learn_delays=True)
        spread.load_state_dict(saved["module"])
        spread.annealing = min(1.0, (saved["epoch"] - 1) / (config.delay_annealing * config.epochs))
        spread.rounds_delays = False
        result["spread"] = (
            100 * evaluate(spread, recipe.encoder, dataset.samples("test"), labels, "membrane")[0]
        )
    result["int8"] = test_accuracy(
        quantize(trained, 8, max_count=recipe.encoder.max_count), spikes, labels
    )
    save(trained, folder / "trained")
    if variant == "learned" and split == "official":
        assert recipe.finetune is not None
        tuned = fit(
            trained, dataset, recipe.encoder, replace(recipe.finetune, seed=seed), folder / "tuned"
        )
        save(tuned, folder / "trained4")
        result["int4"] = test_accuracy(
            quantize(tuned, 4, max_count=recipe.encoder.max_count), spikes, labels
        )
    write_atomically(result_file, json.dumps(result).encode())
    return result


def cell(results: list[dict[str, Any]], key: str) -> str:
    """Mean and standard deviation over the seeds."""
    values = [r[key] for r in results if key in r]
    return (
        f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f} ({len(values)})"
        if len(values) > 1
        else "–"
    )


def table(results: list[dict[str, Any]]) -> str:
    """The Markdown page."""
    counts = {v: parameters_of(network_of(v)) for v in VARIANTS}
    lines = [
        "# Spoken digits: no delays, fixed random delays, learned delays",
        "",
        "Test accuracy in percent, mean ± standard deviation (seeds), of float networks with "
        "whole delays; 64 channels, steps of 10 ms, 0 to 24 steps of delay. Parameters (weights "
        "and delays): "
        + ", ".join(f"{v} {n:,}" for v, n in counts.items())
        + ". `python benchmarks/spoken_digits.py` writes this page.",
        "",
        "| split | none | random | learned | learned - none | learned - random |",
        "|---|---|---|---|---|---|",
    ]
    every: dict[str, list[float]] = {v: [] for v in VARIANTS}
    for split in SPLITS:
        found = {
            v: [r for r in results if r["variant"] == v and r["split"] == split] for v in VARIANTS
        }
        mean = {v: float(np.mean([r["float"] for r in rows])) for v, rows in found.items()}
        name = split if split == "official" else f"speaker {split} left out"
        margins = f"{mean['learned'] - mean['none']:+.1f} | {mean['learned'] - mean['random']:+.1f}"
        lines.append(
            f"| {name} | "
            + " | ".join(cell(found[v], "float") for v in VARIANTS)
            + f" | {margins} |"
        )
        if split != "official":
            for v in VARIANTS:
                every[v].append(mean[v])
    mean = {v: float(np.mean(values)) for v, values in every.items()}
    spread = " | ".join(f"{mean[v]:.1f}" for v in VARIANTS)
    lines.append(
        f"| mean of the six speakers | {spread} | {mean['learned'] - mean['none']:+.1f} | "
        f"{mean['learned'] - mean['random']:+.1f} |"
    )
    learned = [r for r in results if r["variant"] == "learned" and r["split"] == "official"]
    costs = {
        "delays spread, before rounding": cell(learned, "spread"),
        "delays rounded": cell(learned, "float"),
        "int8, golden": cell(learned, "int8"),
        "int4 after quantization-aware training, golden": cell(learned, "int4"),
    }
    lines += [
        "",
        "Learned delays on the official split, step by step to integers:",
        "",
        "| | accuracy |",
        "|---|---|",
    ]
    lines += [f"| {name} | {value} |" for name, value in costs.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spikes", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--seeds", type=int, default=len(SEEDS), help="how many of the seeds 0, 1, 2"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    jobs = [
        (arguments.spikes, arguments.work, v, split, seed)
        for seed in SEEDS[: arguments.seeds]
        for split in SPLITS
        for v in VARIANTS
    ]
    with multiprocessing.get_context("spawn").Pool(arguments.jobs) as pool:
        for done, result in enumerate(pool.imap_unordered(run, jobs), 1):
            print(f"{done}/{len(jobs)}", json.dumps(result), flush=True)
    results = [
        json.loads(path.read_text()) for path in sorted(arguments.work.glob("*/result.json"))
    ]
    write_page(arguments.out, table(results))


if __name__ == "__main__":
    main()
