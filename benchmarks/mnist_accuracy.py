# SPDX-License-Identifier: Apache-2.0
"""Train the MNIST recipe in float and at 4 bits, and measure both on the official 10,000 test
images.

    python benchmarks/mnist_accuracy.py MNIST MODELS [--recipe mnist] [--out
        benchmarks/mnist_accuracy.md]

MNIST: see `neurohw.data.images`. MODELS: the folder for the models float, trained
(quantization-aware) and int4, and for checkpoints, from which an interrupted run goes on. Writes
the table, mnist_accuracy.md beside this file unless told otherwise.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from outputs import write_page

from neurohw import QuantizedNetwork, TrainedNetwork, quantize, run_golden, run_reference, save
from neurohw.data import Dataset, Encoder, load
from neurohw.readout import accuracy, scores
from neurohw.train import fit
from neurohw.train.recipes import recipe_named

CHUNK = 1000


def show(epoch: int, epochs: int, metrics: dict[str, float]) -> None:
    """Print one line per epoch."""
    print(f"epoch {epoch}/{epochs}", *(f"{k} {v:.4f}" for k, v in metrics.items()), flush=True)


def test_accuracy(
    model: TrainedNetwork | QuantizedNetwork, encoder: Encoder, dataset: Dataset
) -> float:
    """Accuracy on the test part by the float64 reference or the integer golden model."""
    parts: list[NDArray[np.float64]] = []
    for start in range(0, len(dataset.y_test), CHUNK):
        spikes = encoder.encode(dataset.x_test[start : start + CHUNK])
        trace = (
            run_golden(model, spikes)
            if isinstance(model, QuantizedNetwork)
            else run_reference(model, spikes)
        )
        parts.append(scores(trace, model.network))
    return accuracy(np.concatenate(parts), dataset.y_test)


def main() -> None:
    """Train, measure, save and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mnist", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--recipe", default="mnist", choices=("mnist", "mnist-cnn"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    dataset, recipe = load(arguments.mnist), recipe_named(arguments.recipe)
    assert recipe.finetune is not None and recipe.finetune.weight_bits is not None
    started = time.monotonic()
    trained = fit(
        recipe.network, dataset, recipe.encoder, recipe.config, arguments.models / "float_run", show
    )
    float_seconds = time.monotonic() - started
    save(trained, arguments.models / "float")
    started = time.monotonic()
    tuned = fit(
        trained, dataset, recipe.encoder, recipe.finetune, arguments.models / "tuned_run", show
    )
    tuned_seconds = time.monotonic() - started
    save(tuned, arguments.models / "trained")
    bits = recipe.finetune.weight_bits
    integer = quantize(tuned, bits, max_count=recipe.encoder.max_count)
    save(integer, arguments.models / f"int{bits}")
    spikes = recipe.encoder.encode(dataset.x_test).counts
    per_image = spikes.sum(axis=(0, 2), dtype=np.int64)
    widths = {name: p["membrane_bits"] for name, p in integer.info["populations"].items()}
    rows = [
        (
            "float weights, float64 reference",
            test_accuracy(trained, recipe.encoder, dataset),
            float_seconds,
        ),
        (
            f"int{bits} after training, golden model",
            test_accuracy(quantize(trained, bits), recipe.encoder, dataset),
            0.0,
        ),
        (
            "int8 after training, golden model",
            test_accuracy(quantize(trained, 8), recipe.encoder, dataset),
            0.0,
        ),
        (
            f"{bits}-bit weights trained, float64 reference",
            test_accuracy(tuned, recipe.encoder, dataset),
            tuned_seconds,
        ),
        (f"int{bits}, golden model", test_accuracy(integer, recipe.encoder, dataset), 0.0),
    ]
    sizes = "-".join(str(p.size) for p in recipe.network.populations)
    table = [
        f"# {dataset.name}: accuracy of {sizes} in {recipe.encoder.steps} steps",
        "",
        f"{len(dataset.y_train)} training, {len(dataset.y_validation)} validation and "
        f"{len(dataset.y_test)} test images; the epoch is chosen on the validation images. "
        f"Trained on {recipe.config.threads} thread(s) of a processor.",
        "",
        "| model | test accuracy | training seconds |",
        "| --- | --- | --- |",
        *(
            f"| {name} | {value:.2%} | {f'{seconds:.0f}' if seconds else ''} |"
            for name, value, seconds in rows
        ),
        "",
        (
            f"Input events per image: mean {per_image.mean():.1f}, most {per_image.max()}. "
            "Membrane bits: "
        )
        + ", ".join(f"{name} {value}" for name, value in widths.items())
        + ".",
        "",
    ]
    write_page(arguments.out, "\n".join(table))
    print("\n".join(table))


if __name__ == "__main__":
    main()
