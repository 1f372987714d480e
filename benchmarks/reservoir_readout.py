# SPDX-License-Identifier: Apache-2.0
"""How many bits the readout of a liquid needs: ridge with a spread of each neuron's own, or with
one for all.

Writes benchmarks/reservoir_readout.md. The liquid hears the embedded 8x8 digits; several seeds,
each with its own split, liquid and spikes. Usage: python benchmarks/reservoir_readout.py [--seeds
5]
"""

import argparse
from pathlib import Path

import numpy as np
from outputs import write_page
from rich.progress import track

from neurohw.data import digits
from neurohw.flow.liquid_data import liquid_encoder, prepared
from neurohw.golden.native import run_native
from neurohw.integers import quantize
from neurohw.integers.weights import weight_steps
from neurohw.reservoir import liquid_named, ridge

BITS = (8, 6, 4, 3)
VARIANTS = {"own spread": True, "one spread": False}  # ridge(standardise=)


def counts(seed: int) -> dict[str, np.ndarray]:
    """Counts of the quantized liquid and labels of the training part (with validation) and of the
    test part.
    """
    config = liquid_named("digits")
    dataset = prepared(digits(seed=seed), config, seed)
    encoder = liquid_encoder(dataset, config, seed)
    liquid = config.build(dataset.features, config.steps, seed)
    model = quantize(liquid.trained, 8)
    x = {"train": np.concatenate([dataset.x_train, dataset.x_validation]), "test": dataset.x_test}
    y = {"train": np.concatenate([dataset.y_train, dataset.y_validation]), "test": dataset.y_test}
    found = {
        f"x_{part}": run_native(model, encoder.encode(x[part], (k,)), states=False)
        .spikes["liquid"]
        .sum(0, dtype=np.int64)
        for k, part in enumerate(x)
    }
    inputs = {
        f"input_{part}": encoder.encode(x[part], (k,)).counts.sum(0, dtype=np.int64)
        for k, part in enumerate(x)
    }
    return found | inputs | {f"y_{part}": y[part] for part in y}


def rounded(weight: np.ndarray, bits: int) -> np.ndarray:
    """Weights as the quantizer rounds those of an Integrator: one step for all."""
    step = weight_steps(weight, bits, common=True)[:, None]
    limit = 2 ** (bits - 1) - 1
    return np.clip(np.round(weight / step), -limit - 1, limit) * step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    score: dict[tuple[str, str], list[float]] = {}
    for seed in track(range(seeds), "seeds"):
        data = counts(seed)
        raw = ridge(data["input_train"], data["y_train"])
        score.setdefault(("input", "float"), []).append(
            float((raw.predict(data["input_test"]) == data["y_test"]).mean())
        )
        for name, standardise in VARIANTS.items():
            found = ridge(data["x_train"], data["y_train"], standardise=standardise)
            weights = {"float": found.weight} | {
                f"{bits} bits": rounded(found.weight, bits) for bits in BITS
            }
            for column, weight in weights.items():
                right = ((data["x_test"] @ weight.T).argmax(1) == data["y_test"]).mean()
                score.setdefault((name, column), []).append(float(right))

    def entry(key: tuple[str, str]) -> str:
        values = 100 * np.array(score[key])
        return (
            f"{values.mean():.2f} ± {values.std(ddof=1):.2f}"
            if seeds > 1
            else f"{values.mean():.2f}"
        )

    columns = ["float", *(f"{b} bits" for b in BITS)]
    lines = [
        "# The readout of a liquid in few bits",
        "",
        "Test accuracy in % on the embedded 8x8 digits, mean and standard deviation over "
        f"{seeds} seeds (split, liquid, spikes). The liquid: 6x6x6 neurons, 100 steps, weights "
        "of 8 bits, in integers; the readout: ridge on its normalised spike counts, weights "
        "rounded to as many bits as the column says.",
        "",
        (
            "Ridge on the spike counts of the input, without a liquid, in float: "
            f"{entry(('input', 'float'))} %."
        ),
        "",
        "| readout | " + " | ".join(columns) + " |",
        "|---|" + "---|" * len(columns),
        *(
            f"| {name} | " + " | ".join(entry((name, c)) for c in columns) + " |"
            for name in VARIANTS
        ),
        "",
        f"`python benchmarks/reservoir_readout.py --seeds {seeds}`",
    ]
    write_page(Path(__file__).with_suffix(".md"), "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
